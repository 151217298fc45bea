/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "request-stage.h"

#include "crash.h"
#include "supervisor.h"

#include <errno.h>
#include <string.h>

/* --- fakes: memory -------------------------------------------------------------------------------------------------
 */

struct scope_arena {
	void *block;
};

static atomic_int open_bookings;
atomic_uint epoch;
unsigned last_class;

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

struct nonces *
instance_nonces(const struct instance *instance UNUSED)
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

struct stage *stage;

struct plugin *
supervisor_plugin(struct supervisor *supervisor UNUSED, const char *name)
{
	return stage->plugins[strcmp(name, "back") == 0];
}

atomic_int done_calls, cancel_calls, release_calls;
mtlsd_outcome last_outcome;
mtlsd_request *deferred;
mtlsd_reason cancel_reason;

const mtlsd_host *
host(void)
{
	return host_table();
}

mtlsd_action
hello(void *user UNUSED, mtlsd_request *request)
{
	assert_int_equal(inside, 1);
	host()->add_header(request, "X-Path", host()->path(request));
	host()->respond(request, 200, "hello", 5);
	return MTLSD_DONE;
}

void
count_done(void *user UNUSED, mtlsd_request *request, mtlsd_outcome outcome)
{
	assert_non_null(host()->path(request));
	last_outcome = outcome;
	done_calls++;
}

void
count_cancel(void *user UNUSED, mtlsd_request *request, mtlsd_reason reason)
{
	assert_int_equal(host()->cancelled(request), reason);
	cancel_reason = reason;
	cancel_calls++;
}

void
count_release(void *context UNUSED)
{
	release_calls++;
}

int
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

int
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

struct request *
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

uint64_t
counted(enum plugin_counter counter)
{
	return stats_sum(plugin_stats(stage->plugins[1]), counter);
}
