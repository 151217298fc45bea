/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands on plugins. */
#include "command.h"
#include "schema.h"
#include "server.h"
#include "supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <mtlsd/plugin.h>
#include <stdio.h>
#include <string.h>

enum { COMMAND_NAMES_MAX = 256 };

static struct supervisor *
plugin_supervisor(const struct command_call *call)
{
	return server_supervisor(call->context->server);
}

static int
plugin_refuse_unknown(struct supervisor *supervisor, const char *name, struct error *error)
{
	struct supervisor_plugin *plugins = calloc(COMMAND_NAMES_MAX, sizeof(*plugins));
	const char *names[COMMAND_NAMES_MAX + 1];
	const char *near = NULL;
	size_t count = 0;
	int r;

	for (size_t i = 0; plugins && i < COMMAND_NAMES_MAX && supervisor_get(supervisor, i, &plugins[count]) == 0;
	     i++) {
		names[count] = plugins[count].name;
		count++;
	}
	names[count] = NULL;
	near = schema_nearest(name, names);
	if (near)
		r = error_set(error, -ENOENT, "no plugin is called \"%.40s\"; did you mean \"%s\"?", name, near);
	else
		r = error_set(error, -ENOENT, "no plugin is called \"%.40s\"; `mtlsctl list` shows them", name);
	free(plugins);
	return r;
}

int
command_plugin(const struct command_call *call, struct supervisor_plugin *ret, struct error *error)
{
	const char *name = command_string(call, "plugin");

	if (supervisor_find(plugin_supervisor(call), name, ret) == 0)
		return 0;
	return plugin_refuse_unknown(plugin_supervisor(call), name, error);
}

/* Once the plugin was found, -ENOENT is about something else, a file most likely. */
static int
plugin_failure(int code, const struct error *why, struct error *error)
{
	return error_set(error, code == -ENOENT ? -EIO : code, "%s", why->code ? why->text : strerror(-code));
}

static uint64_t
plugin_restarts(const struct supervisor_plugin *p)
{
	return p->restarts_operator + p->restarts_reload + p->restarts_leak + p->restarts_crash;
}

/* --- list ------------------------------------------------------------------------------------------------ */

static json_t *
list_row(const struct supervisor_plugin *p)
{
	return json_pack("{s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
			 command_text(p->name), "version", command_text(p->version), "state",
			 supervisor_state_name(p->state), "instance", (json_int_t) p->instance, "requests",
			 (json_int_t) p->requests, "inflight", (json_int_t) p->inflight, "queued",
			 (json_int_t) p->queued, "live_bytes", (json_int_t) p->own.live_bytes, "foreign_bytes",
			 (json_int_t) p->foreign.live_bytes, "resident_bytes",
			 (json_int_t) (p->own.resident_bytes + p->foreign.resident_bytes), "soft_limit",
			 (json_int_t) p->soft_limit, "hard_limit", (json_int_t) p->hard_limit, "escaped_bytes",
			 (json_int_t) p->escaped_bytes, "restarts", (json_int_t) plugin_restarts(p), "zombies",
			 (json_int_t) p->zombies);
}

int
command_list(const struct command_call *call, json_t **ret, struct error *error)
{
	struct supervisor *supervisor = plugin_supervisor(call);
	struct supervisor_plugin plugin;
	json_t *plugins = json_array();

	for (size_t i = 0; supervisor_get(supervisor, i, &plugin) == 0; i++)
		json_array_append_new(plugins, list_row(&plugin));
	return command_reply(json_pack("{s:o}", "plugins", plugins), ret, error);
}

/* --- show ------------------------------------------------------------------------------------------------ */

static json_t *
show_flags(uint32_t flags)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {
		{MTLSD_CONCURRENT, "concurrent"},   {MTLSD_BLOCKING, "blocking"}, {MTLSD_FILTER, "filter"},
		{MTLSD_STREAM_BODY, "stream-body"}, {MTLSD_OVERLAP, "overlap"},
	};
	json_t *array = json_array();

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (flags & names[i].bit)
			json_array_append_new(array, json_string(names[i].name));
	return array;
}

static json_t *
show_plugin(const struct supervisor_plugin *p)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:s, s:s, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:o*}", "name",
			 command_text(p->name), "version", command_text(p->version), "summary",
			 command_text(p->summary), "path", command_text(p->path), "sha256", p->sha256, "state",
			 supervisor_state_name(p->state), "instance", (json_int_t) p->instance, "since",
			 (json_int_t) p->since, "flags", show_flags(p->flags), "threads", (json_int_t) p->threads,
			 "zombies", (json_int_t) p->zombies, "faults", (json_int_t) p->faults,
			 "sample_interval", (json_int_t) p->sample_interval, "last_error",
			 p->last_error[0] ? command_text(p->last_error) : NULL);
}

static json_t *
show_requests(const struct supervisor_plugin *p)
{
	json_t *answers = json_pack("{s:I, s:I, s:I, s:I, s:I}", "2xx", (json_int_t) p->status[2], "3xx",
				    (json_int_t) p->status[3], "4xx", (json_int_t) p->status[4], "5xx",
				    (json_int_t) p->status[5], "none", (json_int_t) p->status[0]);

	return json_pack("{s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I}", "total", (json_int_t) p->requests, "inflight",
			 (json_int_t) p->inflight, "queued", (json_int_t) p->queued, "answers", answers, "refused_full",
			 (json_int_t) p->refused_full, "refused_disabled", (json_int_t) p->refused_disabled,
			 "deadline_missed", (json_int_t) p->deadline_missed, "failed", (json_int_t) p->failed,
			 "cancelled", (json_int_t) p->cancelled);
}

/* Pages held for each page's worth of live bytes, in percent: 100 is no fragmentation. */
static json_int_t
show_fragmentation(const struct heap_usage *u)
{
	return u->live_bytes != 0 ? (json_int_t) (u->resident_bytes * 100 / u->live_bytes) : 0;
}

static json_t *
show_heap(const struct heap_usage *u)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "live_bytes",
			 (json_int_t) u->live_bytes, "live_objects", (json_int_t) u->live_objects, "arena_bytes",
			 (json_int_t) u->arena_bytes, "peak_bytes", (json_int_t) u->peak_bytes, "resident_bytes",
			 (json_int_t) u->resident_bytes, "retained_bytes", (json_int_t) u->retained_bytes, "side_bytes",
			 (json_int_t) u->side_bytes, "allocated_bytes", (json_int_t) u->allocated_bytes,
			 "allocated_objects", (json_int_t) u->allocated_objects, "refused", (json_int_t) u->refused,
			 "faults", (json_int_t) u->faults, "epoch", (json_int_t) u->epoch,
			 "resident_percent", show_fragmentation(u));
}

/* A call address with its names, as far as they can be found. */
static json_t *
show_place(const struct command_call *call, const char *plugin, uintptr_t address)
{
	struct supervisor_place place = {.module = "?", .offset = address};

	(void) supervisor_resolve(plugin_supervisor(call), plugin, address, &place, NULL);
	return json_pack("{s:o*, s:o}", "function", place.function[0] ? command_text(place.function) : NULL, "place",
			 command_place(place.file, place.line, place.module, place.offset));
}

/* Bad frees by kind, and where the last of each was called. */
static json_t *
show_faults(const struct command_call *call, const struct supervisor_plugin *p)
{
	static const char *const kinds[] = {
		[HEAP_FAULT_DOUBLE_FREE] = "double free",
		[HEAP_FAULT_INTERIOR_FREE] = "free inside a block",
		[HEAP_FAULT_FOREIGN_FREE] = "free of what was never allocated",
		[HEAP_FAULT_STALE_FREE] = "free of a destroyed heap's block",
	};
	json_t *rows = json_array();

	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
		if (p->fault_counts[i] == 0)
			continue;
		json_t *row = show_place(call, p->name, p->fault_sites[i]);
		json_object_set_new(row, "kind", json_string(kinds[i]));
		json_object_set_new(row, "count", json_integer((json_int_t) p->fault_counts[i]));
		json_array_append_new(rows, row);
	}
	return rows;
}

/* Who got the last NULL; NULL if nobody did. */
static json_t *
show_refusal(const struct command_call *call, const struct supervisor_plugin *p)
{
	json_t *row;

	if (p->own.refused == 0)
		return NULL;
	row = show_place(call, p->name, p->own.refused_site);
	json_object_set_new(row, "count", json_integer((json_int_t) p->own.refused));
	return row;
}

static json_t *
show_limits(const struct supervisor_plugin *p)
{
	return json_pack("{s:I, s:I}", "soft", (json_int_t) p->soft_limit, "hard", (json_int_t) p->hard_limit);
}

static json_t *
show_restarts(const struct supervisor_plugin *p)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "operator", (json_int_t) p->restarts_operator, "reload",
			 (json_int_t) p->restarts_reload, "leak", (json_int_t) p->restarts_leak, "crash",
			 (json_int_t) p->restarts_crash);
}

int
command_show(const struct command_call *call, json_t **ret, struct error *error)
{
	struct supervisor_plugin p;
	json_t *counters = NULL;
	int r = command_plugin(call, &p, error);

	if (r < 0)
		return r;
	/* A plugin without an instance has none; that is no reason to show nothing. */
	(void) supervisor_words(plugin_supervisor(call), p.name, &counters, NULL, NULL);
	return command_reply(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o*}", "plugin", show_plugin(&p),
				       "requests", show_requests(&p), "own", show_heap(&p.own), "foreign",
				       show_heap(&p.foreign), "limits", show_limits(&p), "escaped",
				       json_pack("{s:I, s:I}", "bytes", (json_int_t) p.escaped_bytes, "blocks",
						 (json_int_t) p.escaped_blocks),
				       "restarts", show_restarts(&p), "counters", counters ? counters : json_object(),
				       "faults", show_faults(call, &p), "refusal", show_refusal(call, &p)),
			     ret, error);
}

/* --- changes --------------------------------------------------------------------------------------------- */

static json_t *
plugin_would(const struct supervisor_plugin *p, const char *sentence)
{
	return json_pack("{s:o, s:I, s:s, s:o}", "plugin", command_text(p->name), "instance", (json_int_t) p->instance,
			 "state", supervisor_state_name(p->state), "would", command_text(sentence));
}

int
command_evict(const struct command_call *call, json_t **ret, struct error *error)
{
	/* As enum mtlsd_level, from 1. */
	static const char *const levels[] = {"caches", "state", "replay"};
	const char *word = command_string(call, "level");
	uint64_t target = command_number(call, "bytes");
	struct supervisor_eviction result = {0};
	struct supervisor_plugin p;
	struct error why = {0};
	char sentence[200];
	int level = 1, r = command_plugin(call, &p, error);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LENGTH(levels); i++)
		if (strcmp(word, levels[i]) == 0)
			level = (int) i + 1;
	if (level == MTLSD_EVICT_REPLAY && !command_flag(call, "drop_replay_state"))
		return error_set(error, -EINVAL,
				 "level replay forgets nonces and tickets, so that old requests could be "
				 "replayed; say --drop-replay-state if that is meant");
	if (command_flag(call, "dry_run")) {
		snprintf(sentence, sizeof(sentence),
			 "ask the plugin to give back %s, level %s; its own heap holds %" PRIu64 " bytes now",
			 target ? "memory up to the target" : "all it can", word, p.own.live_bytes);
		return command_reply(plugin_would(&p, sentence), ret, error);
	}
	r = supervisor_evict(plugin_supervisor(call), p.name, target ? target : UINT64_MAX, level, &result, &why);
	if (r < 0)
		return plugin_failure(r, &why, error);
	return command_reply(json_pack("{s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "plugin", command_text(p.name),
				       "hook", result.hook, "claimed", (json_int_t) result.claimed, "measured",
				       (json_int_t) result.live_before - (json_int_t) result.live_after, "live_before",
				       (json_int_t) result.live_before, "live_after", (json_int_t) result.live_after,
				       "resident_before", (json_int_t) result.resident_before, "resident_after",
				       (json_int_t) result.resident_after),
			     ret, error);
}

static int
restart_reply(const char *name, const struct supervisor_restart *result, json_t **ret, struct error *error)
{
	return command_reply(json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:b, s:o*}", "plugin", command_text(name),
				       "old_instance", (json_int_t) result->old_instance, "new_instance",
				       (json_int_t) result->new_instance, "drained", (json_int_t) result->drained,
				       "cancelled", (json_int_t) result->cancelled, "freed_bytes",
				       (json_int_t) result->freed_bytes, "zombie", result->zombie, "zombie_reason",
				       result->zombie ? command_text(result->zombie_reason) : NULL),
			     ret, error);
}

int
command_restart(const struct command_call *call, json_t **ret, struct error *error)
{
	struct supervisor_restart result = {0};
	struct supervisor_plugin p;
	struct error why = {0};
	uint64_t expected = command_number(call, "if_instance");
	char sentence[200];
	int r = command_plugin(call, &p, error);

	if (r < 0)
		return r;
	if (command_flag(call, "dry_run")) {
		if (expected && expected != p.instance)
			return error_set(error, -ESTALE, "instance %" PRIu64 " serves, not %" PRIu64, p.instance,
					 expected);
		snprintf(sentence, sizeof(sentence),
			 "load %s into a fresh instance, switch to it, drain %" PRIu64 " requests of instance %" PRIu64
			 ", destroy %" PRIu64 " bytes",
			 command_flag(call, "kept_image") ? "the kept image" : "the file again", p.inflight, p.instance,
			 p.own.live_bytes);
		return command_reply(plugin_would(&p, sentence), ret, error);
	}
	r = supervisor_restart(plugin_supervisor(call), p.name, expected, !command_flag(call, "kept_image"),
			       command_number(call, "drain_timeout"), &result, &why);
	if (r < 0)
		return plugin_failure(r, &why, error);
	return restart_reply(p.name, &result, ret, error);
}

int
command_enable(const struct command_call *call, json_t **ret, struct error *error)
{
	struct supervisor_plugin p;
	struct error why = {0};
	int r = command_plugin(call, &p, error);

	if (r < 0)
		return r;
	if (command_flag(call, "dry_run"))
		return command_reply(plugin_would(&p, p.state == SUPERVISOR_DISABLED ? "start an instance and serve"
										     : "do nothing: it is enabled"),
				     ret, error);
	r = supervisor_enable(plugin_supervisor(call), p.name, &why);
	if (r < 0)
		return plugin_failure(r, &why, error);
	/* What it is now; a reload may have taken it away since. */
	r = command_plugin(call, &p, error);
	if (r < 0)
		return r;
	return command_reply(json_pack("{s:o, s:I, s:s}", "plugin", command_text(p.name), "instance",
				       (json_int_t) p.instance, "state", supervisor_state_name(p.state)),
			     ret, error);
}

int
command_disable(const struct command_call *call, json_t **ret, struct error *error)
{
	struct supervisor_restart result = {0};
	struct supervisor_plugin p;
	struct error why = {0};
	char sentence[200];
	int r = command_plugin(call, &p, error);

	if (r < 0)
		return r;
	if (command_flag(call, "dry_run")) {
		snprintf(sentence, sizeof(sentence),
			 "answer 503 from now on, drain %" PRIu64 " requests, destroy %" PRIu64 " bytes", p.inflight,
			 p.own.live_bytes);
		return command_reply(plugin_would(&p, sentence), ret, error);
	}
	r = supervisor_disable(plugin_supervisor(call), p.name, &result, &why);
	if (r < 0)
		return plugin_failure(r, &why, error);
	return restart_reply(p.name, &result, ret, error);
}
