/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-server.h"

#include "vault.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct server {
	struct fake_server fake;
	struct tls_store *tls;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

/* The supervisor is the server: its functions get no other pointer. */
static struct server *
fake_of(struct supervisor *supervisor)
{
	return (struct server *) supervisor;
}

struct fake_server *
fake_server(struct server *server)
{
	return &server->fake;
}

/* Stands still while the test holds it. Returns the failure that was ordered. */
static int
fake_change(struct supervisor *supervisor, int *counter, struct error *error)
{
	struct server *server = fake_of(supervisor);
	int failure;

	pthread_mutex_lock(&server->lock);
	server->fake.inside = true;
	pthread_cond_broadcast(&server->changed);
	while (server->fake.hold)
		pthread_cond_wait(&server->changed, &server->lock);
	server->fake.inside = false;
	(*counter)++;
	failure = server->fake.failure;
	pthread_mutex_unlock(&server->lock);
	return failure ? error_set(error, failure, "ordered to fail") : 0;
}

int
fake_server_read(struct server *server, const int *counter)
{
	int value;

	pthread_mutex_lock(&server->lock);
	value = *counter;
	pthread_mutex_unlock(&server->lock);
	return value;
}

void
fake_server_release(struct server *server)
{
	pthread_mutex_lock(&server->lock);
	server->fake.hold = false;
	pthread_cond_broadcast(&server->changed);
	pthread_mutex_unlock(&server->lock);
}

void
fake_server_wait_inside(struct server *server)
{
	pthread_mutex_lock(&server->lock);
	while (!server->fake.inside)
		pthread_cond_wait(&server->changed, &server->lock);
	pthread_mutex_unlock(&server->lock);
}

static struct config_plugin fake_handler = {.name = (char *) "leak"};
static const struct config_plugin *fake_filters[] = {&fake_handler};

struct server *
fake_server_new(void)
{
	static char *methods[] = {(char *) "GET", (char *) "HEAD"};
	static const struct yaml_node node = {.line = 7};
	static struct config_rule rules[] = {
		{.any = true, .node = &node},
		{.dns = (char *) "*.example.org", .subject = (char *) "CN=*", .node = &node}};
	static struct config_route routes[] = {{.name = (char *) "first",
						.prefix = (char *) "/leak",
						.methods = {methods, 2},
						.allow = rules,
						.allow_count = 2,
						.filters = fake_filters,
						.filter_count = 1,
						.handler = &fake_handler}};
	static struct config_plugin plugins[] = {
		{.name = (char *) "leak",
		 .enabled = true,
		 .memory_hard = 64 << 20,
		 .leak = {.watch = true, .probe = true}},
		{.name = (char *) "cache", .enabled = true, .memory_hard = 64 << 20, .leak = {.watch = true}},
	};
	static struct config config = {.file = (char *) "/etc/mtlsd/mtlsd.yaml",
				       .generation = 4,
				       .plugins = plugins,
				       .plugin_count = 2,
				       .routes = routes,
				       .route_count = 1};
	struct server *server = calloc(1, sizeof(*server));

	if (!server || tls_store_new(&server->tls) < 0)
		abort();
	server->fake.config = &config;
	server->fake.sites = 2;
	pthread_mutex_init(&server->lock, NULL);
	pthread_cond_init(&server->changed, NULL);
	return server;
}

void
fake_server_tls(struct server *server, const struct config *config)
{
	CLEANUP(tls_sets_clear) struct tls_sets sets = {0};
	struct error error = {0};

	if (tls_store_load(server->tls, config, &sets, NULL, &error) < 0 ||
	    tls_store_enforce(server->tls, &sets, time(NULL)) < 0) {
		(void) fprintf(stderr, "%s\n", error.text);
		abort();
	}
}

void
fake_server_delete(struct server **server)
{
	tls_store_free(&(*server)->tls);
	pthread_cond_destroy(&(*server)->changed);
	pthread_mutex_destroy(&(*server)->lock);
	free(*server);
	*server = NULL;
}

/* --- server.h, config.h ---------------------------------------------------------------------------------- */

struct supervisor *
server_supervisor(struct server *server)
{
	return (struct supervisor *) server;
}

struct endpoint *
server_endpoint(struct server *server)
{
	return (struct endpoint *) server;
}

struct config *
server_config(struct server *server)
{
	return server->fake.config;
}

const char *
server_route(struct server *server, unsigned number)
{
	(void) server;
	return number == 7 ? "first" : NULL;
}

uint64_t
server_started(const struct server *server)
{
	(void) server;
	return 1000;
}

void
server_access_log(const struct server *server UNUSED, struct accesslog_counts *ret)
{
	*ret = (struct accesslog_counts){.written = 9, .dropped = 1};
}

const char *
server_state(const struct server *server)
{
	(void) server;
	return "running";
}

int
server_reload(struct server *server, char **ret_mistakes, struct error *error)
{
	int r = fake_change(server_supervisor(server), &server->fake.reloads, error);

	if (r < 0 && ret_mistakes)
		*ret_mistakes = strdup("mtlsd.yaml:1:1: first\nmtlsd.yaml:2:1: second\n");
	return r;
}

int
server_reload_tls(void *arg, bool rehearse, struct tls_keeper_report *ret, struct error *error)
{
	struct server *server = arg;
	int r = rehearse ? 0 : fake_change(server_supervisor(server), &server->fake.tls_reloads, error);

	if (r == 0)
		*ret = (struct tls_keeper_report){.sets = 2, .replaced = 1, .policies = 1, .look = {.seen = 9}};
	if (r == 0)
		ret->look.closed[TLS_REVOKED] = 3;
	return r;
}

void
config_unref(struct config **config)
{
	*config = NULL;
}

int
config_load(const char *path, struct config **ret, char **ret_mistakes)
{
	(void) ret;
	*ret_mistakes = NULL;
	if (asprintf(ret_mistakes, "%s:3:5: a mistake\n", path) < 0)
		return -ENOMEM;
	return -EINVAL;
}

int
config_load_text(const char *name, const char *text, size_t length, struct config **ret, char **ret_mistakes)
{
	(void) ret;
	(void) length;
	if (strstr(text, "wrong") && asprintf(ret_mistakes, "%s:1:1: it is wrong\n", name) > 0)
		return -EINVAL;
	return 0;
}

int
supervisor_check(const struct config *config, char **ret_mistakes)
{
	(void) config;
	(void) ret_mistakes;
	return 0;
}

/* --- endpoint.h ------------------------------------------------------------------------------------------ */

void
endpoint_stats(const struct endpoint *endpoint, struct endpoint_stats *ret)
{
	(void) endpoint;
	*ret = (struct endpoint_stats){.accepted = 11, .handshakes_full = 7, .requests = 5, .open_connections = 2};
	ret->handshakes_refused[TLS_REVOKED] = 3;
}

const char *
endpoint_library(void)
{
	return "0.9.75";
}

size_t
endpoint_listeners(const struct endpoint *endpoint, struct endpoint_listener *ret, size_t size)
{
	(void) endpoint;
	if (size > 0)
		ret[0] = (struct endpoint_listener){"main", "default", "[::1]:40123"};
	return 1;
}

struct tls_store *
endpoint_tls(const struct endpoint *endpoint)
{
	return ((const struct server *) endpoint)->tls;
}

/* --- supervisor.h ---------------------------------------------------------------------------------------- */

static void
fake_plugin(size_t index, struct supervisor_plugin *ret)
{
	*ret = (struct supervisor_plugin){
		.state = SUPERVISOR_READY,
		.instance = 3,
		.since = 2000,
		.flags = 1,
		.requests = 100,
		.own = {.live_bytes = 4096,
			.live_objects = 12,
			.resident_bytes = 65536,
			.refused = 4,
			.refused_site = 7},
		.fault_counts = {0, 2},
		.fault_sites = {0, 9},
		.hard_limit = 64 << 20,
		.restarts_operator = 1,
		.restarts_leak = 1,
	};
	strcpy(ret->name, index == 0 ? "leak" : "cache");
	ret->has_evict = true;
	ret->faults = 2;
	strcpy(ret->version, "1.0");
	strcpy(ret->summary, index == 0 ? "keeps \033[31mwhat\xff it gets" : "remembers");
	strcpy(ret->path, "/plugins/leak.so");
}

size_t
supervisor_count(const struct supervisor *supervisor)
{
	(void) supervisor;
	return 2;
}

int
supervisor_get(struct supervisor *supervisor, size_t index, struct supervisor_plugin *ret)
{
	(void) supervisor;
	if (index >= 2)
		return -ENOENT;
	fake_plugin(index, ret);
	return 0;
}

int
supervisor_find(struct supervisor *supervisor, const char *name, struct supervisor_plugin *ret)
{
	(void) supervisor;
	if (strcmp(name, "leak") != 0 && strcmp(name, "cache") != 0)
		return -ENOENT;
	fake_plugin(strcmp(name, "cache") == 0, ret);
	return 0;
}

const char *
supervisor_state_name(enum supervisor_state state)
{
	static const char *const names[] = {"disabled", "starting", "ready", "draining", "failed"};

	return names[state];
}

int
supervisor_words(struct supervisor *supervisor, const char *name, json_t **ret_counters, json_t **ret_dump,
		 struct error *error)
{
	(void) supervisor;
	(void) name;
	(void) error;
	*ret_counters = json_pack("{s:i}", "hits", 9);
	if (ret_dump)
		*ret_dump = json_pack("{s:i, s:s}", "entries", 5, "mode", "fast");
	return 0;
}

/* The first site is reached by two ways, three parts to one. */
static void
fake_stacks(struct supervisor_dump *dump)
{
	static const char *const functions[] = {"leak_keep", "parse_header", "parse_body"};

	dump->places = calloc(ARRAY_LENGTH(functions), sizeof(*dump->places));
	dump->stacks = calloc(2, sizeof(*dump->stacks));
	if (!dump->places || !dump->stacks)
		abort();
	for (size_t i = 0; i < ARRAY_LENGTH(functions); i++) {
		dump->places[i] =
			(struct supervisor_place){.address = 0x1000 + i, .line = 42 + (int) i, .inside = true};
		strcpy(dump->places[i].function, functions[i]);
		strcpy(dump->places[i].file, "/src/plugins/leak.c");
	}
	for (uint32_t i = 0; i < 2; i++)
		dump->stacks[i] = (struct supervisor_stack){
			.site = 0x1000, .bytes = i == 0 ? 96 : 32, .objects = 1, .depth = 2, .frames = {0, i + 1}};
	dump->place_count = ARRAY_LENGTH(functions);
	dump->stack_count = 2;
	if (dump->count != 0)
		dump->sites[0].stack_count = 2;
}

int
supervisor_dump(struct supervisor *supervisor, const char *name, uint32_t min_age, struct supervisor_dump **ret,
		struct error *error)
{
	struct fake_server *fake = fake_server(fake_of(supervisor));
	struct supervisor_dump *dump = calloc(1, sizeof(*dump));
	int ignored = 0, r;

	(void) min_age;
	r = fake_change(supervisor, &ignored, error);
	if (!dump || r < 0) {
		free(dump);
		return r < 0 ? r : -ENOMEM;
	}
	fake_plugin(strcmp(name, "cache") == 0, &dump->plugin);
	dump->epoch = 100;
	dump->count = fake->sites;
	dump->sites = calloc(fake->sites + 1, sizeof(*dump->sites));
	dump->age_bytes[0] = 16;
	dump->age_bytes[3] = 160;
	for (size_t i = 0; i < fake->sites; i++) {
		struct supervisor_site *site = &dump->sites[i];

		*site = (struct supervisor_site){.scope = "plugin",
						 .bytes = 1000 - i,
						 .objects = 10,
						 .oldest = 90,
						 .youngest = 1,
						 .offset = 0x1234};
		strcpy(site->module, "leak.so");
		if (i == 0) {
			strcpy(site->function, "leak_keep");
			strcpy(site->file, "/src/plugins/leak.c");
			site->line = 42;
		}
	}
	fake_stacks(dump);
	*ret = dump;
	return 0;
}

int
supervisor_escapes(struct supervisor *supervisor, const char *name, struct supervisor_escapes *ret, struct error *error)
{
	struct supervisor_escapes escapes = {.instance = 3, .count = 2, .place_count = 2};

	(void) error;
	(void) supervisor;
	if (strcmp(name, "cache") == 0)
		escapes.count = 0;
	escapes.rows = calloc(2, sizeof(*escapes.rows));
	escapes.places = calloc(2, sizeof(*escapes.places));
	if (!escapes.rows || !escapes.places)
		abort();
	escapes.rows[0] = (struct supervisor_escape){
		.place = 1, .route = 7, .status_class = 5, .bytes = 1600, .blocks = 100, .requests = 100};
	escapes.rows[1] = (struct supervisor_escape){.place = 0, .bytes = 48, .blocks = 3, .requests = 2};
	escapes.places[1] = (struct supervisor_place){.address = 0x1234, .line = 42};
	strcpy(escapes.places[1].function, "leak_keep");
	strcpy(escapes.places[1].file, "/src/plugins/leak.c");
	*ret = escapes;
	return 0;
}

int
supervisor_fault_place(struct supervisor *supervisor, const char *name, enum heap_fault_kind kind,
		       struct supervisor_place *ret)
{
	(void) supervisor;
	(void) name;
	(void) kind;
	(void) ret;
	return -ENOENT;
}

int
supervisor_nonces(struct supervisor *supervisor, const char *name, struct nonces_report *ret)
{
	(void) supervisor;
	if (strcmp(name, "leak") != 0)
		return -ENOENT;
	*ret = (struct nonces_report){.open = true,
				      .settings = {.window = 300, .skew = 30, .capacity = 64},
				      .room = 128,
				      .remembered = 7,
				      .accepted = 9,
				      .repeated = 3,
				      .untimely = 2};
	return 0;
}

int
supervisor_resolve(struct supervisor *supervisor, const char *name, uintptr_t address, struct supervisor_place *ret,
		   struct error *error)
{
	(void) supervisor;
	(void) name;
	(void) error;
	*ret = (struct supervisor_place){.address = address, .line = (int) address};
	strcpy(ret->function, "spill");
	strcpy(ret->file, "/src/plugins/leak.c");
	return 0;
}

void
supervisor_escapes_clear(struct supervisor_escapes *escapes)
{
	free(escapes->rows);
	free(escapes->places);
	*escapes = (struct supervisor_escapes){0};
}

int
supervisor_dump_peak(struct supervisor *supervisor, const char *name, struct supervisor_dump **ret, struct error *error)
{
	int r = strcmp(name, "cache") == 0 ? error_set(error, -ENODATA, "no peak was kept yet")
					   : supervisor_dump(supervisor, name, 0, ret, error);

	if (r == 0)
		(*ret)->taken = 1234;
	return r;
}

void
supervisor_dump_free(struct supervisor_dump **dump)
{
	if (!*dump)
		return;
	free((*dump)->sites);
	free((*dump)->places);
	free((*dump)->stacks);
	free(*dump);
	*dump = NULL;
}

int
supervisor_evict(struct supervisor *supervisor, const char *name, uint64_t target, int level,
		 struct supervisor_eviction *ret, struct error *error)
{
	struct fake_server *fake = fake_server(fake_of(supervisor));
	int r = fake_change(supervisor, &fake->evictions, error);

	(void) name;
	fake->evict_target = target;
	fake->evict_level = level;
	*ret = (struct supervisor_eviction){.claimed = 1000,
					    .live_before = 4096,
					    .live_after = 3000,
					    .resident_before = 65536,
					    .resident_after = 32768,
					    .hook = true};
	return r;
}

int
supervisor_restart(struct supervisor *supervisor, const char *name, uint64_t if_instance, bool reread, uint64_t timeout,
		   struct supervisor_restart *ret, struct error *error)
{
	struct fake_server *fake = fake_server(fake_of(supervisor));
	int r;

	(void) name;
	(void) reread;
	if (if_instance && if_instance != 3)
		return error_set(error, -ESTALE, "instance 3 serves");
	r = fake_change(supervisor, &fake->restarts, error);
	fake->restart_if_instance = if_instance;
	fake->restart_timeout = timeout;
	*ret = (struct supervisor_restart){.old_instance = 3, .new_instance = 4, .drained = 2, .freed_bytes = 4096};
	return r;
}

int
supervisor_sampling(struct supervisor *supervisor, const char *name, uint64_t interval, struct error *error)
{
	struct fake_server *fake = fake_server(fake_of(supervisor));

	(void) name;
	fake->sampling = interval;
	return fake_change(supervisor, &fake->samplings, error);
}

int
supervisor_enable(struct supervisor *supervisor, const char *name, struct error *error)
{
	(void) name;
	return fake_change(supervisor, &fake_server(fake_of(supervisor))->enables, error);
}

int
supervisor_disable(struct supervisor *supervisor, const char *name, struct supervisor_restart *ret, struct error *error)
{
	(void) name;
	*ret = (struct supervisor_restart){.old_instance = 3, .freed_bytes = 4096};
	return fake_change(supervisor, &fake_server(fake_of(supervisor))->disables, error);
}

/* No heap layer is linked: keys lie in ordinary memory. */
void
vault_enter(struct scope_frame *frame)
{
	(void) frame;
}

void
vault_leave(struct scope_frame *frame)
{
	(void) frame;
}
