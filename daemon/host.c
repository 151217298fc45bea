/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host.h"

#include "crash.h"
#include "log.h"
#include "nonces.h"
#include "step.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { ATTRIBUTES_MAX = 64 };

/* From here to the end of the caller's scope the thread allocates from the daemon's memory:
 * CLEANUP(scope_leave) struct scope_frame frame = in_daemon(); */
static struct scope_frame
in_daemon(void)
{
	struct scope_frame frame;
	scope_enter_daemon(&frame);
	return frame;
}

static struct step *
step_of(const mtlsd_request *request)
{
	return (struct step *) request;
}

static struct request *
request_of(const mtlsd_request *request)
{
	return step_of(request)->request;
}

/* --- instance ---------------------------------------------------------------------------------------------------- */

static const char *
host_plugin_name(const mtlsd_instance *self)
{
	return instance_plugin((const struct instance *) self);
}

static uint64_t
host_instance_number(const mtlsd_instance *self)
{
	return instance_number((const struct instance *) self);
}

static void
host_log(const mtlsd_instance *self, mtlsd_log_level level, const char *format, ...)
{
	CLEANUP(scope_leave) struct scope_frame frame = in_daemon();
	struct instance *instance = (struct instance *) self;
	char text[1024], number[24];
	va_list args;

	if (level < MTLSD_LOG_ERROR || level > MTLSD_LOG_DEBUG || (int) level > log_level() ||
	    !instance_admit_log(instance))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(number, sizeof(number), "%llu", (unsigned long long) instance_number(instance));
	log_record((int) level,
		   LOG_FIELDS({"MTLSD_PLUGIN", instance_plugin(instance)}, {"MTLSD_INSTANCE", number},
			      {"MTLSD_ROUTE", crash_noted_route()}),
		   "%s: %s", instance_plugin(instance), text);
}

static int
host_counter(mtlsd_instance *self, const char *name, const char *help)
{
	return instance_counter((struct instance *) self, name, help);
}

static void
host_count(mtlsd_instance *self, int counter, uint64_t add)
{
	instance_count((struct instance *) self, counter, add);
}

static int64_t
host_nonce_window(const mtlsd_instance *self)
{
	return nonces_window(instance_nonces((const struct instance *) self));
}

static int
host_nonce(mtlsd_instance *self, const void *nonce, size_t length, int64_t signed_at)
{
	CLEANUP(scope_leave) struct scope_frame frame = in_daemon();

	return nonces_accept(instance_nonces((struct instance *) self), nonce, length, signed_at, nonces_time().now);
}

/* --- settings ---------------------------------------------------------------------------------------------------- */

static int64_t
host_config_int(const mtlsd_config *config, const char *name)
{
	return settings_int((const struct settings *) config, name);
}

static const char *
host_config_string(const mtlsd_config *config, const char *name)
{
	return settings_string((const struct settings *) config, name);
}

static const char *
host_config_item(const mtlsd_config *config, const char *name, size_t index)
{
	return settings_item((const struct settings *) config, name, index);
}

/* --- reading a request ------------------------------------------------------------------------------------------- */

static const char *
host_method(const mtlsd_request *request)
{
	return request_of(request)->head.method;
}

static const char *
host_path(const mtlsd_request *request)
{
	return request_of(request)->head.path;
}

static const char *
host_query(const mtlsd_request *request)
{
	return request_of(request)->head.query;
}

static const char *
host_host(const mtlsd_request *request)
{
	return request_of(request)->head.host;
}

static const char *
host_route(const mtlsd_request *request)
{
	return request_of(request)->route->name;
}

static const char *
host_header(const mtlsd_request *request, const char *name, size_t index)
{
	const struct request_head *head = &request_of(request)->head;

	for (size_t i = 0; name != NULL && i < head->header_count; i++) {
		if (strcasecmp(head->headers[i].name, name) == 0 && index-- == 0)
			return head->headers[i].value;
	}
	return NULL;
}

static int
host_header_at(const mtlsd_request *request, size_t index, const char **name, const char **value)
{
	const struct request_head *head = &request_of(request)->head;

	if (index >= head->header_count)
		return 0;
	*name = head->headers[index].name;
	*value = head->headers[index].value;
	return 1;
}

static const char *
host_client_cert(const mtlsd_request *request, size_t index)
{
	struct scope_frame frame;

	scope_enter_daemon(&frame); /* it is kept for the connection */
	const char *field = identity_client_cert(connection_peer(request_of(request)->connection)->identity, index);
	scope_leave(&frame);
	return field;
}

static int
host_channel_binding(const mtlsd_request *request, void *buffer, size_t size)
{
	const struct connection_peer *peer = connection_peer(request_of(request)->connection);

	if (peer->binding == NULL)
		return -ENODATA;
	if (size < CONNECTION_BINDING)
		return -ENOSPC;
	memcpy(buffer, peer->binding, CONNECTION_BINDING);
	return CONNECTION_BINDING;
}

static const void *
host_body(const mtlsd_request *request, size_t *length)
{
	const struct request *r = request_of(request);

	if (length != NULL)
		*length = r->streaming ? 0 : r->body_length;
	return r->streaming || r->body == NULL ? "" : r->body;
}

static int64_t
host_content_length(const mtlsd_request *request)
{
	return request_of(request)->head.content_length;
}

static const struct identity *
identity_of(const mtlsd_request *request)
{
	return connection_peer(request_of(request)->connection)->identity;
}

static const char *
host_identity(const mtlsd_request *request, mtlsd_field field, size_t index)
{
	const struct identity *identity = identity_of(request);
	const char *const single[] = {
		[MTLSD_ID_SUBJECT] = identity->subject,
		[MTLSD_ID_ISSUER] = identity->issuer,
		[MTLSD_ID_SERIAL] = identity->serial,
		[MTLSD_ID_SPKI_SHA256] = identity->spki_sha256,
		[MTLSD_ID_CERTIFICATE_SHA256] = identity->certificate_sha256,
	};
	static const enum identity_san sans[] = {
		[MTLSD_ID_SAN_URI] = IDENTITY_SAN_URI,
		[MTLSD_ID_SAN_DNS] = IDENTITY_SAN_DNS,
		[MTLSD_ID_SAN_EMAIL] = IDENTITY_SAN_EMAIL,
		[MTLSD_ID_SAN_IP] = IDENTITY_SAN_IP,
	};
	if ((unsigned) field < ARRAY_LENGTH(single))
		return index == 0 ? single[field] : NULL;
	if ((unsigned) field >= ARRAY_LENGTH(sans) && field != MTLSD_ID_PURPOSE)
		return NULL;
	const char *const *names = field == MTLSD_ID_PURPOSE ? identity->purposes : identity->san[sans[field]];
	for (; *names != NULL; names++) {
		if (index-- == 0)
			return *names;
	}
	return NULL;
}

static int64_t
host_not_before(const mtlsd_request *request)
{
	return identity_of(request)->not_before;
}

static int64_t
host_not_after(const mtlsd_request *request)
{
	return identity_of(request)->not_after;
}

static const char *
host_peer_address(const mtlsd_request *request)
{
	return connection_peer(request_of(request)->connection)->address;
}

static const char *
host_tls_version(const mtlsd_request *request)
{
	return connection_peer(request_of(request)->connection)->tls_version;
}

static int64_t
host_deadline(const mtlsd_request *request)
{
	uint64_t now = deadline_now(request_of(request)->service->wheel), until = step_of(request)->until;
	return until > now ? (int64_t) ((until - now) / 1000) : 0;
}

static int
host_cancelled(const mtlsd_request *request)
{
	struct request *r = request_of(request);

	pthread_mutex_lock(&r->lock);
	int cancelled = (int) r->cancelled;
	pthread_mutex_unlock(&r->lock);
	return cancelled;
}

/* --- memory and data of a request -------------------------------------------------------------------------------- */

static void *
host_alloc(mtlsd_request *request, size_t size)
{
	struct step *step = step_of(request);
	return scope_arena_alloc_at(&step->arena, instance_space(step->visit.instance), size,
				    (uintptr_t) __builtin_return_address(0));
}

static int
host_set_data(mtlsd_request *request, void *data, void (*release)(void *))
{
	struct step *step = step_of(request);

	if (step->release != NULL) {
		struct instance_call call;
		instance_call_begin(step->visit.instance, &call, step->booking);
		step->release(step->data);
		instance_call_end(&call);
	}
	step->data = data;
	step->release = release;
	return 0;
}

static void *
host_data(const mtlsd_request *request)
{
	return step_of(request)->data;
}

static int
host_set_connection_data(mtlsd_request *request, void *data, void (*release)(void *))
{
	CLEANUP(scope_leave) struct scope_frame frame = in_daemon();
	return connection_set_data(request_of(request)->connection, step_of(request)->visit.instance, data, release);
}

static void *
host_connection_data(const mtlsd_request *request)
{
	return connection_data(request_of(request)->connection, step_of(request)->visit.instance);
}

static struct attribute *
find_attribute(const struct request *request, const char *name)
{
	struct attribute *attribute = request->attributes;
	while (attribute != NULL && strcmp(attribute->name, name) != 0)
		attribute = attribute->next;
	return attribute;
}

static int
host_set_attribute(mtlsd_request *request, const char *name, const char *value)
{
	CLEANUP(scope_leave) struct scope_frame frame = in_daemon();
	struct request *r = request_of(request);

	if (name == NULL || name[0] == '\0' || value == NULL)
		return -EINVAL;
	char *copy = strdup(value);
	if (copy == NULL)
		return -ENOMEM;
	struct attribute *attribute = find_attribute(r, name);
	if (attribute == NULL) {
		if (r->attribute_count == ATTRIBUTES_MAX) {
			free(copy);
			return -ENOSPC;
		}
		size_t size = strlen(name) + 1;
		attribute = calloc(1, sizeof(*attribute) + size);
		if (attribute == NULL) {
			free(copy);
			return -ENOMEM;
		}
		memcpy(attribute->name, name, size);
		attribute->next = r->attributes;
		r->attributes = attribute;
		r->attribute_count++;
	}
	free(attribute->value);
	attribute->value = copy;
	return 0;
}

static const char *
host_attribute(const mtlsd_request *request, const char *name)
{
	const struct attribute *attribute = name != NULL ? find_attribute(request_of(request), name) : NULL;
	return attribute != NULL ? attribute->value : NULL;
}

/* --- answering --------------------------------------------------------------------------------------------------- */

/* With the lock held: may the plugin still write to the response? */
static int
answerable(const struct step *step)
{
	const struct request *request = step->request;

	if (request->cancelled != 0)
		return -ECANCELED;
	if (request->answered || step->phase == STEP_OVER || step->phase == STEP_CLOSED)
		return -EALREADY;
	return 0;
}

static int
host_add_header(mtlsd_request *request, const char *name, const char *value)
{
	CLEANUP(scope_leave) struct scope_frame frame = in_daemon();
	struct request *r = request_of(request);

	pthread_mutex_lock(&r->lock);
	int result = answerable(step_of(request));
	if (result == 0)
		result = response_add_header(&r->response, name, value, NULL);
	pthread_mutex_unlock(&r->lock);
	return result;
}

static int
host_respond(mtlsd_request *request, int status, const void *body, size_t length)
{
	CLEANUP(scope_leave) struct scope_frame frame = in_daemon();
	struct request *r = request_of(request);

	pthread_mutex_lock(&r->lock);
	int result = answerable(step_of(request));
	if (result == 0)
		result = response_set(&r->response, status, body, length);
	pthread_mutex_unlock(&r->lock);
	if (result == 0)
		step_drop_stream(r);
	return result;
}

static int
host_respond_stream(mtlsd_request *request, int status, int64_t length, const mtlsd_stream *stream, void *context)
{
	CLEANUP(scope_leave) struct scope_frame frame = in_daemon();
	struct request *r = request_of(request);

	if (stream == NULL || stream->size < sizeof(*stream) || stream->read == NULL || length < -1)
		return -EINVAL;
	step_drop_stream(r);
	pthread_mutex_lock(&r->lock);
	int result = answerable(step_of(request));
	if (result == 0)
		result = response_set(&r->response, status, NULL, 0);
	if (result == 0) {
		r->response.streamed = true;
		r->response.announced = length;
		r->stream = *stream;
		r->stream_context = context;
		r->stream_step = step_of(request);
	}
	pthread_mutex_unlock(&r->lock);
	return result;
}

static void
host_stream_ready(mtlsd_request *request)
{
	CLEANUP(scope_leave) struct scope_frame frame = in_daemon();
	struct request *r = request_of(request);

	pthread_mutex_lock(&r->lock);
	bool resume = r->stream_waiting && r->suspended;
	if (r->stream_waiting) {
		r->stream_waiting = false;
		r->suspended = false;
	} else {
		r->stream_ready = true;
	}
	atomic_fetch_add(&r->refs, 1);
	pthread_mutex_unlock(&r->lock);
	if (resume)
		r->ops->resume(r->transport);
	request_unref(r);
}

static int
host_finish(mtlsd_request *request, mtlsd_action action)
{
	CLEANUP(scope_leave) struct scope_frame frame = in_daemon();
	return step_finish(step_of(request), action);
}

/* --- dump -------------------------------------------------------------------------------------------------------- */

static void
host_dump_text(mtlsd_dump *dump, const char *name, const char *value)
{
	CLEANUP(scope_leave) struct scope_frame frame = in_daemon();
	struct words *words = (struct words *) dump;

	/* json_string refuses what is not UTF-8: such a word is left out rather than breaking the reply. */
	if (name != NULL && value != NULL)
		(void) json_object_set_new(words->object, name, json_string(value));
}

static void
host_dump_number(mtlsd_dump *dump, const char *name, uint64_t value)
{
	CLEANUP(scope_leave) struct scope_frame frame = in_daemon();
	struct words *words = (struct words *) dump;

	if (name != NULL)
		(void) json_object_set_new(words->object, name, json_integer((json_int_t) value));
}

const mtlsd_host *
host_table(void)
{
	static const mtlsd_host table = {
		.size = sizeof(mtlsd_host),
		.abi_major = MTLSD_ABI_MAJOR,
		.abi_minor = MTLSD_ABI_MINOR,
		.plugin_name = host_plugin_name,
		.instance_number = host_instance_number,
		.log = host_log,
		.counter = host_counter,
		.count = host_count,
		.config_int = host_config_int,
		.config_string = host_config_string,
		.config_item = host_config_item,
		.method = host_method,
		.path = host_path,
		.query = host_query,
		.host = host_host,
		.route = host_route,
		.header = host_header,
		.header_at = host_header_at,
		.body = host_body,
		.content_length = host_content_length,
		.identity = host_identity,
		.not_before = host_not_before,
		.not_after = host_not_after,
		.peer_address = host_peer_address,
		.tls_version = host_tls_version,
		.deadline = host_deadline,
		.cancelled = host_cancelled,
		.alloc = host_alloc,
		.set_data = host_set_data,
		.data = host_data,
		.set_connection_data = host_set_connection_data,
		.connection_data = host_connection_data,
		.set_attribute = host_set_attribute,
		.attribute = host_attribute,
		.add_header = host_add_header,
		.respond = host_respond,
		.respond_stream = host_respond_stream,
		.stream_ready = host_stream_ready,
		.finish = host_finish,
		.dump_text = host_dump_text,
		.dump_number = host_dump_number,
		.client_cert = host_client_cert,
		.channel_binding = host_channel_binding,
		.nonce_window = host_nonce_window,
		.nonce = host_nonce,
	};
	return &table;
}
