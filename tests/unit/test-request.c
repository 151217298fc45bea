/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whole flow of a request without sockets, TLS or dlopen: a fake transport, fake instances, real everything else.
 */
#include "connection.h"
#include "crash.h"
#include "fake-transport.h"
#include "host.h"
#include "plugin.h"
#include "request.h"
#include "supervisor.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* --- fakes: memory -------------------------------------------------------------------------------------------------
 */

struct scope_arena {
	void *block;
};

static atomic_int open_bookings;
static atomic_uint epoch; /* of every booking */
static unsigned last_class;

void
scope_enter(struct scope_frame *frame, struct scope_space *space UNUSED, struct scope_booking *booking UNUSED)
{
	memset(frame, 0, sizeof(*frame));
}

void
scope_enter_daemon(struct scope_frame *frame)
{
	memset(frame, 0, sizeof(*frame));
}

void
scope_leave(struct scope_frame *frame UNUSED)
{
}

int
scope_booking_open(struct scope_space *space UNUSED, struct scope_booking **ret)
{
	*ret = malloc(1);
	open_bookings++;
	return 0;
}

void
scope_booking_close(struct scope_booking **booking, unsigned route UNUSED, unsigned status_class, uint64_t *ret_bytes,
		    uint64_t *ret_blocks)
{
	free(*booking);
	*booking = NULL;
	open_bookings--;
	last_class = status_class;
	*ret_bytes = 48;
	*ret_blocks = 1;
}

bool
scope_active(void)
{
	return true;
}

uint32_t
scope_booking_epoch(const struct scope_booking *booking UNUSED)
{
	return epoch;
}

struct heap *
scope_space_own(const struct scope_space *space UNUSED)
{
	return (struct heap *) &epoch;
}

void
heap_live(const struct heap *heap, struct heap_live *ret)
{
	*ret = heap != NULL ? (struct heap_live){1000, 10, 300} : (struct heap_live){77, 7, 0};
}

void
heap_usage(const struct heap *heap UNUSED, struct heap_usage *ret)
{
	*ret = (struct heap_usage){.resident_bytes = 4096};
}

uint64_t
heap_largest(const struct heap *heap UNUSED)
{
	return 800;
}

void *
scope_arena_alloc_at(struct scope_arena **arena, struct scope_space *space UNUSED, size_t size, uintptr_t site UNUSED)
{
	if (*arena == NULL)
		*arena = calloc(1, sizeof(**arena));
	free((*arena)->block);
	return (*arena)->block = malloc(size);
}

void
scope_arena_free(struct scope_arena **arena)
{
	if (*arena != NULL)
		free((*arena)->block);
	free(*arena);
	*arena = NULL;
}

int
heap_new(const char *name UNUSED, const struct heap_limits *limits UNUSED, bool refuses UNUSED, struct heap **ret)
{
	*ret = NULL;
	return 0;
}

/* --- fakes: instances ----------------------------------------------------------------------------------------------
 */

struct instance {
	mtlsd_plugin descriptor;
	struct pool *pool;
	struct exposure *exposure;
	struct instance_observer observer;
};

static _Thread_local int inside;

void
crash_note(const char *route UNUSED, const char *path UNUSED)
{
}

const char *
crash_noted_route(void)
{
	return NULL;
}

void
instance_call_begin(struct instance *instance, struct instance_call *call, struct scope_booking *booking UNUSED)
{
	call->instance = instance;
	inside++;
}

void
instance_call_end(struct instance_call *call UNUSED)
{
	inside--;
}

const mtlsd_plugin *
instance_descriptor(const struct instance *instance)
{
	return &instance->descriptor;
}

void *
instance_user(const struct instance *instance)
{
	return (void *) instance;
}

struct scope_space *
instance_space(const struct instance *instance UNUSED)
{
	return NULL;
}

struct exposure *
instance_exposure(const struct instance *instance)
{
	return instance->exposure;
}

const struct instance_observer *
instance_observer(const struct instance *instance)
{
	return instance->observer.observe != NULL ? &instance->observer : NULL;
}

uint64_t
instance_began(const struct instance *instance UNUSED)
{
	return 5;
}

struct pool *
instance_pool(const struct instance *instance)
{
	return instance->pool;
}

const char *
instance_plugin(const struct instance *instance)
{
	return instance->descriptor.name;
}

uint64_t
instance_number(const struct instance *instance UNUSED)
{
	return 7;
}

bool
instance_admit_log(struct instance *instance UNUSED)
{
	return true;
}

int
instance_counter(struct instance *instance UNUSED, const char *name UNUSED, const char *help UNUSED)
{
	return -ENOSPC;
}

void
instance_count(struct instance *instance UNUSED, int counter UNUSED, uint64_t add UNUSED)
{
}

/* --- the stage: two plugins, "front" (a filter) and "back" (a handler), one route
 * ------------------------------------- */

struct stage {
	struct instance front, back;
	struct plugin *plugins[2];
	struct config config;
	struct config_plugin config_plugins[2];
	struct config_rule rule;
	struct config_route route;
	const struct config_plugin *filters[1];
	struct identity identity;
	struct connection *connection;
	struct request_service *service;
	struct fake_transport wire;
};

static struct stage *stage;

struct plugin *
supervisor_plugin(struct supervisor *supervisor UNUSED, const char *name)
{
	return stage->plugins[strcmp(name, "back") == 0];
}

static atomic_int done_calls, cancel_calls, release_calls;
static mtlsd_outcome last_outcome;
static mtlsd_request *deferred;
static mtlsd_reason cancel_reason;

static const mtlsd_host *
host(void)
{
	return host_table();
}

static mtlsd_action
hello(void *user UNUSED, mtlsd_request *request)
{
	assert_int_equal(inside, 1);
	host()->add_header(request, "X-Path", host()->path(request));
	host()->respond(request, 200, "hello", 5);
	return MTLSD_DONE;
}

static void
count_done(void *user UNUSED, mtlsd_request *request, mtlsd_outcome outcome)
{
	assert_non_null(host()->path(request));
	last_outcome = outcome;
	done_calls++;
}

static void
count_cancel(void *user UNUSED, mtlsd_request *request, mtlsd_reason reason)
{
	assert_int_equal(host()->cancelled(request), reason);
	cancel_reason = reason;
	cancel_calls++;
}

static int
set_up(void **state)
{
	static char *const no_strings[1];
	static const char *const no_names[] = {NULL};

	stage = aligned_alloc(64, (sizeof(*stage) + 63) / 64 * 64);
	memset(stage, 0, sizeof(*stage));
	done_calls = cancel_calls = release_calls = open_bookings = 0;
	epoch = 1;
	deferred = NULL;
	stage->front.descriptor = (mtlsd_plugin){.name = "front", .flags = MTLSD_FILTER | MTLSD_CONCURRENT};
	stage->back.descriptor = (mtlsd_plugin){.name = "back",
						.flags = MTLSD_CONCURRENT,
						.request = hello,
						.done = count_done,
						.cancel = count_cancel};
	assert_int_equal(exposure_new(&stage->front.exposure), 0);
	assert_int_equal(exposure_new(&stage->back.exposure), 0);
	assert_int_equal(plugin_new("front", &stage->plugins[0]), 0);
	assert_int_equal(plugin_new("back", &stage->plugins[1]), 0);
	plugin_switch(stage->plugins[0], &stage->front);
	plugin_switch(stage->plugins[1], &stage->back);
	stage->config_plugins[0] =
		(struct config_plugin){.name = (char *) "front", .enabled = true, .deadline = 60000000};
	stage->config_plugins[1] =
		(struct config_plugin){.name = (char *) "back", .enabled = true, .deadline = 60000000, .index = 1};
	stage->rule.any = true;
	stage->filters[0] = &stage->config_plugins[0];
	stage->route = (struct config_route){
		.name = (char *) "main",
		.prefix = (char *) "/a/",
		.methods = {(char **) no_strings, 0},
		.allow = &stage->rule,
		.allow_count = 1,
		.handler = &stage->config_plugins[1],
		.filters = stage->filters,
	};
	stage->config.limits.body_size = 100;
	stage->config.plugins = stage->config_plugins;
	stage->config.plugin_count = 2;
	stage->config.routes = &stage->route;
	stage->config.route_count = 1;
	stage->identity = (struct identity){
		.subject = "CN=x", .issuer = "CN=ca", .serial = "1", .spki_sha256 = "", .certificate_sha256 = "00a0"};
	for (size_t i = 0; i < IDENTITY_SAN_COUNT; i++)
		stage->identity.san[i] = no_names;
	stage->identity.purposes = no_names;
	fake_transport_set_up(&stage->wire);
	assert_int_equal(connection_new(&(struct connection_peer){.identity = &stage->identity,
								  .address = "192.0.2.1",
								  .listener = "main",
								  .tls_version = "TLS1.3",
								  .cipher = "AES"},
					&stage->connection),
			 0);
	assert_int_equal(request_service_new(NULL, &stage->service), 0);
	assert_int_equal(request_service_apply(stage->service, &stage->config), 0);
	*state = stage;
	return 0;
}

static int
tear_down(void **state UNUSED)
{
	connection_close(stage->connection);
	connection_unref(&stage->connection);
	for (size_t i = 0; i < 2; i++)
		assert_true(plugin_drain(stage->plugins[i], NULL, 60000000));
	pool_free(&stage->back.pool);
	request_service_free(&stage->service); /* joins the late threads */
	assert_int_equal(open_bookings, 0);
	plugin_free(&stage->plugins[0]);
	plugin_free(&stage->plugins[1]);
	exposure_release(&stage->front.exposure);
	exposure_release(&stage->back.exposure);
	fake_transport_clear(&stage->wire);
	free(stage);
	return 0;
}

static struct request *
begin(const char *method, const char *path, int64_t length, enum request_next *ret_next)
{
	static const struct request_header headers[] = {{"Host", "h"}, {"Accept", "a"}, {"accept", "b"}};
	struct request *request = NULL;
	const struct request_head head = {.method = method,
					  .target = path,
					  .path = path,
					  .version = "HTTP/1.1",
					  .host = "h",
					  .headers = headers,
					  .header_count = 3,
					  .content_length = length};
	assert_int_equal(request_begin(stage->service, stage->connection, &head, &fake_transport_ops, &stage->wire,
				       &request, ret_next),
			 0);
	return request;
}

static uint64_t
counted(enum plugin_counter counter)
{
	return stats_sum(plugin_stats(stage->plugins[1]), counter);
}

/* --- tests ----------------------------------------------------------------------------------------------------------
 */

static void
test_a_request_is_answered_and_counted(void **state UNUSED)
{
	enum request_next next;
	struct request *request = begin("GET", "/a/b", 0, &next);
	assert_int_equal(next, REQUEST_READ);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	const struct response *response = request_response(request);
	assert_int_equal(response->status, 200);
	assert_memory_equal(response->body, "hello", 5);
	assert_string_equal(response->headers[0].value, "/a/b");
	assert_false(response->close);
	assert_int_equal(done_calls, 0);
	request_end(&request, REQUEST_SENT);
	assert_null(request);
	assert_int_equal(done_calls, 1);
	assert_int_equal(last_outcome, MTLSD_SENT);
	assert_int_equal(last_class, 2);
	assert_int_equal(counted(PLUGIN_REQUESTS), 1);
	assert_int_equal(counted(PLUGIN_STATUS_2), 1);
	assert_int_equal(counted(PLUGIN_ESCAPED_BYTES), 48);
}

static void
test_pages_of_the_daemon_cost_no_plugin_a_call(void **state UNUSED)
{
	enum request_next next;
	static char *post[] = {(char *) "POST"};
	struct request *request = begin("GET", "/nowhere", 0, &next);
	assert_int_equal(next, REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 404);
	request_end(&request, REQUEST_SENT);

	stage->route.methods = (struct schema_strings){post, 1};
	request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_response(request)->status, 405);
	assert_string_equal(request_response(request)->headers[1].name, "Allow");
	request_end(&request, REQUEST_SENT);

	stage->route.methods.count = 0;
	stage->rule.any = false;
	stage->rule.uri = (char *) "spiffe://nobody";
	request = begin("GET", "/a/", 10, &next);
	assert_int_equal(next, REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 403);
	assert_true(request_response(request)->close); /* its body was not read */
	request_end(&request, REQUEST_SENT);
	assert_int_equal(counted(PLUGIN_REQUESTS), 0);
}

static mtlsd_action
echo_body(void *user UNUSED, mtlsd_request *request)
{
	size_t length;
	const void *body = host()->body(request, &length);
	host()->respond(request, 201, body, length);
	return MTLSD_DONE;
}

static void
test_bodies_are_buffered_up_to_their_limit(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.request = echo_body;
	struct request *request = begin("POST", "/a/", -1, &next);
	assert_int_equal(next, REQUEST_READ);
	for (int i = 0; i < 10; i++)
		assert_int_equal(request_feed(request, "0123456789", 10), REQUEST_READ);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->length, 100);
	request_end(&request, REQUEST_SENT);

	request = begin("POST", "/a/", -1, &next);
	assert_int_equal(request_feed(request, "0123456789", 10), REQUEST_READ);
	char big[91] = "";
	assert_int_equal(request_feed(request, big, sizeof(big)), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 413);
	assert_true(request_response(request)->close);
	request_end(&request, REQUEST_SENT);

	request = begin("POST", "/a/", 101, &next);
	assert_int_equal(next, REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 413);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(counted(PLUGIN_REQUESTS), 1);
}

static mtlsd_action
say_nothing(void *user UNUSED, mtlsd_request *request UNUSED)
{
	return MTLSD_DONE;
}

static mtlsd_action
say_pass(void *user UNUSED, mtlsd_request *request UNUSED)
{
	return MTLSD_PASS;
}

static mtlsd_action
say_odd(void *user UNUSED, mtlsd_request *request UNUSED)
{
	return (mtlsd_action) 77;
}

static void
test_wrong_answers_are_500(void **state UNUSED)
{
	mtlsd_action (*const wrong[])(void *, mtlsd_request *) = {say_nothing, say_pass, say_odd};
	enum request_next next;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		stage->back.descriptor.request = wrong[i];
		struct request *request = begin("GET", "/a/", 0, &next);
		assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
		assert_int_equal(request_response(request)->status, 500);
		request_end(&request, REQUEST_SENT);
		assert_int_equal(counted(PLUGIN_FAILED), i + 1);
	}
	assert_int_equal(done_calls, 3);
}

static mtlsd_action
mark(void *user UNUSED, mtlsd_request *request)
{
	assert_int_equal(host()->set_attribute(request, "who", "front"), 0);
	assert_int_equal(host()->add_header(request, "X-Front", "1"), 0);
	host()->respond(request, 299, "not this", 8); /* passing on takes it back */
	return MTLSD_PASS;
}

static mtlsd_action
tell(void *user UNUSED, mtlsd_request *request)
{
	const char *who = host()->attribute(request, "who");
	host()->respond(request, 200, who, strlen(who));
	assert_string_equal(host()->header(request, "ACCEPT", 1), "b");
	assert_null(host()->header(request, "ACCEPT", 2));
	assert_string_equal(host()->identity(request, MTLSD_ID_SUBJECT, 0), "CN=x");
	assert_null(host()->identity(request, MTLSD_ID_SAN_URI, 0));
	assert_null(host()->identity(request, (mtlsd_field) 99, 0));
	return MTLSD_DONE;
}

static mtlsd_action
refuse(void *user UNUSED, mtlsd_request *request)
{
	host()->respond(request, 401, "no", 2);
	return MTLSD_DONE;
}

static void
test_filters_pass_or_answer(void **state UNUSED)
{
	enum request_next next;
	stage->route.filter_count = 1;
	stage->front.descriptor.request = mark;
	stage->front.descriptor.done = count_done;
	stage->back.descriptor.request = tell;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_memory_equal(request_response(request)->body, "front", 5);
	assert_int_equal(request_response(request)->header_count, 1);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(done_calls, 2);

	stage->front.descriptor.request = refuse;
	request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 401);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(done_calls, 3);
	assert_int_equal(counted(PLUGIN_REQUESTS), 1);
}

static mtlsd_action
defer(void *user UNUSED, mtlsd_request *request)
{
	deferred = request;
	return MTLSD_DEFER;
}

static void *
answer_later(void *arg)
{
	mtlsd_request *request = arg;
	assert_int_equal(host()->respond(request, 202, "later", 5), 0);
	assert_int_equal(host()->finish(request, MTLSD_DONE), 0);
	return NULL;
}

static void
test_deferred_answers_come_from_another_thread(void **state UNUSED)
{
	enum request_next next;
	pthread_t thread;
	stage->back.descriptor.request = defer;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	assert_int_equal(stage->wire.suspended, 1);
	assert_int_equal(host()->finish(deferred, MTLSD_MORE), -EINVAL);
	pthread_create(&thread, NULL, answer_later, deferred);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	pthread_join(thread, NULL);
	assert_int_equal(request_response(request)->status, 202);
	request_end(&request, REQUEST_ABORTED);
	assert_int_equal(done_calls, 1);
	assert_int_equal(last_outcome, MTLSD_ABORTED);
}

static mtlsd_action
finish_at_once(void *user UNUSED, mtlsd_request *request)
{
	host()->respond(request, 203, NULL, 0);
	assert_int_equal(host()->finish(request, MTLSD_DONE), 0);
	return MTLSD_DEFER;
}

static void
test_finish_may_come_before_the_callback_returns(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.request = finish_at_once;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 203);
	assert_int_equal(stage->wire.suspended, 0);
	request_end(&request, REQUEST_SENT);
}

static void
test_a_missed_deadline_is_504_and_the_plugin_keeps_the_request(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.request = defer;
	stage->config_plugins[1].deadline = 1;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 504);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(counted(PLUGIN_DEADLINE), 1);
	assert_int_equal(plugin_visits(stage->plugins[1], &stage->back), 1);
	/* Everything of the request can still be read, nothing be said. */
	assert_string_equal(host()->path(deferred), "/a/");
	assert_int_equal(host()->respond(deferred, 200, "x", 1), -ECANCELED);
	assert_int_equal(host()->finish(deferred, MTLSD_DONE), -ECANCELED);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_int_equal(done_calls, 1);
	assert_int_equal(cancel_calls, 1);
	assert_int_equal(cancel_reason, MTLSD_DEADLINE);
}

static void
test_drain_cancels_what_is_held(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.request = defer;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	assert_false(plugin_drain(stage->plugins[1], &stage->back, 1000));
	assert_int_equal(plugin_cancel(stage->plugins[1], &stage->back, MTLSD_DRAIN), 1);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 503);
	assert_int_equal(counted(PLUGIN_CANCELLED), 1);
	assert_int_equal(host()->finish(deferred, MTLSD_FAIL), -ECANCELED);
	request_end(&request, REQUEST_SENT);
}

static void
test_a_client_that_left_is_nobodys_answer(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.request = defer;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	request_client_gone(request);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	request_end(&request, REQUEST_ABORTED);
	assert_int_equal(host()->finish(deferred, MTLSD_DONE), -ECANCELED);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_int_equal(counted(PLUGIN_STATUS_0), 1);
}

static void
test_without_an_instance_the_answer_is_503(void **state UNUSED)
{
	enum request_next next;
	plugin_switch(stage->plugins[1], NULL);
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 503);
	assert_string_equal(request_response(request)->headers[1].name, "Retry-After");
	request_end(&request, REQUEST_SENT);
	assert_int_equal(counted(PLUGIN_REFUSED_DISABLED), 1);
}

/* --- the breaker ---------------------------------------------------------------------------------------------------
 */

/* One whole request; its status. */
static int
status_of(enum request_outcome outcome)
{
	enum request_next next;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	int status = request_response(request)->status;
	request_end(&request, outcome);
	return status;
}

static enum breaker_state
breaker_now(void)
{
	struct breaker_view view;
	breaker_view(plugin_breaker(stage->plugins[1]), 0, &view);
	return view.state;
}

static void
test_failures_open_the_breaker_and_a_trial_closes_it(void **state UNUSED)
{
	enum request_next next;
	struct breaker *breaker = plugin_breaker(stage->plugins[1]);
	breaker_set(breaker, &(struct breaker_settings){
				     .failures = 2, .open = UINT64_C(3600000000), .max_open = UINT64_C(3600000000)});
	stage->back.descriptor.request = say_odd;
	assert_int_equal(status_of(REQUEST_SENT), 500);
	assert_true(breaker_is_closed(breaker));
	assert_int_equal(status_of(REQUEST_SENT), 500);
	assert_int_equal(breaker_now(), BREAKER_OPEN);
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 503);
	assert_string_equal(request_response(request)->headers[1].name, "Retry-After");
	assert_in_range(atoi(request_response(request)->headers[1].value), 3000, 3600);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(counted(PLUGIN_REFUSED_BREAKER), 1);
	assert_int_equal(counted(PLUGIN_REQUESTS), 2);
	assert_int_equal(done_calls, 2); /* the refused one cost the plugin no call */
	/* The time is up: one request decides. */
	breaker_let(breaker);
	breaker_set(breaker, &(struct breaker_settings){.failures = 2, .open = 0, .max_open = 0});
	breaker_trip(breaker, 0);
	stage->back.descriptor.request = hello;
	assert_int_equal(status_of(REQUEST_SENT), 200);
	assert_true(breaker_is_closed(breaker));
}

static void
test_what_says_nothing_of_the_plugin_leaves_the_breaker_alone(void **state UNUSED)
{
	enum request_next next;
	struct breaker *breaker = plugin_breaker(stage->plugins[1]);
	breaker_set(breaker, &(struct breaker_settings){.failures = 1, .open = 1, .max_open = 1});
	/* A client that leaves while the plugin has its request. */
	stage->back.descriptor.request = defer;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	request_client_gone(request);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	request_end(&request, REQUEST_ABORTED);
	assert_int_equal(host()->finish(deferred, MTLSD_DONE), -ECANCELED);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_true(breaker_is_closed(breaker));
	/* A drain. */
	request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	assert_int_equal(plugin_cancel(stage->plugins[1], &stage->back, MTLSD_DRAIN), 1);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	assert_int_equal(host()->finish(deferred, MTLSD_FAIL), -ECANCELED);
	request_end(&request, REQUEST_SENT);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_true(breaker_is_closed(breaker));
	/* No instance: a trial that never reached the plugin is given back. */
	breaker_trip(breaker, 0);
	plugin_switch(stage->plugins[1], NULL);
	assert_int_equal(status_of(REQUEST_SENT), 503);
	assert_int_equal(counted(PLUGIN_REFUSED_DISABLED), 1);
	plugin_switch(stage->plugins[1], &stage->back);
	stage->back.descriptor.request = hello;
	assert_int_equal(status_of(REQUEST_SENT), 200);
	assert_true(breaker_is_closed(breaker));
}

/* Where a filter passed on, the handler's failure is the handler's. */
static void
test_a_filter_is_not_blamed_for_its_handler(void **state UNUSED)
{
	const struct breaker_settings touchy = {.failures = 1, .open = 1, .max_open = 1};
	breaker_set(plugin_breaker(stage->plugins[0]), &touchy);
	breaker_set(plugin_breaker(stage->plugins[1]), &touchy);
	stage->route.filter_count = 1;
	stage->front.descriptor.request = mark;
	stage->back.descriptor.request = say_odd;
	assert_int_equal(request_service_apply(stage->service, &stage->config), 0);
	assert_int_equal(status_of(REQUEST_SENT), 500);
	assert_true(breaker_is_closed(plugin_breaker(stage->plugins[0])));
	assert_false(breaker_is_closed(plugin_breaker(stage->plugins[1])));
}

static void
test_a_missed_deadline_is_a_failure(void **state UNUSED)
{
	enum request_next next;
	breaker_set(plugin_breaker(stage->plugins[1]),
		    &(struct breaker_settings){.failures = 1, .open = 1, .max_open = 1});
	stage->back.descriptor.request = defer;
	stage->config_plugins[1].deadline = 1;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	assert_int_equal(host()->finish(deferred, MTLSD_DONE), -ECANCELED);
	request_end(&request, REQUEST_SENT);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_false(breaker_is_closed(plugin_breaker(stage->plugins[1])));
}

/* --- blocking plugins ------------------------------------------------------------------------------------------------
 */

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_signal = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static int gate_waiting;

static mtlsd_action
wait_at_gate(void *user UNUSED, mtlsd_request *request)
{
	pthread_mutex_lock(&gate_lock);
	gate_waiting++;
	pthread_cond_broadcast(&gate_signal);
	while (!gate_open)
		pthread_cond_wait(&gate_signal, &gate_lock);
	pthread_mutex_unlock(&gate_lock);
	host()->respond(request, 200, "through", 7);
	return MTLSD_DONE;
}

static void
set_gate(bool open)
{
	pthread_mutex_lock(&gate_lock);
	gate_open = open;
	gate_waiting = 0;
	pthread_cond_broadcast(&gate_signal);
	pthread_mutex_unlock(&gate_lock);
}

static void
test_a_full_pool_answers_503_at_once(void **state UNUSED)
{
	enum request_next next;
	struct request *first, *second, *third;
	stage->back.descriptor.request = wait_at_gate;
	stage->back.descriptor.flags |= MTLSD_BLOCKING;
	breaker_set(plugin_breaker(stage->plugins[1]), &(struct breaker_settings){.failures = 1});
	assert_int_equal(pool_new("test", 1, 1, &stage->back.pool), 0);
	set_gate(false);
	first = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(first), REQUEST_WAIT);
	second = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(second), REQUEST_WAIT);
	third = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(third), REQUEST_ANSWER);
	assert_int_equal(request_response(third)->status, 503);
	request_end(&third, REQUEST_SENT);
	assert_int_equal(counted(PLUGIN_REFUSED_FULL), 1);
	set_gate(true);
	fake_transport_wait(&stage->wire); /* both */
	assert_int_equal(request_poll(first), REQUEST_ANSWER);
	assert_int_equal(request_poll(second), REQUEST_ANSWER);
	assert_memory_equal(request_response(second)->body, "through", 7);
	request_end(&first, REQUEST_SENT);
	request_end(&second, REQUEST_SENT);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_int_equal(done_calls, 2); /* the refused one never reached the plugin */
	assert_true(breaker_is_closed(plugin_breaker(stage->plugins[1])));
}

static void
test_a_blocking_call_past_its_deadline_is_answered_for(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.request = wait_at_gate;
	stage->back.descriptor.flags |= MTLSD_BLOCKING;
	stage->config_plugins[1].deadline = 1;
	assert_int_equal(pool_new("test", 1, 1, &stage->back.pool), 0);
	set_gate(false);
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_WAIT);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_poll(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 504);
	request_end(&request, REQUEST_SENT);
	set_gate(true);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_int_equal(counted(PLUGIN_STATUS_5), 1);
}

/* --- streams ---------------------------------------------------------------------------------------------------------
 */

static char uploaded[64];
static int pieces;

static mtlsd_action
want_more(void *user UNUSED, mtlsd_request *request UNUSED)
{
	uploaded[0] = '\0';
	pieces = 0;
	return MTLSD_MORE;
}

static mtlsd_action
take_piece(void *user UNUSED, mtlsd_request *request, const void *data, size_t length)
{
	if (length == 0) {
		host()->respond(request, 200, uploaded, strlen(uploaded));
		return MTLSD_DONE;
	}
	strncat(uploaded, data, length);
	pieces++;
	return strcmp(uploaded, "stop") == 0 ? MTLSD_FAIL : MTLSD_MORE;
}

static void
stream_an_upload(void)
{
	enum request_next next;
	struct request *request = begin("POST", "/a/", -1, &next);
	if (next == REQUEST_WAIT) {
		fake_transport_wait(&stage->wire);
		next = request_poll(request);
	}
	assert_int_equal(next, REQUEST_READ);
	for (int i = 0; i < 3; i++) {
		char transient[8] = "piece;";
		next = request_feed(request, transient, 6);
		memset(transient, 'x', sizeof(transient)); /* the transport's buffer is used again */
		if (next == REQUEST_WAIT) {
			fake_transport_wait(&stage->wire);
			next = request_poll(request);
		}
		assert_int_equal(next, REQUEST_READ);
	}
	next = request_upload_complete(request);
	if (next == REQUEST_WAIT) {
		fake_transport_wait(&stage->wire);
		next = request_poll(request);
	}
	assert_int_equal(next, REQUEST_ANSWER);
	assert_memory_equal(request_response(request)->body, "piece;piece;piece;", 18);
	assert_int_equal(pieces, 3);
	assert_false(request_response(request)->close);
	request_end(&request, REQUEST_SENT);
	assert_true(plugin_drain(stage->plugins[1], NULL, 60000000));
	assert_int_equal(done_calls, 1);
}

static void
test_uploads_are_streamed(void **state UNUSED)
{
	stage->back.descriptor.flags |= MTLSD_STREAM_BODY;
	stage->back.descriptor.request = want_more;
	stage->back.descriptor.body = take_piece;
	stream_an_upload();
}

static void
test_uploads_are_streamed_to_a_pool(void **state UNUSED)
{
	stage->back.descriptor.flags |= MTLSD_STREAM_BODY | MTLSD_BLOCKING;
	stage->back.descriptor.request = want_more;
	stage->back.descriptor.body = take_piece;
	assert_int_equal(pool_new("test", 2, 1, &stage->back.pool), 0);
	stream_an_upload();
}

static void
test_an_upload_may_be_cut_short_by_its_handler(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.flags |= MTLSD_STREAM_BODY;
	stage->back.descriptor.request = want_more;
	stage->back.descriptor.body = take_piece;
	struct request *request = begin("POST", "/a/", -1, &next);
	assert_int_equal(request_feed(request, "stop", 4), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 500);
	assert_true(request_response(request)->close);
	assert_int_equal(request_feed(request, "more", 4), REQUEST_ANSWER);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(done_calls, 1);
}

static int reads;

static ssize_t
read_thrice(void *context UNUSED, uint64_t position, char *buffer, size_t room)
{
	assert_true(room >= 4);
	if (position == 8 && reads++ == 0)
		return -EAGAIN;
	if (position >= 12)
		return 0;
	memcpy(buffer, "data", 4);
	return 4;
}

static void
count_release(void *context UNUSED)
{
	release_calls++;
}

static mtlsd_action
stream_out(void *user UNUSED, mtlsd_request *request)
{
	const mtlsd_stream stream = {sizeof(stream), read_thrice, count_release};
	deferred = request;
	assert_int_equal(host()->respond_stream(request, 200, -1, &stream, NULL), 0);
	return MTLSD_DONE;
}

static void
test_answers_are_streamed(void **state UNUSED)
{
	enum request_next next;
	char buffer[64];
	reads = 0;
	stage->back.descriptor.request = stream_out;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_true(request_response(request)->streamed);
	assert_int_equal(request_stream_read(request, 0, buffer, sizeof(buffer)), 4);
	assert_int_equal(request_stream_read(request, 4, buffer, sizeof(buffer)), 4);
	assert_int_equal(request_stream_read(request, 8, buffer, sizeof(buffer)), 0);
	assert_int_equal(stage->wire.suspended, 1);
	assert_int_equal(stage->wire.resumed, 0);
	host()->stream_ready(deferred);
	assert_int_equal(stage->wire.resumed, 1);
	assert_int_equal(request_stream_read(request, 8, buffer, sizeof(buffer)), 4);
	assert_int_equal(request_stream_read(request, 12, buffer, sizeof(buffer)), -1);
	assert_int_equal(release_calls, 0);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(release_calls, 1);
	assert_int_equal(done_calls, 1);
}

static void
test_drain_breaks_a_stream_that_waits(void **state UNUSED)
{
	enum request_next next;
	char buffer[64];
	reads = 0;
	stage->back.descriptor.request = stream_out;
	struct request *request = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_stream_read(request, 8, buffer, sizeof(buffer)), 0);
	assert_int_equal(plugin_cancel(stage->plugins[1], &stage->back, MTLSD_DRAIN), 1);
	fake_transport_wait(&stage->wire);
	assert_int_equal(request_stream_read(request, 8, buffer, sizeof(buffer)), -2);
	request_end(&request, REQUEST_ABORTED);
	assert_int_equal(release_calls, 1);
}

static mtlsd_action
attach(void *user UNUSED, mtlsd_request *request)
{
	static int token;
	if (host()->connection_data(request) == NULL)
		host()->set_connection_data(request, &token, count_release);
	host()->set_data(request, &token, count_release);
	assert_ptr_equal(host()->data(request), &token);
	assert_non_null(host()->alloc(request, 100));
	host()->respond(request, 200, NULL, 0);
	return MTLSD_DONE;
}

static void
test_data_ends_with_what_it_hangs_on(void **state UNUSED)
{
	enum request_next next;
	stage->back.descriptor.request = attach;
	for (int i = 1; i <= 3; i++) {
		struct request *request = begin("GET", "/a/", 0, &next);
		assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
		request_end(&request, REQUEST_SENT);
		assert_int_equal(release_calls, i); /* the request's each time, the connection's never */
	}
	connection_release_instance(&stage->back);
	assert_int_equal(release_calls, 4);
	connection_close(stage->connection);
	assert_int_equal(release_calls, 4);
}

static void
test_headers_of_plugins_cannot_split_the_answer(void **state UNUSED)
{
	struct response response = {0};
	assert_int_equal(response_add_header(&response, "X", "a\r\nY: b", NULL), -EINVAL);
	assert_int_equal(response_add_header(&response, "X Y", "a", NULL), -EINVAL);
	assert_int_equal(response_add_header(&response, "", "a", NULL), -EINVAL);
	assert_int_equal(response_add_header(&response, "content-length", "3", NULL), -EINVAL);
	assert_int_equal(response_add_header(&response, "TRANSFER-ENCODING", "chunked", NULL), -EINVAL);
	for (int i = 0; i < 64; i++)
		assert_int_equal(response_add_header(&response, "X", "a", NULL), 0);
	assert_int_equal(response_add_header(&response, "X", "a", NULL), -E2BIG);
	response_clear(&response);
	char long_value[1800];
	memset(long_value, 'v', sizeof(long_value) - 1);
	long_value[sizeof(long_value) - 1] = '\0';
	assert_int_equal(response_add_header(&response, "X", long_value, NULL), 0);
	assert_int_equal(response_add_header(&response, "X", long_value, NULL), -E2BIG);
	assert_int_equal(response_set(&response, 199, "", 0), -EINVAL);
	assert_int_equal(response_set(&response, 600, "", 0), -EINVAL);
	assert_int_equal(response_set(&response, 200, NULL, 1), -EINVAL);
	response_clear(&response);
}

static void
test_snapshots_live_as_long_as_their_requests(void **state UNUSED)
{
	enum request_next next;
	struct request *request = begin("GET", "/a/", 0, &next);
	struct config other = stage->config;
	other.route_count = 0;
	assert_int_equal(request_service_apply(stage->service, &other), 0);
	assert_int_equal(request_service_settle(stage->service), 1);
	struct request *later = begin("GET", "/a/", 0, &next);
	assert_int_equal(request_response(later)->status, 404);
	request_end(&later, REQUEST_SENT);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, 200);
	request_end(&request, REQUEST_SENT);
	assert_int_equal(request_service_settle(stage->service), 0);
	assert_int_equal(request_service_apply(stage->service, &stage->config), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* --- signals --------------------------------------------------------------------------------------------------------
 */

static void
ask(int status)
{
	enum request_next next;
	struct request *request = begin("GET", "/a/b", 0, &next);

	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(request_response(request)->status, status);
	request_end(&request, REQUEST_SENT);
}

static mtlsd_action
answer_404(void *user UNUSED, mtlsd_request *request)
{
	host()->respond(request, 404, "", 0);
	return MTLSD_DONE;
}

static struct connection *
connect_as(const char *certificate, bool resumed)
{
	struct connection *connection = NULL;

	stage->identity.certificate_sha256 = certificate;
	const struct connection_peer peer = {.identity = &stage->identity,
					     .address = "192.0.2.1",
					     .listener = "main",
					     .tls_version = "TLS1.3",
					     .cipher = "AES",
					     .resumed = resumed};
	assert_int_equal(connection_new(&peer, &connection), 0);
	return connection;
}

static struct signals_sample
sampled(struct instance *instance)
{
	struct signals_sample sample;

	assert_true(plugin_sample(stage->plugins[1], instance, 105, &sample));
	return sample;
}

static void
test_connections_and_their_clients_are_told_once(void **state UNUSED)
{
	struct connection *first = stage->connection;

	ask(200);
	ask(200);
	stage->connection = connect_as("00a0", true); /* the same client, resumed */
	ask(200);
	struct connection *second = stage->connection;
	stage->connection = connect_as("00a1", false);
	stage->back.descriptor.request = answer_404;
	ask(404);
	struct signals_sample sample = sampled(&stage->back);
	assert_int_equal(sample.exposure.count[SIGNALS_REQUESTS], 4);
	assert_int_equal(sample.exposure.count[SIGNALS_ERRORS], 1);
	assert_int_equal(sample.exposure.count[SIGNALS_CONNECTIONS], 3);
	assert_int_equal(sample.exposure.count[SIGNALS_HANDSHAKES], 2);
	assert_int_equal(sample.exposure.count[SIGNALS_CLIENTS], 2);
	assert_int_equal(sample.exposure.count[SIGNALS_SECONDS], 100);
	assert_int_equal(sample.open_connections, 3);
	assert_int_equal(sample.inflight, 0);
	assert_int_equal(sample.live_bytes, 700);
	assert_int_equal(sample.live_objects, 10);
	assert_int_equal(sample.arena_bytes, 300);
	assert_int_equal(sample.foreign_bytes, 77);
	assert_int_equal(sample.resident_bytes, 4096);
	assert_int_equal(sample.largest_bytes, 800);
	connection_close(first);
	connection_unref(&first);
	connection_close(second);
	connection_unref(&second);
	sample = sampled(&stage->back);
	assert_int_equal(sample.open_connections, 1);
	assert_int_equal(sample.exposure.count[SIGNALS_CONNECTIONS], 3);
}

static void
test_exposures_begin_anew_with_the_instance(void **state UNUSED)
{
	struct instance fresh = stage->back;
	struct signals_sample sample;
	enum request_next next;

	ask(200);
	struct request *request = begin("GET", "/a/b", 0, &next);
	assert_int_equal(request_upload_complete(request), REQUEST_ANSWER);
	assert_int_equal(sampled(&stage->back).inflight, 1);
	assert_int_equal(exposure_new(&fresh.exposure), 0);
	plugin_switch(stage->plugins[1], &fresh);
	assert_int_equal(sampled(&fresh).exposure.count[SIGNALS_REQUESTS], 0);
	assert_int_equal(sampled(&fresh).inflight, 0);
	assert_false(plugin_sample(stage->plugins[1], &stage->back, 105, &sample));
	request_end(&request, REQUEST_ABORTED); /* the old one's: neither error nor one less inside the new one */
	ask(200);
	sample = sampled(&fresh);
	assert_int_equal(sample.exposure.count[SIGNALS_REQUESTS], 1);
	assert_int_equal(sample.exposure.count[SIGNALS_ERRORS], 0);
	assert_int_equal(sample.exposure.count[SIGNALS_CONNECTIONS], 1);
	assert_int_equal(sample.inflight, 0);
	/* The connection forgets an instance that has ended when it meets the next. */
	exposure_end(stage->back.exposure);
	plugin_switch(stage->plugins[1], &stage->back);
	exposure_release(&stage->back.exposure);
	assert_int_equal(exposure_new(&stage->back.exposure), 0);
	ask(200);
	assert_int_equal(sampled(&stage->back).open_connections, 1);
	connection_close(stage->connection);
	assert_int_equal(sampled(&stage->back).open_connections, 0);
	exposure_release(&fresh.exposure);
}

static unsigned shown;
static struct signals_sample last_shown;

static bool
note_sample(void *ctx, uint64_t now, const struct signals_sample *sample)
{
	assert_ptr_equal(ctx, &shown);
	assert_true(now > 0);
	last_shown = *sample;
	shown++;
	return false;
}

static void
test_some_requests_show_how_the_instance_does(void **state UNUSED)
{
	shown = 0;
	epoch = SIGNALS_SAMPLE_EVERY;
	ask(200); /* nobody looks */
	stage->back.observer = (struct instance_observer){.observe = note_sample, .ctx = &shown};
	epoch = SIGNALS_SAMPLE_EVERY - 1;
	ask(200);
	assert_int_equal(shown, 0);
	assert_int_equal(sampled(&stage->back).largest_bytes, 800);
	epoch = SIGNALS_SAMPLE_EVERY * 3;
	ask(200);
	assert_int_equal(shown, 1);
	assert_int_equal(last_shown.exposure.count[SIGNALS_REQUESTS], 3);
	assert_int_equal(last_shown.live_bytes, 700);
	assert_int_equal(last_shown.inflight, 0); /* it ends, and is not counted */
	assert_int_equal(last_shown.largest_bytes, 800);
	assert_int_equal(last_shown.resident_bytes, 4096);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_request_is_answered_and_counted),
		TEST(test_pages_of_the_daemon_cost_no_plugin_a_call),
		TEST(test_bodies_are_buffered_up_to_their_limit),
		TEST(test_wrong_answers_are_500),
		TEST(test_filters_pass_or_answer),
		TEST(test_deferred_answers_come_from_another_thread),
		TEST(test_finish_may_come_before_the_callback_returns),
		TEST(test_a_missed_deadline_is_504_and_the_plugin_keeps_the_request),
		TEST(test_drain_cancels_what_is_held),
		TEST(test_a_client_that_left_is_nobodys_answer),
		TEST(test_without_an_instance_the_answer_is_503),
		TEST(test_failures_open_the_breaker_and_a_trial_closes_it),
		TEST(test_what_says_nothing_of_the_plugin_leaves_the_breaker_alone),
		TEST(test_a_filter_is_not_blamed_for_its_handler),
		TEST(test_a_missed_deadline_is_a_failure),
		TEST(test_a_full_pool_answers_503_at_once),
		TEST(test_a_blocking_call_past_its_deadline_is_answered_for),
		TEST(test_uploads_are_streamed),
		TEST(test_uploads_are_streamed_to_a_pool),
		TEST(test_an_upload_may_be_cut_short_by_its_handler),
		TEST(test_answers_are_streamed),
		TEST(test_drain_breaks_a_stream_that_waits),
		TEST(test_data_ends_with_what_it_hangs_on),
		TEST(test_headers_of_plugins_cannot_split_the_answer),
		TEST(test_connections_and_their_clients_are_told_once),
		TEST(test_exposures_begin_anew_with_the_instance),
		TEST(test_some_requests_show_how_the_instance_does),
		TEST(test_snapshots_live_as_long_as_their_requests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
