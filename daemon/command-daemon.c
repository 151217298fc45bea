/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands on the daemon as a whole. */
#include "access.h"
#include "command.h"
#include "config.h"
#include "endpoint.h"
#include "explain.h"
#include "job.h"
#include "log.h"
#include "overseer.h"
#include "server.h"
#include "supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { COMMAND_LISTENERS_MAX = 64, COMMAND_JOBS_MAX = 64 };

static json_t *
command_count(uint64_t value)
{
	return json_integer((json_int_t) value);
}

static json_t *
status_listeners(struct endpoint *endpoint)
{
	struct endpoint_listener listeners[COMMAND_LISTENERS_MAX];
	size_t count = endpoint_listeners(endpoint, listeners, COMMAND_LISTENERS_MAX);
	json_t *array = json_array();

	for (size_t i = 0; i < count && i < COMMAND_LISTENERS_MAX; i++)
		json_array_append_new(array, json_pack("{s:s, s:s, s:s*}", "name", listeners[i].name, "address",
						       listeners[i].address, "tls", listeners[i].tls));
	return array;
}

static json_t *
status_handshakes(const struct endpoint_stats *stats)
{
	json_t *refused = json_object();
	uint64_t total = 0;

	for (int i = 0; i < TLS_REFUSAL_COUNT; i++) {
		if (i == TLS_ACCEPTED || i == TLS_NOT_ALLOWED) /* that is no reason inside a handshake */
			continue;
		total += stats->handshakes_refused[i];
		json_object_set_new(refused, tls_refusal_name(i), command_count(stats->handshakes_refused[i]));
	}
	return json_pack("{s:I, s:I, s:I, s:o}", "full", (json_int_t) stats->handshakes_full, "resumed",
			 (json_int_t) stats->handshakes_resumed, "refused_total", (json_int_t) total, "refused",
			 refused);
}

static json_t *
status_connections(const struct endpoint_stats *stats)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "open",
			 (json_int_t) stats->open_connections, "handshaking", (json_int_t) stats->open_handshaking,
			 "queued", (json_int_t) stats->queued_handshakes, "queued_total",
			 (json_int_t) stats->queued_total, "bad_records", (json_int_t) stats->bad_records,
			 "renegotiations", (json_int_t) stats->renegotiations, "accepted", (json_int_t) stats->accepted,
			 "refused_total_limit", (json_int_t) stats->refused_total_limit, "refused_address_limit",
			 (json_int_t) stats->refused_address_limit, "refused_other", (json_int_t) stats->refused_other);
}

static json_t *
status_timeouts(const struct endpoint_stats *stats)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "handshake", (json_int_t) stats->timeouts_handshake, "header",
			 (json_int_t) stats->timeouts_header, "body", (json_int_t) stats->timeouts_body, "write",
			 (json_int_t) stats->timeouts_write, "idle", (json_int_t) stats->timeouts_idle);
}

static json_t *
status_plugins(const struct command_call *call)
{
	struct supervisor *supervisor = server_supervisor(call->context->server);
	uint64_t outcomes[VERDICT_CONFIRMED + 1] = {0};
	struct overseer_view view;
	uint64_t states[SUPERVISOR_FAILED + 1] = {0}, live = 0, foreign = 0, resident = 0, zombies = 0;
	struct supervisor_plugin plugin;
	size_t total = 0;
	json_t *object;

	/* A reload may shorten the list while it is read. */
	for (size_t i = 0; i < supervisor_count(supervisor); i++) {
		if (supervisor_get(supervisor, i, &plugin) < 0)
			continue;
		total++;
		if (plugin.state <= SUPERVISOR_FAILED)
			states[plugin.state]++;
		if (command_view(call, plugin.name, &view) && view.instance > 0 && explain_may_leak(&view.verdict))
			outcomes[view.verdict.outcome]++;
		live += plugin.own.live_bytes;
		foreign += plugin.foreign.live_bytes;
		resident += plugin.own.resident_bytes + plugin.foreign.resident_bytes;
		zombies += plugin.zombies;
	}
	object = json_object();
	json_object_set_new(object, "total", command_count(total));
	for (int i = 0; i <= SUPERVISOR_FAILED; i++)
		json_object_set_new(object, supervisor_state_name(i), command_count(states[i]));
	json_object_set_new(object, "zombies", command_count(zombies));
	json_object_set_new(object, "suspect", command_count(outcomes[VERDICT_SUSPECT]));
	json_object_set_new(object, "leaks_likely", command_count(outcomes[VERDICT_LIKELY]));
	json_object_set_new(object, "leaks_confirmed", command_count(outcomes[VERDICT_CONFIRMED]));
	json_object_set_new(object, "live_bytes", command_count(live));
	json_object_set_new(object, "foreign_bytes", command_count(foreign));
	json_object_set_new(object, "resident_bytes", command_count(resident));
	return object;
}

/* The daemon's own memory: what glibc's allocator has handed out (plugin heaps are none of its business), and what the
 * kernel holds for the whole process. */
static json_t *
status_memory(void)
{
	struct mallinfo2 info = mallinfo2();
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file) {
		if (fscanf(file, "%*u %llu", &pages) != 1)
			pages = 0;
		(void) fclose(file);
	}
	return json_pack("{s:I, s:I}", "in_use_bytes", (json_int_t) (info.uordblks + info.hblkhd), "resident_bytes",
			 (json_int_t) (pages * (unsigned long long) sysconf(_SC_PAGESIZE)));
}

static json_t *
status_access_log(const struct server *server)
{
	struct accesslog_counts counts;

	server_access_log(server, &counts);
	return json_pack("{s:I, s:I}", "written", (json_int_t) counts.written, "dropped", (json_int_t) counts.dropped);
}

static void
count_expiring(const struct tls_expiry *expiry, void *arg)
{
	(void) expiry;
	(*(unsigned *) arg)++;
}

static json_t *
status_expiring(struct endpoint *endpoint)
{
	unsigned count = 0;

	tls_store_expiring(endpoint_tls(endpoint), time(NULL), count_expiring, &count);
	return json_integer(count);
}

int
command_status(const struct command_call *call, json_t **ret, struct error *error)
{
	struct server *server = call->context->server;
	struct endpoint *endpoint = server_endpoint(server);
	CLEANUP(config_unref) struct config *config = server_config(server);
	struct endpoint_stats stats = {0};
	uint64_t started = server_started(server), now = (uint64_t) time(NULL);

	endpoint_stats(endpoint, &stats);
	return command_reply(
		json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:I, s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o}",
			  "version", PACKAGE_VERSION, "state", server_state(server), "pid", (json_int_t) getpid(),
			  "started", (json_int_t) started, "uptime", (json_int_t) (now > started ? now - started : 0),
			  "configuration", config->file, "generation", (json_int_t) config->generation, "log_level",
			  log_level_name(log_level()), "listeners", status_listeners(endpoint), "connections",
			  status_connections(&stats), "handshakes", status_handshakes(&stats), "requests",
			  (json_int_t) stats.requests, "bad_requests", (json_int_t) stats.bad_requests, "timeouts",
			  status_timeouts(&stats), "plugins", status_plugins(call), "memory", status_memory(),
			  "access_log", status_access_log(server), "expiring", status_expiring(endpoint)),
		ret, error);
}

/* --- routes ---------------------------------------------------------------------------------------------- */

static json_t *
routes_strings(const struct schema_strings *strings)
{
	json_t *array = json_array();

	for (size_t i = 0; i < strings->count; i++)
		json_array_append_new(array, json_string(strings->items[i]));
	return array;
}

static json_t *
routes_rules(const struct config_rule *rules, size_t count)
{
	json_t *array = json_array();
	char text[4096];

	for (size_t i = 0; i < count; i++) {
		access_rule_text(&rules[i], text, sizeof(text));
		json_array_append_new(array, json_string(text));
	}
	return array;
}

static json_t *
routes_row(const struct config_route *route)
{
	json_t *chain = json_array();

	for (size_t i = 0; i < route->filter_count; i++)
		json_array_append_new(chain, json_string(route->filters[i]->name));
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s}", "name", route->name, "match",
			 route->path ? "path" : "prefix", "path", route->path ? route->path : route->prefix, "methods",
			 routes_strings(&route->methods), "hosts", routes_strings(&route->hosts), "allow",
			 routes_rules(route->allow, route->allow_count), "deny",
			 routes_rules(route->deny, route->deny_count), "filters", chain, "handler",
			 route->handler->name);
}

int
command_routes(const struct command_call *call, json_t **ret, struct error *error)
{
	CLEANUP(config_unref) struct config *config = server_config(call->context->server);
	json_t *routes = json_array();

	for (size_t i = 0; i < config->route_count; i++)
		json_array_append_new(routes, routes_row(&config->routes[i]));
	return command_reply(json_pack("{s:o}", "routes", routes), ret, error);
}

/* --- configuration --------------------------------------------------------------------------------------- */

static json_t *
config_mistakes(const char *mistakes)
{
	json_t *array = json_array();

	for (const char *p = mistakes; p && *p;) {
		size_t length = strcspn(p, "\n");
		CLEANUP_FREE char *line = strndup(p, length);

		if (line && length > 0)
			json_array_append_new(array, command_text(line));
		p += length + (p[length] == '\n');
	}
	return array;
}

static json_t *
config_verdict(const char *mistakes)
{
	return json_pack("{s:b, s:o}", "valid", !mistakes || !*mistakes, "mistakes", config_mistakes(mistakes));
}

/* The contents come from a client: they are read against the tables, but no file they name is opened and no plugin
 * loaded, which would run its constructors. */
int
command_check_config(const struct command_call *call, json_t **ret, struct error *error)
{
	const char *contents = command_string(call, "contents"), *name = command_string(call, "name");
	CLEANUP(config_unref) struct config *config = NULL;
	CLEANUP_FREE char *mistakes = NULL;
	int r = config_load_text(name, contents, strlen(contents), &config, &mistakes);

	if (r < 0 && !mistakes)
		return error_set(error, r, "the configuration could not be checked: %s", strerror(-r));
	return command_reply(config_verdict(mistakes), ret, error);
}

/* Reads and checks what a reload would read. */
static int
reload_rehearse(const char *file, json_t **ret, struct error *error)
{
	CLEANUP(config_unref) struct config *config = NULL;
	CLEANUP_FREE char *mistakes = NULL, *plugin_mistakes = NULL;
	json_t *reply;
	int r = config_load(file, &config, &mistakes);

	if (r < 0 && !mistakes)
		return error_set(error, -EIO, "%s: %s", file, strerror(-r));
	if (r == 0)
		(void) supervisor_check(config, &plugin_mistakes);
	reply = config_verdict(mistakes ? mistakes : plugin_mistakes);
	json_object_set_new(reply, "would", json_sprintf("read %s and apply it", file));
	return command_reply(reply, ret, error);
}

int
command_reload(const struct command_call *call, json_t **ret, struct error *error)
{
	struct server *server = call->context->server;
	CLEANUP(config_unref) struct config *before = server_config(server);
	CLEANUP(config_unref) struct config *after = NULL;
	CLEANUP_FREE char *mistakes = NULL;
	struct error why = {0};

	if (strcmp(command_string(call, "what"), "tls") == 0)
		return command_reload_tls(call, ret, error);
	if (command_flag(call, "dry_run"))
		return reload_rehearse(before->file, ret, error);
	if (server_reload(server, &mistakes, &why) < 0) {
		*ret = json_pack("{s:o}", "mistakes", config_mistakes(mistakes));
		/* A missing file is no missing plugin: the code is ours. */
		return error_set(error, why.code == -EBUSY ? -EBUSY : -EIO, "the old configuration stays: %s",
				 why.code ? why.text : "the new one has mistakes");
	}
	after = server_config(server);
	return command_reply(
		json_pack("{s:s, s:I}", "configuration", after->file, "generation", (json_int_t) after->generation),
		ret, error);
}

/* --- log level, jobs, the table itself ------------------------------------------------------------------- */

int
command_log_level(const struct command_call *call, json_t **ret, struct error *error)
{
	const char *word = command_string(call, "level");
	int before = log_level(), level = before;

	/* The row's choices are log.h's words, so that this cannot fail. */
	if (word && log_level_parse(word, &level) == 0)
		log_set_level(level);
	return command_reply(json_pack("{s:s, s:s}", "level", log_level_name(level), "before", log_level_name(before)),
			     ret, error);
}

int
command_jobs(const struct command_call *call, json_t **ret, struct error *error)
{
	struct job_info jobs[COMMAND_JOBS_MAX];
	size_t count = job_list(call->context->jobs, jobs, COMMAND_JOBS_MAX);
	uint64_t now = (uint64_t) time(NULL);
	json_t *array = json_array();

	for (size_t i = 0; i < count && i < COMMAND_JOBS_MAX; i++) {
		uint64_t end = jobs[i].ended ? jobs[i].ended : now;

		json_array_append_new(array, json_pack("{s:I, s:o, s:s, s:I, s:I, s:o}", "id", (json_int_t) jobs[i].id,
						       "command", command_text(jobs[i].what), "state",
						       !jobs[i].ended       ? "running"
						       : jobs[i].result < 0 ? "failed"
									    : "done",
						       "started", (json_int_t) jobs[i].started, "seconds",
						       (json_int_t) (end > jobs[i].started ? end - jobs[i].started : 0),
						       "result", command_text(jobs[i].text)));
	}
	return command_reply(json_pack("{s:o}", "jobs", array), ret, error);
}

int
command_commands(const struct command_call *call UNUSED, json_t **ret, struct error *error)
{
	json_t *array = json_array();

	for (const struct command *c = command_table; c->help; c++)
		if (c->name)
			json_array_append_new(array, command_describe(c));
	return command_reply(json_pack("{s:s, s:o}", "version", PACKAGE_VERSION, "commands", array), ret, error);
}
