/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory runs out under real plugins: the first allocation of an instance fails, then the second, and so on until a run
 * ends in which there were no more. Every run ends with an answer or with a clean refusal to start; the instance serves
 * afterwards, keeps nothing it does not mean to keep, frees nothing twice, and can be ended.
 *
 * The shared objects, their mapping, their memory and the flow of a request are the daemon's own; the transport is not.
 */
#include "connection.h"
#include "fake-transport.h"
#include "host.h"
#include "plugin.h"
#include "request.h"
#include "supervisor.h"
#include "yaml.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	SKIPPED = 77,     /* what automake takes for "skipped" */
	ENDLESS = 1000,   /* no fixture allocates that often in one request */
	GRACE = 60000000, /* microseconds; nothing here takes that long */
	PIECE = 100,      /* bytes of a body handed over at once */
};

struct play {
	const char *file;     /* below the folder of built things */
	const char *settings; /* YAML */
	const char *method, *target, *query;
	size_t body;           /* bytes uploaded, in pieces */
	unsigned keeps;        /* blocks it may keep a request; those an eviction does not take back */
	bool filter;           /* stands before a handler that allocates nothing */
	bool silent;           /* allocates nothing in a request: there must be no failure to reach */
	bool starts_with_some; /* allocates before it serves */
};

static const struct play plays[] = {
	{.file = "tests/plugins/leak.so", .settings = "{bytes: 100, other: 2000}", .keeps = 2},
	{.file = "tests/plugins/leak.so", .settings = "{when: error}", .target = "/x/error", .keeps = 1},
	{.file = "tests/plugins/cache.so", .settings = "{value_bytes: 5000}", .query = "level=2"},
	{.file = "tests/plugins/cache.so", .settings = "{max_entries: 1}"},
	{.file = "tests/plugins/overlimit.so", .settings = "{ceiling: 640KiB}", .query = "with=malloc"},
	{.file = "tests/plugins/overlimit.so", .settings = "{ceiling: 640KiB}", .query = "with=calloc"},
	{.file = "tests/plugins/overlimit.so", .settings = "{ceiling: 640KiB}", .query = "with=realloc"},
	{.file = "tests/plugins/overlimit.so", .settings = "{ceiling: 640KiB}", .query = "with=memalign"},
	{.file = "tests/plugins/overlimit.so", .settings = "{ceiling: 640KiB}", .query = "with=arena"},
	{.file = "tests/plugins/cxx.so", .target = "/x/keep", .query = "key", .starts_with_some = true},
	{.file = "tests/plugins/cxx.so", .target = "/x/throw", .starts_with_some = true},
	{.file = "tests/plugins/slow.so", .settings = "{delay: 0ms}"},
	{.file = "tests/plugins/stream.so", .query = "bytes=70000&pause=1"},
	{.file = "tests/plugins/stream.so", .query = "bytes=70000&known=1"},
	{.file = "tests/plugins/upload.so", .method = "POST", .body = 1000},
	{.file = "tests/plugins/filter.so", .query = "later", .filter = true},
	{.file = "tests/plugins/filter.so", .query = "deny", .filter = true, .silent = true},
	{.file = "tests/plugins/attrs.so", .method = "POST", .body = 1000, .silent = true},
	{.file = "tests/plugins/hold.so", .settings = "{blocks: 20}", .starts_with_some = true},
	{.file = "tests/plugins/conn.so"},
	{.file = "tests/plugins/conn.so", .target = "/x/again"},
	{.file = "tests/plugins/counterp.so", .silent = true},
	{.file = "tests/plugins/reconf.so", .settings = "{greeting: hello}", .silent = true},
	{.file = "tests/plugins/blocking.so", .silent = true},
	{.file = "tests/plugins/thread.so", .settings = "{stop: yes}", .silent = true},
	{.file = "plugins/echo.so", .settings = "{prefix: 'you said: '}", .method = "POST", .body = 20000},
	{.file = "plugins/whoami.so"},
};

/* --- the stage: a filter and a handler, one route for everything -------------------------------------------------- */

enum { FILTER, HANDLER, PARTS };

/* One for the whole run: heaps of what libraries allocate are never taken down. */
static struct {
	struct plugin *plugins[PARTS];
	struct config config;
	struct config_plugin config_plugins[PARTS];
	struct config_rule rule;
	struct config_route route;
	const struct config_plugin *filters[1];
	struct identity identity;
	struct request_service *service;
	struct fake_transport wire;
	char folder[32];
	uint64_t number; /* of the last instance made */
	atomic_uint faults;
	uint64_t fail_in; /* armed in the next space that is made */
} stage;

struct plugin *
supervisor_plugin(struct supervisor *supervisor UNUSED, const char *name)
{
	return stage.plugins[strcmp(name, "handler") == 0 ? HANDLER : FILTER];
}

/* The linker leads instances here: the only moment between the making of the space and the first use of it. */
int __real_scope_space_new(const char *plugin, uint64_t instance, struct heap *foreign,
			   const struct heap_limits *limits, struct scope_space **ret);
int __wrap_scope_space_new(const char *plugin, uint64_t instance, struct heap *foreign,
			   const struct heap_limits *limits, struct scope_space **ret);

int
__wrap_scope_space_new(const char *plugin, uint64_t instance, struct heap *foreign, const struct heap_limits *limits,
		       struct scope_space **ret)
{
	int r = __real_scope_space_new(plugin, instance, foreign, limits, ret);

	if (r == 0)
		scope_space_fail_nth(*ret, stage.fail_in);
	return r;
}

static void
note_fault(const struct heap_fault *fault, void *ctx UNUSED)
{
	(void) fprintf(stderr, "fault %d in %s\n", (int) fault->kind, fault->heap);
	stage.faults++;
}

static struct image *
read_image(const char *file)
{
	struct error error = {0};
	char path[PATH_MAX], *end;
	struct image *image = NULL;
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	assert_true(length > 0);
	path[length] = '\0';
	for (unsigned up = 0; up < 3; up++) { /* tests/unit/test-fixtures */
		end = strrchr(path, '/');
		*end = '\0';
	}
	(void) snprintf(end, sizeof(path) - (size_t) (end - path), "/%s", file);
	if (image_read(path, &image, &error) < 0)
		fail_msg("%s", error.text);
	return image;
}

/* The one way to an instance; its error is told only where it is none of ours. */
static int
start(unsigned part, struct image *image, const char *settings, struct instance **ret, struct error *error)
{
	CLEANUP(yaml_release) struct yaml_node *node = NULL;

	if (settings != NULL)
		assert_int_equal(yaml_read("settings", settings, strlen(settings), &node, error), 0);
	const struct instance_options options = {
		.plugin = plugin_name(stage.plugins[part]),
		.number = ++stage.number,
		.image = image,
		.directory = stage.folder,
		.file = "settings",
		.settings = node,
		.foreign = plugin_foreign(stage.plugins[part]),
		.threads = 1,
		.queue = 4,
		.start_timeout = GRACE,
	};
	return instance_start(&options, host_table(), ret, error);
}

static struct instance *
start_well(unsigned part, struct image *image, const char *settings)
{
	struct error error = {0};
	struct instance *instance = NULL;

	if (start(part, image, settings, &instance, &error) < 0)
		fail_msg("%s: %s", image_path(image), error.text);
	assert_null(plugin_switch(stage.plugins[part], instance));
	return instance;
}

static void
end_well(unsigned part, struct instance *instance)
{
	struct error error = {0};

	assert_ptr_equal(plugin_switch(stage.plugins[part], NULL), instance);
	assert_true(plugin_drain(stage.plugins[part], NULL, GRACE));
	if (instance_end(&instance, GRACE, &error) < 0)
		fail_msg("%s", error.text);
	assert_null(instance);
}

/* Sends the answer nowhere. True: all of it could be had. */
static bool
read_stream(struct request *request)
{
	char buffer[16384];
	uint64_t position = 0;

	for (;;) {
		ssize_t got = request_stream_read(request, position, buffer, sizeof(buffer));
		if (got < 0)
			return got == -1;
		if (got == 0)
			fake_transport_wait(&stage.wire);
		position += (uint64_t) got;
	}
}

/* One request on a connection of its own, from its head to the end of its visits; returns the status of the answer. */
static int
ask(const struct play *play)
{
	struct connection *connection = NULL;
	struct request *request = NULL;
	enum request_next next;
	const struct request_header header = {"Host", "h"};
	const char *target = play->target != NULL ? play->target : "/x";
	const struct request_head head = {
		.method = play->method != NULL ? play->method : "GET",
		.target = target,
		.path = target,
		.query = play->query,
		.version = "HTTP/1.1",
		.host = "h",
		.headers = &header,
		.header_count = 1,
		.content_length = (int64_t) play->body,
	};

	assert_int_equal(connection_new(&(struct connection_peer){.identity = &stage.identity,
								  .address = "192.0.2.1",
								  .listener = "main",
								  .tls_version = "TLS1.3",
								  .cipher = "AES"},
					&connection),
			 0);
	assert_int_equal(
		request_begin(stage.service, connection, &head, &fake_transport_ops, &stage.wire, &request, &next), 0);
	for (size_t left = play->body; next != REQUEST_ANSWER;) {
		char piece[PIECE];
		size_t length = left < sizeof(piece) ? left : sizeof(piece);
		if (next == REQUEST_WAIT) {
			fake_transport_wait(&stage.wire);
			next = request_poll(request);
			continue;
		}
		memset(piece, 'p', sizeof(piece));
		next = left > 0 ? request_feed(request, piece, length) : request_upload_complete(request);
		left -= length;
	}
	int status = request_response(request)->status;
	bool whole = !request_response(request)->streamed || read_stream(request);
	assert_true(whole);
	request_end(&request, REQUEST_SENT);
	for (unsigned part = 0; part < PARTS; part++)
		assert_true(plugin_drain(stage.plugins[part], NULL, GRACE));
	connection_close(connection);
	connection_unref(&connection);
	return status;
}

static uint64_t
live_blocks(const struct instance *instance)
{
	struct heap_usage usage;

	heap_usage(scope_space_own(instance_space(instance)), &usage);
	assert_int_equal(usage.arena_bytes, 0); /* no request is under way */
	assert_int_equal(usage.faults, 0);
	return usage.live_objects;
}

/* --- tests ------------------------------------------------------------------------------------------------------- */

/* One life of an instance in which the nth allocation of a request fails. True: it did. */
static bool
live_once(const struct play *play, struct image *image, uint64_t nth, int well)
{
	unsigned part = play->filter ? FILTER : HANDLER;
	struct instance *instance = start_well(part, image, play->settings);
	uint64_t before = live_blocks(instance), claimed;

	scope_space_fail_nth(instance_space(instance), nth);
	int status = ask(play);
	bool failed = !scope_space_fail_pending(instance_space(instance));
	scope_space_fail_nth(instance_space(instance), 0);
	assert_in_range(status, 200, 599);
	if (!failed)
		assert_int_equal(status, well);
	(void) instance_evict(instance, UINT64_MAX, MTLSD_EVICT_REPLAY, &claimed);
	assert_in_range(live_blocks(instance), before, before + play->keeps);
	/* It is over with the failure. */
	assert_int_equal(ask(play), well);
	(void) instance_evict(instance, UINT64_MAX, MTLSD_EVICT_REPLAY, &claimed);
	assert_in_range(live_blocks(instance), before, before + 2 * play->keeps);
	end_well(part, instance);
	assert_int_equal(stage.faults, 0);
	return failed;
}

/* What the play's request is answered when there is memory. */
static int
answer_of(const struct play *play, struct image *image)
{
	unsigned part = play->filter ? FILTER : HANDLER;
	struct instance *instance = start_well(part, image, play->settings);
	int status = ask(play);

	end_well(part, instance);
	return status;
}

static void
test_requests(void **state UNUSED)
{
	for (const struct play *play = plays; play < plays + ARRAY_LENGTH(plays); play++) {
		struct image *image = read_image(play->file), *behind = NULL;
		struct instance *handler = NULL;
		uint64_t nth = 1;

		stage.route.filter_count = play->filter;
		if (play->filter) {
			behind = read_image("tests/plugins/attrs.so");
			handler = start_well(HANDLER, behind, NULL);
		}
		int well = answer_of(play, image);
		while (nth < ENDLESS && live_once(play, image, nth, well))
			nth++;
		(void) printf("%s %s: answers %d, survived %llu failures\n", play->file,
			      play->query != NULL ? play->query : "", well, (unsigned long long) nth - 1);
		assert_in_range(nth, play->silent ? 1 : 2, play->silent ? 1 : ENDLESS - 1);
		if (play->filter)
			end_well(HANDLER, handler);
		image_unref(&behind);
		image_unref(&image);
	}
}

static void
test_starts(void **state UNUSED)
{
	stage.route.filter_count = 0;
	for (const struct play *play = plays; play < plays + ARRAY_LENGTH(plays); play++) {
		struct image *image = read_image(play->file);
		bool failed = true;
		uint64_t nth;

		for (nth = 0; failed && nth < ENDLESS;) {
			struct error error = {0};
			struct instance *instance = NULL;
			stage.fail_in = ++nth;
			int r = start(HANDLER, image, play->settings, &instance, &error);
			stage.fail_in = 0;
			if (r < 0) {
				assert_int_equal(r, -ECANCELED); /* the plugin's own refusal, with its sentence */
				assert_true(strlen(error.text) > 0);
				assert_null(instance);
				continue;
			}
			failed = !scope_space_fail_pending(instance_space(instance));
			scope_space_fail_nth(instance_space(instance), 0);
			assert_null(plugin_switch(stage.plugins[HANDLER], instance));
			if (!play->filter)
				assert_in_range(ask(play), 200, 599);
			end_well(HANDLER, instance);
		}
		(void) printf("%s: survived %llu failures of its start\n", play->file, (unsigned long long) nth - 1);
		assert_in_range(nth, play->starts_with_some ? 2 : 1, play->starts_with_some ? ENDLESS - 1 : 1);
		assert_int_equal(stage.faults, 0);
		image_unref(&image);
	}
}

static int
set_up(void **state UNUSED)
{
	static char *const no_strings[1];
	static const char *const no_names[] = {NULL};

	(void) snprintf(stage.folder, sizeof(stage.folder), "/tmp/mtlsd-unit-XXXXXX");
	assert_non_null(mkdtemp(stage.folder));
	assert_int_equal(plugin_new("filter", &stage.plugins[FILTER]), 0);
	assert_int_equal(plugin_new("handler", &stage.plugins[HANDLER]), 0);
	stage.config_plugins[FILTER] =
		(struct config_plugin){.name = (char *) "filter", .enabled = true, .deadline = GRACE};
	stage.config_plugins[HANDLER] =
		(struct config_plugin){.name = (char *) "handler", .enabled = true, .deadline = GRACE, .index = 1};
	stage.rule.any = true;
	stage.filters[0] = &stage.config_plugins[FILTER];
	stage.route = (struct config_route){
		.name = (char *) "main",
		.prefix = (char *) "/",
		.methods = {(char **) no_strings, 0},
		.allow = &stage.rule,
		.allow_count = 1,
		.handler = &stage.config_plugins[HANDLER],
		.filters = stage.filters,
	};
	stage.config.limits.body_size = 1 << 20;
	stage.config.plugins = stage.config_plugins;
	stage.config.plugin_count = PARTS;
	stage.config.routes = &stage.route;
	stage.config.route_count = 1;
	stage.identity = (struct identity){
		.subject = "CN=x", .issuer = "CN=ca", .serial = "1", .spki_sha256 = "", .certificate_sha256 = ""};
	for (size_t i = 0; i < IDENTITY_SAN_COUNT; i++)
		stage.identity.san[i] = no_names;
	stage.identity.purposes = no_names;
	fake_transport_set_up(&stage.wire);
	assert_int_equal(request_service_new(NULL, &stage.service), 0);
	assert_int_equal(request_service_apply(stage.service, &stage.config), 0);
	heap_on_fault(note_fault, NULL);
	return 0;
}

static int
tear_down(void **state UNUSED)
{
	heap_on_fault(NULL, NULL);
	request_service_free(&stage.service); /* joins the late threads */
	fake_transport_clear(&stage.wire);
	return rmdir(stage.folder); /* no mapping left its name there */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_starts),
	};

	if (!scope_active()) {
		(void) printf("skipped: without the heap layer no allocation of a plugin can be made to fail\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
