/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client.h"

#include "monotonic.h"
#include "wire.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

struct client {
	int fd;
	struct wire *wire;
};

int
client_connect(const char *path, uint64_t timeout, struct client **ret)
{
	CLEANUP(client_free) struct client *client = calloc(1, sizeof(*client));
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {(time_t) (timeout / 1000000), (suseconds_t) (timeout % 1000000)};
	int r;

	if (!client)
		return -ENOMEM;
	client->fd = -1;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	r = wire_new(WIRE_REPLY_MAX, WIRE_CALL_MAX, &client->wire);
	if (r < 0)
		return r;
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		return -errno;
	/* connect waits on a full backlog; a daemon that hangs must not hang us. */
	(void) setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(client->fd, (struct sockaddr *) &address, sizeof(address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	*ret = STEAL(client);
	return 0;
}

void
client_free(struct client **client)
{
	if (!*client)
		return;
	if ((*client)->fd >= 0)
		(void) close((*client)->fd);
	wire_free(&(*client)->wire);
	free(*client);
	*client = NULL;
}

int
client_explain(const char *path, int code, struct error *error)
{
	const char *cause = strerror(-code);

	if (code == -ENOENT)
		cause = "there is no such socket: is mtlsd running, and is this its socket (--socket)?";
	else if (code == -ECONNREFUSED)
		cause = "nobody listens there: mtlsd is not running";
	else if (code == -EACCES || code == -EPERM)
		cause = "permission denied: become a member of the socket's group, or root";
	else if (code == -ETIMEDOUT)
		cause = "it does not answer";
	else if (code == -ECONNRESET)
		cause = "it closed the connection";
	else if (code == -EBADMSG)
		cause = "what answers there is no mtlsd";
	return error_set(error, code, "the daemon at %s is not reachable: %s", path, cause);
}

void
client_reply_clear(struct client_reply *reply)
{
	free(reply->error);
	json_decref(reply->parameters);
	*reply = (struct client_reply){0};
}

/* Waits for the socket. deadline 0: for ever. */
static int
client_wait(const struct client *client, short events, uint64_t deadline)
{
	struct pollfd ready = {.fd = client->fd, .events = events};

	for (;;) {
		int milliseconds = -1, r;

		if (deadline) {
			uint64_t now = monotonic_now(), left = now < deadline ? (deadline - now + 999) / 1000 : 0;

			if (left == 0)
				return -ETIMEDOUT;
			milliseconds = left > INT_MAX ? INT_MAX : (int) left;
		}
		r = poll(&ready, 1, milliseconds);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

static int
client_send(struct client *client, json_t *message, int descriptor, uint64_t deadline)
{
	int r;

	if (!message)
		return -ENOMEM;
	r = descriptor >= 0 ? wire_send_with_descriptor(client->wire, client->fd, message, descriptor)
			    : wire_queue(client->wire, message);
	json_decref(message);
	while (r == 0 && (r = wire_flush(client->wire, client->fd)) == -EAGAIN)
		r = client_wait(client, POLLOUT, deadline);
	return r == -EPIPE ? -ECONNRESET : r;
}

static int
client_receive(struct client *client, uint64_t deadline, json_t **ret)
{
	size_t length;
	const char *text;
	json_t *message;

	while (wire_next(client->wire, &text, &length) == 0) {
		ssize_t n = wire_receive(client->wire, client->fd);
		int r = 0;

		if (n == 0)
			return -ECONNRESET;
		if (n == -EAGAIN)
			r = client_wait(client, POLLIN, deadline);
		else if (n < 0)
			r = (int) n;
		if (r < 0)
			return r;
	}
	message = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(message)) {
		json_decref(message);
		return -EBADMSG;
	}
	*ret = message;
	return 0;
}

/* 1: the last reply; 0: more will come. */
static int
client_read_reply(const json_t *message, struct client_reply *ret)
{
	const json_t *error = json_object_get(message, "error");
	json_t *parameters = json_object_get(message, "parameters");

	if (json_is_true(json_object_get(message, "continues"))) {
		ret->job = json_integer_value(json_object_get(parameters, "job"));
		return 0;
	}
	if (error && !json_is_string(error))
		return -EBADMSG;
	if (error && !(ret->error = strdup(json_string_value(error))))
		return -ENOMEM;
	ret->parameters = json_is_object(parameters) ? json_incref(parameters) : json_object();
	return 1;
}

int
client_call(struct client *client, const char *method, json_t *parameters, bool more, int descriptor, uint64_t timeout,
	    struct client_reply *ret)
{
	uint64_t deadline = timeout ? monotonic_now() + timeout : 0;
	int r = client_send(client, wire_request(method, parameters, more), descriptor, deadline);

	while (r == 0) {
		json_t *message = NULL;

		r = client_receive(client, deadline, &message);
		if (r < 0)
			break;
		r = client_read_reply(message, ret);
		json_decref(message);
	}
	return r < 0 ? r : 0;
}
