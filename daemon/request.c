/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "request.h"

#include "accesslog.h"
#include "event.h"
#include "monotonic.h"
#include "step.h"
#include "supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The states of a request, each one function below:
 *
 *   route     match path, host, method and identity        -> page 404/403/405, upload or chain
 *   upload    the body comes in: buffered, or piece by piece to a handler that streams
 *   chain     filters in order, then the handler: enter, call, take the action
 *   wait      a plugin has it (pool, deferred); the transport is suspended
 *   answer    the transport sends the response
 *   end       `done`, counters, release
 */

/* --- service ----------------------------------------------------------------------------------------------------- */

int
request_service_new(struct supervisor *supervisor, struct request_service **ret)
{
	struct request_service *service = calloc(1, sizeof(*service));
	if (service == NULL)
		return -ENOMEM;
	service->supervisor = supervisor;
	int r = snapshot_store_new(&service->snapshots);
	if (r == 0)
		r = deadline_wheel_new(NULL, &service->wheel);
	if (r == 0)
		r = pool_new("mtlsd-late", 2, 0, &service->late);
	if (r < 0) {
		request_service_free(&service);
		return r;
	}
	*ret = service;
	return 0;
}

int
request_service_apply(struct request_service *service, struct config *config)
{
	struct plugin **plugins = calloc(config->plugin_count + 1, sizeof(*plugins));
	if (plugins == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < config->plugin_count; i++)
		plugins[i] = supervisor_plugin(service->supervisor, config->plugins[i].name);
	int r = snapshot_publish(service->snapshots, config, plugins);
	if (r < 0)
		free(plugins);
	return r;
}

size_t
request_service_settle(struct request_service *service)
{
	return snapshot_sweep(service->snapshots);
}

const char *
request_service_route(struct request_service *service, unsigned number)
{
	return snapshot_route_name(service->snapshots, number);
}

void
request_service_free(struct request_service **servicep)
{
	struct request_service *service = *servicep;
	if (service == NULL)
		return;
	pool_free(&service->late);
	deadline_wheel_free(&service->wheel);
	snapshot_store_free(&service->snapshots);
	free(service);
	*servicep = NULL;
}

void
request_service_drain(struct request_service *service)
{
	atomic_store(&service->draining, true);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

void
request_unref(struct request *request)
{
	if (atomic_fetch_sub(&request->refs, 1) > 1)
		return;
	while (request->attributes != NULL) {
		struct attribute *next = request->attributes->next;
		free(request->attributes->value);
		free(request->attributes);
		request->attributes = next;
	}
	if (request->piece_copied)
		free((void *) request->piece);
	free(request->body);
	response_clear(&request->response);
	connection_unref(&request->connection);
	snapshot_release(request->snapshot);
	pthread_mutex_destroy(&request->lock);
	free(request->steps);
	free(request);
}

static void
deadline_passed(struct deadline *deadline)
{
	struct request *request = CONTAINER_OF(deadline, struct request, deadline);
	step_cancel(request_step(request), MTLSD_DEADLINE);
}

/* The transport's thread only, without the lock: an expiry that runs now ends first. */
static void
disarm(struct request *request)
{
	if (!request->armed)
		return;
	deadline_cancel(request->service->wheel, &request->deadline);
	request->armed = false;
}

static const char *
copy_word(char **at, const char *word)
{
	if (word == NULL)
		return NULL;
	size_t size = strlen(word) + 1;
	char *copy = memcpy(*at, word, size);
	*at += size;
	return copy;
}

static size_t
word_size(const char *word)
{
	return word != NULL ? strlen(word) + 1 : 0;
}

/* What only the daemon may say (RFC 9440, 2.4): whatever a client sends under these names, no plugin sees. */
static bool
is_ours(const char *name)
{
	return strcasecmp(name, "Client-Cert") == 0 || strcasecmp(name, "Client-Cert-Chain") == 0;
}

/* One block holds the request, its header table and all words: one allocation a request. */
static struct request *
request_new(const struct request_head *head)
{
	size_t size = head->header_count * sizeof(struct request_header) + word_size(head->method) +
		      word_size(head->target) + word_size(head->path) + word_size(head->query) +
		      word_size(head->version) + word_size(head->host);
	for (size_t i = 0; i < head->header_count; i++)
		size += word_size(head->headers[i].name) + word_size(head->headers[i].value);
	struct request *request = malloc(sizeof(*request) + 16 + size);
	if (request == NULL)
		return NULL;
	memset(request, 0, sizeof(*request));
	atomic_init(&request->refs, 1);
	pthread_mutex_init(&request->lock, NULL);
	deadline_init(&request->deadline, deadline_passed);
	struct request_header *headers = (void *) (((uintptr_t) request->words + 15) & ~(uintptr_t) 15);
	char *at = (char *) (headers + head->header_count);
	size_t count = 0;
	for (size_t i = 0; i < head->header_count; i++) {
		if (is_ours(head->headers[i].name))
			continue;
		headers[count].name = copy_word(&at, head->headers[i].name);
		headers[count++].value = copy_word(&at, head->headers[i].value);
	}
	request->head = (struct request_head){
		.method = copy_word(&at, head->method),
		.target = copy_word(&at, head->target),
		.path = copy_word(&at, head->path),
		.query = copy_word(&at, head->query),
		.version = copy_word(&at, head->version),
		.host = copy_word(&at, head->host),
		.headers = headers,
		.header_count = count,
		.content_length = head->content_length,
	};
	return request;
}

/* --- answer ------------------------------------------------------------------------------------------------------ */

static void
request_retry_after(struct request *request, uint64_t wait)
{
	char seconds[24];

	(void) snprintf(seconds, sizeof(seconds), "%" PRIu64, wait > 1000000 ? (wait + 999999) / 1000000 : 1);
	(void) response_add_header(&request->response, "Retry-After", seconds, NULL);
}

void
request_page(struct request *request, int status, const char *line)
{
	(void) response_set_page(&request->response, status, line);
	request->answered = true;
	if (status == 503)
		request_retry_after(request, 0);
}

void
request_refuse(struct request *request, uint64_t wait, const char *line)
{
	(void) response_set_page(&request->response, 503, line);
	request->answered = true;
	request_retry_after(request, wait);
}

static enum request_next
answer(struct request *request)
{
	disarm(request);
	pthread_mutex_lock(&request->lock);
	request->answered = true;
	pthread_mutex_unlock(&request->lock);
	if (!request->uploaded || atomic_load_explicit(&request->service->draining, memory_order_relaxed))
		request->response.close = true;
	return REQUEST_ANSWER;
}

/* A cancelled request is answered by the daemon; a plugin that still holds it cannot touch the response any more. */
static enum request_next
answer_cancelled(struct request *request)
{
	disarm(request);
	switch (request->cancelled) {
	case MTLSD_DEADLINE:
		request_page(request, 504, "the service did not answer in time");
		break;
	default:
		request_page(request, 503, "the service is being replaced; try again");
		break;
	}
	request->response.close = true;
	return answer(request);
}

static enum request_next
answer_failure(struct request *request, const struct step *step)
{
	if (step->visit.plugin != NULL)
		stats_add(plugin_stats(step->visit.plugin), PLUGIN_FAILED, 1);
	request_page(request, 500, "the service failed");
	return answer(request);
}

/* --- chain ------------------------------------------------------------------------------------------------------- */

static bool
is_cancelled(struct request *request)
{
	pthread_mutex_lock(&request->lock);
	bool cancelled = request->cancelled != 0;
	pthread_mutex_unlock(&request->lock);
	return cancelled;
}

static enum request_next chain(struct request *request);

/* What the current step's plugin said. */
static enum request_next
take_action(struct request *request)
{
	struct step *step = request_step(request);
	bool last = request->current + 1 == request->step_count;

	switch (step_take(step)) {
	case MTLSD_DONE:
		if (request->response.status == 0)
			break;
		return answer(request);
	case MTLSD_PASS:
		/* What a filter answered before it passed on does not count; its headers do. */
		if (last)
			break;
		disarm(request);
		step_drop_stream(request);
		request->response.streamed = false;
		request->response.status = 0;
		request->current++;
		return chain(request);
	case MTLSD_MORE:
		if (!request->streaming || !last || request->body_ended)
			break;
		disarm(request);
		return REQUEST_READ;
	default:
		break;
	}
	return answer_failure(request, step);
}

static enum request_next
called(struct request *request, bool ready)
{
	if (!ready)
		return REQUEST_WAIT;
	if (is_cancelled(request))
		return answer_cancelled(request);
	if (request->answered)
		return answer(request);
	return take_action(request);
}

static enum request_next
chain(struct request *request)
{
	struct step *step = request_step(request);
	bool last = request->current + 1 == request->step_count;

	if (!step_enter(step))
		return answer(request);
	if (last &&
	    request->streaming != ((instance_descriptor(step->visit.instance)->flags & MTLSD_STREAM_BODY) != 0)) {
		/* Between the head and now a reload changed how the plugin takes bodies. */
		request_page(request, 503, "the service was replaced; try again");
		return answer(request);
	}
	return called(request, step_call(step, false));
}

/* --- upload ------------------------------------------------------------------------------------------------------ */

static enum request_next
feed_piece(struct request *request, const void *data, size_t length)
{
	struct step *step = request_step(request);

	if (is_cancelled(request))
		return answer_cancelled(request);
	if (request->piece_copied)
		free((void *) request->piece);
	request->piece_copied = false;
	request->piece = data;
	request->piece_length = length;
	request->body_ended = length == 0;
	step->until = deadline_now(request->service->wheel) + step->config->deadline;
	return called(request, step_call(step, true));
}

static enum request_next
too_large(struct request *request)
{
	request_page(request, 413, "the body is larger than this address takes");
	request->response.close = true;
	return answer(request);
}

static enum request_next
feed_buffer(struct request *request, const void *data, size_t length)
{
	if (length > request->body_limit - request->body_length)
		return too_large(request);
	if (request->body_length + length > request->body_capacity) {
		size_t capacity = request->body_capacity * 2;
		if (capacity < request->body_length + length)
			capacity = request->body_length + length;
		char *grown = realloc(request->body, capacity);
		if (grown == NULL) {
			request_page(request, 503, "out of memory; try again");
			return answer(request);
		}
		request->body = grown;
		request->body_capacity = capacity;
	}
	memcpy(request->body + request->body_length, data, length);
	request->body_length += length;
	return REQUEST_READ;
}

enum request_next
request_feed(struct request *request, const void *data, size_t length)
{
	if (request->answered)
		return REQUEST_ANSWER;
	if (!request->streaming)
		return feed_buffer(request, data, length);
	if (length > request->body_limit - request->body_length)
		return too_large(request);
	request->body_length += length;
	return length > 0 ? feed_piece(request, data, length) : REQUEST_READ;
}

enum request_next
request_upload_complete(struct request *request)
{
	request->uploaded = true;
	if (request->answered)
		return answer(request);
	return request->streaming ? feed_piece(request, NULL, 0) : chain(request);
}

enum request_next
request_poll(struct request *request)
{
	if (request->answered)
		return REQUEST_ANSWER;
	if (is_cancelled(request))
		return answer_cancelled(request);
	return take_action(request);
}

/* --- route ------------------------------------------------------------------------------------------------------- */

static int
prepare_steps(struct request *request)
{
	const struct config_route *route = request->route;

	request->steps = calloc(route->filter_count + 1, sizeof(*request->steps));
	if (request->steps == NULL)
		return -ENOMEM;
	request->step_count = route->filter_count + 1;
	for (size_t i = 0; i < request->step_count; i++) {
		request->steps[i].request = request;
		request->steps[i].config = i < route->filter_count ? route->filters[i] : route->handler;
	}
	return 0;
}

static void
tell_denial(const struct connection_peer *peer, const struct config_route *route)
{
	event_log(EVENT_ACCESS_DENIED,
		  LOG_FIELDS({"MTLSD_PEER", peer->address}, {"MTLSD_ROUTE", route->name},
			     {"MTLSD_SUBJECT", peer->identity->subject}),
		  "route %s: client %s (%s) may not use it", route->name, peer->address, peer->identity->subject);
}

static enum request_next
refuse(struct request *request, const struct router_match *match)
{
	switch (match->outcome) {
	case ROUTER_NOT_FOUND:
		request_page(request, 404, "nothing is served at this address");
		break;
	case ROUTER_METHOD:
		request_page(request, 405, "this address does not take this method");
		(void) response_add_header(&request->response, "Allow", match->allow, NULL);
		break;
	default:
		tell_denial(connection_peer(request->connection), match->route);
		request_page(request, 403, "this certificate may not use this address");
		break;
	}
	return answer(request);
}

static enum request_next
route(struct request *request)
{
	struct router_match match;
	const struct config *config = request->snapshot->config;

	const struct connection_peer *peer = connection_peer(request->connection);

	router_match(request->snapshot->router, request->head.method, request->head.host, request->head.path,
		     &(struct access_peer){peer->identity, peer->address}, &match);
	if (match.outcome != ROUTER_OK)
		return refuse(request, &match);
	request->route = match.route;
	const struct config_plugin *handler = match.route->handler;
	request->body_limit = handler->body_size != 0 ? handler->body_size : config->limits.body_size;
	if (request->head.content_length > 0 && (uint64_t) request->head.content_length > request->body_limit)
		return too_large(request);
	if (prepare_steps(request) < 0) {
		request_page(request, 503, "out of memory; try again");
		return answer(request);
	}
	request->streaming = (plugin_flags(request->snapshot->plugins[handler->index]) & MTLSD_STREAM_BODY) != 0;
	if (request->streaming)
		return chain(request);
	if (request->head.content_length > 0) {
		request->body_capacity = (size_t) request->head.content_length;
		request->body = malloc(request->body_capacity);
		if (request->body == NULL)
			request->body_capacity = 0; /* feeding tries again */
	}
	return REQUEST_READ;
}

int
request_begin(struct request_service *service, struct connection *connection, const struct request_head *head,
	      const struct request_transport *ops, void *transport, struct request **ret, enum request_next *ret_next)
{
	struct request *request = request_new(head);
	if (request == NULL)
		return -ENOMEM;
	request->service = service;
	request->snapshot = snapshot_acquire(service->snapshots);
	if (request->snapshot == NULL) {
		pthread_mutex_destroy(&request->lock);
		free(request);
		return -ENOMEM;
	}
	request->connection = connection_ref(connection);
	request->ops = ops;
	request->transport = transport;
	request->began = accesslog_is_on(service->log) ? monotonic_now() : 0;
	request->uploaded = head->content_length == 0;
	*ret = request;
	*ret_next = route(request);
	return 0;
}

/* --- answer and end ---------------------------------------------------------------------------------------------- */

const struct response *
request_response(const struct request *request)
{
	return &request->response;
}

ssize_t
request_stream_read(struct request *request, uint64_t position, char *buffer, size_t size)
{
	struct step *step = request->stream_step;
	struct instance_call call;

	if (step == NULL)
		return -2;
	for (;;) {
		pthread_mutex_lock(&request->lock);
		bool broken = request->stream_broken;
		request->stream_ready = false;
		pthread_mutex_unlock(&request->lock);
		if (broken)
			return -2;
		instance_call_begin(step->visit.instance, &call, step->booking);
		ssize_t n = request->stream.read(request->stream_context, position, buffer, size);
		instance_call_end(&call);
		if (n > 0) {
			request->streamed += (size_t) n;
			return (size_t) n <= size ? n : -2;
		}
		if (n == 0)
			return -1;
		if (n != -EAGAIN)
			return -2;
		pthread_mutex_lock(&request->lock);
		bool again = request->stream_ready || request->stream_broken;
		if (!again) {
			request->stream_waiting = true;
			request->suspended = true;
			request->ops->suspend(request->transport);
		}
		pthread_mutex_unlock(&request->lock);
		if (!again)
			return 0;
	}
}

void
request_client_gone(struct request *request)
{
	if (request->step_count > 0)
		step_cancel(request_step(request), MTLSD_CLIENT_GONE);
}

void
request_end(struct request **requestp, enum request_outcome outcome)
{
	struct request *request = *requestp;
	if (request == NULL)
		return;
	*requestp = NULL;
	disarm(request);
	pthread_mutex_lock(&request->lock);
	request->outcome = outcome;
	request->ended = true;
	/* A plugin that still has it must not find a transport that is gone. */
	request->suspended = false;
	if (request->cancelled == 0 && !request->answered)
		request->cancelled = MTLSD_CLIENT_GONE;
	pthread_mutex_unlock(&request->lock);
	if (request->began != 0 && accesslog_is_on(request->service->log))
		request_log(request, outcome);
	for (size_t i = request->step_count; i > 0; i--) {
		if (request->steps[i - 1].visit.plugin != NULL)
			step_end(&request->steps[i - 1]);
	}
	request_unref(request);
}
