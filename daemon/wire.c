/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
	WIRE_CHUNK = 64 * 1024,   /* asked of the kernel at once */
	WIRE_CONTAINERS_MAX = 64, /* objects and arrays in one call; ours need two */
	WIRE_MEMBERS_MAX = 512,
	WIRE_METHOD_MAX = 256,
};

/* Bytes [start, end) of data are in use. */
struct wire_buffer {
	char *data;
	size_t start, end, capacity;
};

struct wire {
	struct wire_buffer input, output;
	size_t scanned; /* bytes after input.start known to hold no NUL */
	size_t input_max, output_max;
	int descriptors[WIRE_DESCRIPTORS_MAX];
	size_t descriptor_count;
};

static size_t
wire_buffer_length(const struct wire_buffer *buffer)
{
	return buffer->end - buffer->start;
}

static void
wire_buffer_consume(struct wire_buffer *buffer, size_t length)
{
	buffer->start += length;
	if (buffer->start < buffer->end)
		return;
	buffer->start = buffer->end = 0;
	/* An idle connection keeps no megabyte from its busiest moment. */
	if (buffer->capacity > WIRE_CHUNK) {
		free(buffer->data);
		*buffer = (struct wire_buffer){0};
	}
}

/* Room for length more bytes behind end. */
static int
wire_buffer_reserve(struct wire_buffer *buffer, size_t length)
{
	size_t used = wire_buffer_length(buffer), capacity = buffer->capacity ? buffer->capacity : 4096;
	char *data;

	if (buffer->capacity - buffer->end >= length)
		return 0;
	if (buffer->start > 0) {
		memmove(buffer->data, buffer->data + buffer->start, used);
		buffer->start = 0;
		buffer->end = used;
		if (buffer->capacity - buffer->end >= length)
			return 0;
	}
	while (capacity - used < length)
		capacity *= 2;
	data = realloc(buffer->data, capacity);
	if (!data)
		return -ENOMEM;
	buffer->data = data;
	buffer->capacity = capacity;
	return 0;
}

int
wire_new(size_t input_max, size_t output_max, struct wire **ret)
{
	struct wire *wire = calloc(1, sizeof(*wire));

	if (!wire)
		return -ENOMEM;
	wire->input_max = input_max;
	wire->output_max = output_max;
	*ret = wire;
	return 0;
}

void
wire_free(struct wire **wire)
{
	if (!*wire)
		return;
	wire_drop_descriptors(*wire);
	free((*wire)->input.data);
	free((*wire)->output.data);
	free(*wire);
	*wire = NULL;
}

/* Finds the NUL that ends the first message; remembers how far it looked, so that a trickled message costs no more
 * than one that came whole. */
static bool
wire_scan(struct wire *wire, size_t *ret_length)
{
	const char *from = wire->input.data + wire->input.start;
	size_t length = wire_buffer_length(&wire->input);
	const char *end = length > wire->scanned ? memchr(from + wire->scanned, '\0', length - wire->scanned) : NULL;

	if (!end) {
		wire->scanned = length;
		return false;
	}
	wire->scanned = (size_t) (end - from);
	*ret_length = wire->scanned;
	return true;
}

/* How many more bytes may come in: a message of input_max bytes and its NUL. */
static int
wire_room(struct wire *wire, size_t *ret)
{
	size_t used = wire_buffer_length(&wire->input), length;

	if (used == 0)
		wire_buffer_consume(&wire->input, 0);
	if (used > wire->input_max)
		return wire_scan(wire, &length) ? -ENOBUFS : -EMSGSIZE;
	*ret = wire->input_max + 1 - used;
	return 0;
}

int
wire_feed(struct wire *wire, const void *data, size_t length)
{
	size_t room;
	int r = wire_room(wire, &room);

	if (r < 0)
		return r;
	if (length > room)
		return -EMSGSIZE;
	r = wire_buffer_reserve(&wire->input, length);
	if (r < 0)
		return r;
	if (length > 0)
		memcpy(wire->input.data + wire->input.end, data, length);
	wire->input.end += length;
	return 0;
}

/* Keeps what came by SCM_RIGHTS. All are ours to close from here on, also those that are too many. */
static int
wire_keep_descriptors(struct wire *wire, struct msghdr *message)
{
	int r = message->msg_flags & MSG_CTRUNC ? -EMFILE : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (wire->descriptor_count < WIRE_DESCRIPTORS_MAX) {
				wire->descriptors[wire->descriptor_count++] = fd;
			} else {
				(void) close(fd);
				r = -EMFILE;
			}
		}
	}
	return r;
}

ssize_t
wire_receive(struct wire *wire, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * WIRE_DESCRIPTORS_MAX)];
	} control;
	struct iovec vector;
	struct msghdr message = {
		.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	size_t room;
	ssize_t n;
	int r = wire_room(wire, &room);

	if (r < 0)
		return r;
	if (room > WIRE_CHUNK)
		room = WIRE_CHUNK;
	r = wire_buffer_reserve(&wire->input, room);
	if (r < 0)
		return r;
	vector = (struct iovec){wire->input.data + wire->input.end, room};
	do
		n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	r = wire_keep_descriptors(wire, &message);
	wire->input.end += (size_t) n;
	return r < 0 ? r : n;
}

int
wire_next(struct wire *wire, const char **ret, size_t *ret_length)
{
	size_t length;

	if (!wire_scan(wire, &length))
		return 0;
	*ret = wire->input.data + wire->input.start;
	*ret_length = length;
	/* Not wire_buffer_consume: the caller still reads these bytes, and the buffer might be released. */
	wire->input.start += length + 1;
	wire->scanned = 0;
	return 1;
}

bool
wire_buffered(const struct wire *wire)
{
	return wire_buffer_length(&wire->input) > 0;
}

int
wire_take_descriptor(struct wire *wire)
{
	int fd;

	if (wire->descriptor_count == 0)
		return -1;
	fd = wire->descriptors[0];
	wire->descriptor_count--;
	memmove(wire->descriptors, wire->descriptors + 1, wire->descriptor_count * sizeof(int));
	return fd;
}

void
wire_drop_descriptors(struct wire *wire)
{
	while (wire->descriptor_count > 0)
		(void) close(wire->descriptors[--wire->descriptor_count]);
}

static bool
wire_output_fits(const struct wire *wire, size_t length)
{
	return length < wire->output_max && wire_buffer_length(&wire->output) <= wire->output_max - length - 1;
}

int
wire_queue(struct wire *wire, const json_t *message)
{
	size_t length = json_dumpb(message, NULL, 0, JSON_COMPACT);
	int r;

	if (length == 0)
		return -EINVAL;
	if (!wire_output_fits(wire, length))
		return -ENOBUFS;
	r = wire_buffer_reserve(&wire->output, length + 1);
	if (r < 0)
		return r;
	if (json_dumpb(message, wire->output.data + wire->output.end, length, JSON_COMPACT) != length)
		return -ENOMEM;
	wire->output.end += length;
	wire->output.data[wire->output.end++] = '\0';
	return 0;
}

int
wire_queue_written(struct wire *wire, char *text, size_t length)
{
	struct wire_buffer *output = &wire->output;
	int r = wire_output_fits(wire, length) ? 0 : -ENOBUFS;

	if (r == 0 && wire_buffer_length(output) == 0) {
		free(output->data);
		*output = (struct wire_buffer){.data = text, .end = length + 1, .capacity = length + 1};
		return 0;
	}
	if (r == 0)
		r = wire_queue_text(wire, text);
	free(text);
	return r;
}

int
wire_queue_text(struct wire *wire, const char *text)
{
	size_t size = strlen(text) + 1;
	int r = wire_buffer_reserve(&wire->output, size);

	if (r < 0)
		return r;
	memcpy(wire->output.data + wire->output.end, text, size);
	wire->output.end += size;
	return 0;
}

int
wire_send_with_descriptor(struct wire *wire, int fd, const json_t *message, int descriptor)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec vector;
	struct msghdr header = {
		.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&header);
	ssize_t n;
	int r;

	if (wire_pending(wire) > 0)
		return -EBUSY;
	r = wire_queue(wire, message);
	if (r < 0)
		return r;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &descriptor, sizeof(int));
	vector = (struct iovec){wire->output.data + wire->output.start, wire_pending(wire)};
	do
		n = sendmsg(fd, &header, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	wire_buffer_consume(&wire->output, (size_t) n);
	return 0;
}

size_t
wire_pending(const struct wire *wire)
{
	return wire_buffer_length(&wire->output);
}

int
wire_flush(struct wire *wire, int fd)
{
	while (wire_pending(wire) > 0) {
		ssize_t n = send(fd, wire->output.data + wire->output.start, wire_pending(wire),
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		wire_buffer_consume(&wire->output, (size_t) n);
	}
	return 0;
}

/* Counts brackets and commas outside strings before the parser builds anything from them. */
static bool
wire_is_bounded(const char *text, size_t length)
{
	unsigned containers = 0, members = 0;
	bool inside = false;

	for (size_t i = 0; i < length; i++) {
		if (inside && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			inside = !inside;
		else if (!inside && (text[i] == '{' || text[i] == '['))
			containers++;
		else if (!inside && text[i] == ',')
			members++;
		if (containers > WIRE_CONTAINERS_MAX || members > WIRE_MEMBERS_MAX)
			return false;
	}
	return true;
}

static int
wire_call_flag(const json_t *message, const char *key, bool *ret, struct error *error)
{
	const json_t *value = json_object_get(message, key);

	if (value && !json_is_boolean(value))
		return error_set(error, -EBADMSG, "\"%s\" of the call must be true or false", key);
	*ret = json_is_true(value);
	return 0;
}

static int
wire_call_read(json_t *message, struct wire_call *call, struct error *error)
{
	const json_t *method = json_object_get(message, "method");
	json_t *parameters = json_object_get(message, "parameters");
	bool upgrade = false;
	int r;

	if (!json_is_string(method) || json_string_length(method) == 0 || json_string_length(method) > WIRE_METHOD_MAX)
		return error_set(error, -EBADMSG, "the call needs \"method\", a string of 1 to %d bytes",
				 WIRE_METHOD_MAX);
	if (parameters && !json_is_null(parameters) && !json_is_object(parameters))
		return error_set(error, -EBADMSG, "\"parameters\" of the call must be an object");
	r = wire_call_flag(message, "more", &call->more, error);
	if (r == 0)
		r = wire_call_flag(message, "oneway", &call->oneway, error);
	if (r == 0)
		r = wire_call_flag(message, "upgrade", &upgrade, error);
	if (r < 0)
		return r;
	if (upgrade)
		return error_set(error, -EBADMSG, "\"upgrade\" is not offered here");
	call->parameters = json_is_object(parameters) ? json_incref(parameters) : json_object();
	call->method = strdup(json_string_value(method));
	if (!call->parameters || !call->method)
		return error_set(error, -ENOMEM, "out of memory");
	return 0;
}

int
wire_call_parse(const char *text, size_t length, struct wire_call *ret, struct error *error)
{
	CLEANUP(wire_call_clear) struct wire_call call = {0};
	json_error_t where;
	json_t *message;
	int r;

	if (!wire_is_bounded(text, length))
		return error_set(error, -EBADMSG, "the call has more than %d objects and arrays or %d members",
				 WIRE_CONTAINERS_MAX, WIRE_MEMBERS_MAX);
	message = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
	if (!message)
		return error_set(error, -EBADMSG, "not a JSON object, at byte %d: %s", where.position, where.text);
	r = wire_call_read(message, &call, error);
	json_decref(message);
	if (r < 0)
		return r;
	*ret = call;
	call = (struct wire_call){0};
	return 0;
}

void
wire_call_clear(struct wire_call *call)
{
	free(call->method);
	json_decref(call->parameters);
	*call = (struct wire_call){0};
}

static json_t *
wire_message(const char *key, const char *value, json_t *parameters)
{
	json_t *message = json_object();

	if (!parameters)
		parameters = json_object();
	if (!message || !parameters || (key && json_object_set_new(message, key, json_string(value)) < 0)) {
		json_decref(parameters);
		json_decref(message);
		return NULL;
	}
	if (json_object_set_new(message, "parameters", parameters) < 0) {
		json_decref(message);
		return NULL;
	}
	return message;
}

static json_t *
wire_with_flag(json_t *message, const char *flag)
{
	if (message && json_object_set_new(message, flag, json_true()) < 0) {
		json_decref(message);
		return NULL;
	}
	return message;
}

json_t *
wire_reply(json_t *parameters, bool continues)
{
	json_t *message = wire_message(NULL, NULL, parameters);

	return continues ? wire_with_flag(message, "continues") : message;
}

json_t *
wire_error(const char *name, json_t *parameters)
{
	return wire_message("error", name, parameters);
}

json_t *
wire_request(const char *method, json_t *parameters, bool more)
{
	json_t *message = wire_message("method", method, parameters);

	return more ? wire_with_flag(message, "more") : message;
}

json_t *
wire_text(const char *text)
{
	json_t *string = json_string(text);
	char *copy;

	if (string)
		return string;
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (char *p = copy; *p; p++)
		if (*p & 0x80)
			*p = '?';
	string = json_string(copy);
	free(copy);
	return string;
}
