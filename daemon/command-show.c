/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Everything known of one plugin. */
#include "command.h"
#include "explain.h"
#include "overseer.h"
#include "server.h"
#include "supervisor.h"

#include <mtlsd/plugin.h>

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
			 "zombies", (json_int_t) p->zombies, "faults", (json_int_t) p->faults, "sample_interval",
			 (json_int_t) p->sample_interval, "last_error",
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
			 "faults", (json_int_t) u->faults, "epoch", (json_int_t) u->epoch, "resident_percent",
			 show_fragmentation(u));
}

/* A call address with its names, as far as they can be found. */
static json_t *
show_named(const struct supervisor_place *place)
{
	return json_pack("{s:o*, s:o}", "function", place->function[0] ? command_text(place->function) : NULL, "place",
			 command_place(place->file, place->line, place->module, place->offset));
}

static json_t *
show_place(const struct command_call *call, const char *plugin, uintptr_t address)
{
	struct supervisor_place place = {.module = "?", .offset = address};

	(void) supervisor_resolve(server_supervisor(call->context->server), plugin, address, &place, NULL);
	return show_named(&place);
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
		struct supervisor_place place;
		json_t *row = supervisor_fault_place(server_supervisor(call->context->server), p->name, i, &place) == 0
				      ? show_named(&place)
				      : show_place(call, p->name, p->fault_sites[i]);
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

/* NULL: none are kept. */
static json_t *
show_nonces(const struct command_call *call, const struct supervisor_plugin *p)
{
	struct nonces_report seen;

	if (supervisor_nonces(server_supervisor(call->context->server), p->name, &seen) < 0 || !seen.open)
		return NULL;
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "remembered",
			 (json_int_t) seen.remembered, "capacity", (json_int_t) seen.settings.capacity, "room",
			 (json_int_t) seen.room, "window", (json_int_t) seen.settings.window, "skew",
			 (json_int_t) seen.settings.skew, "accepted", (json_int_t) seen.accepted, "repeated",
			 (json_int_t) seen.repeated, "untimely", (json_int_t) seen.untimely, "refused_full",
			 (json_int_t) seen.full, "unwritten", (json_int_t) seen.unwritten);
}

/* NULL: nobody watches it. */
static json_t *
show_leak(const struct overseer_view *view)
{
	json_t *object = explain_verdict(&view->verdict);

	if (!object)
		return NULL;
	json_object_set_new(object, "sentence", command_text(view->sentence));
	json_object_set_new(object, "judged", json_integer((json_int_t) view->judged));
	json_object_set_new(object, "probe", json_string(view->probe));
	json_object_set_new(object, "breaker", json_string(view->breaker));
	if (view->next[0])
		json_object_set_new(object, "next", command_text(view->next));
	return object;
}

int
command_show(const struct command_call *call, json_t **ret, struct error *error)
{
	struct supervisor_plugin p;
	struct overseer_view view;
	json_t *counters = NULL, *reply;
	int r = command_plugin(call, &p, error);

	if (r < 0)
		return r;
	/* A plugin without an instance has none; that is no reason to show nothing. */
	(void) supervisor_words(server_supervisor(call->context->server), p.name, &counters, NULL, NULL);
	reply = json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o*, s:o*}", "plugin", show_plugin(&p), "requests",
		show_requests(&p), "own", show_heap(&p.own), "foreign", show_heap(&p.foreign), "limits",
		show_limits(&p), "escaped",
		json_pack("{s:I, s:I}", "bytes", (json_int_t) p.escaped_bytes, "blocks", (json_int_t) p.escaped_blocks),
		"restarts", show_restarts(&p), "counters", counters ? counters : json_object(), "faults",
		show_faults(call, &p), "refusal", show_refusal(call, &p), "nonces", show_nonces(call, &p));
	if (reply && command_view(call, p.name, &view))
		json_object_set_new(reply, "leak", show_leak(&view));
	/* What was done stays known when the instance it was done to is gone. */
	if (reply)
		json_object_set_new(reply, "history", command_history(call, p.name));
	return command_reply(reply, ret, error);
}

/* clang-format off */
static const struct command_column show_plugin_columns[] = {
	{"name", "name", "text"},
	{"version", "version", "text"},
	{"summary", "summary", "text"},
	{"state", "state", "state"},
	{"last error", "last_error", "text"},
	{"instance", "instance", "text"},
	{"serving for", "since", "since"},
	{"flags", "flags", "list"},
	{"path", "path", "text"},
	{"sha256", "sha256", "text"},
	{"threads", "threads", "count"},
	{"zombies", "zombies", "count"},
	{"faults", "faults", "count"},
	{"bytes between samples", "sample_interval", "limit"},
	{0},
};
static const struct command_column show_leak_columns[] = {
	{"verdict", "verdict", "state"},
	{"class", "class", "text"},
	{"sentence", "sentence", "text"},
	{"bytes a request", "bytes_per_request", "real"},
	{"until the hard limit", "seconds_to_limit", "seconds"},
	{"judged since", "judged", "since"},
	{"probe", "probe", "text"},
	{"breaker", "breaker", "text"},
	{"next", "next", "text"},
	{0},
};
static const struct command_column show_request_columns[] = {
	{"total", "total", "count"},
	{"in flight", "inflight", "count"},
	{"queued", "queued", "count"},
	{"answered 2xx", "answers.2xx", "count"},
	{"answered 3xx", "answers.3xx", "count"},
	{"answered 4xx", "answers.4xx", "count"},
	{"answered 5xx", "answers.5xx", "count"},
	{"no answer", "answers.none", "count"},
	{"failed", "failed", "count"},
	{"deadline missed", "deadline_missed", "count"},
	{"cancelled", "cancelled", "count"},
	{"refused, full", "refused_full", "count"},
	{"refused, disabled", "refused_disabled", "count"},
	{0},
};
static const struct command_column show_heap_columns[] = {
	{"live", "live_bytes", "size"},
	{"  objects", "live_objects", "count"},
	{"  in request arenas", "arena_bytes", "size"},
	{"peak", "peak_bytes", "size"},
	{"resident", "resident_bytes", "size"},
	{"  retained", "retained_bytes", "size"},
	{"  percent of live", "resident_percent", "count"},
	{"side tables", "side_bytes", "size"},
	{"allocated ever", "allocated_bytes", "size"},
	{"  objects", "allocated_objects", "count"},
	{"refused", "refused", "count"},
	{"faults", "faults", "count"},
	{"request clock", "epoch", "count"},
	{0},
};
static const struct command_column show_refusal_columns[] = {
	{"allocations", "count", "count"},
	{"last by", "function", "text"},
	{"  at", "place", "text"},
	{0},
};
static const struct command_column show_fault_columns[] = {
	{"KIND", "kind", "text"},
	{"COUNT", "count", "count"},
	{"LAST BY", "function", "name"},
	{"FILE:LINE", "place", "text"},
	{0},
};
static const struct command_column show_limit_columns[] = {
	{"soft", "soft", "limit"},
	{"hard", "hard", "limit"},
	{0},
};
static const struct command_column show_escape_columns[] = {
	{"bytes", "bytes", "size"},
	{"blocks", "blocks", "count"},
	{0},
};
static const struct command_column show_nonce_columns[] = {
	{"remembered", "remembered", "count"},
	{"  capacity, at least", "capacity", "count"},
	{"  room", "room", "count"},
	{"window", "window", "seconds"},
	{"  clocks ahead", "skew", "seconds"},
	{"accepted", "accepted", "count"},
	{"refused, seen before", "repeated", "count"},
	{"refused, too old or ahead", "untimely", "count"},
	{"refused, full", "refused_full", "count"},
	{"refused, not written", "unwritten", "count"},
	{0},
};
static const struct command_column show_restart_columns[] = {
	{"by operator", "operator", "count"},
	{"by reload", "reload", "count"},
	{"by leak", "leak", "count"},
	{"by crash", "crash", "count"},
	{0},
};
const struct command_block command_show_blocks[] = {
	{.key = "plugin", .kind = COMMAND_FIELDS, .columns = show_plugin_columns},
	{.key = "leak", .kind = COMMAND_FIELDS, .title = "leak", .columns = show_leak_columns},
	{.key = "requests", .kind = COMMAND_FIELDS, .title = "requests", .columns = show_request_columns},
	{.key = "limits", .kind = COMMAND_FIELDS, .title = "limits", .columns = show_limit_columns},
	{.key = "own", .kind = COMMAND_FIELDS, .title = "own heap", .columns = show_heap_columns},
	{.key = "foreign", .kind = COMMAND_FIELDS, .title = "foreign heap", .columns = show_heap_columns},
	{.key = "refusal",
	 .kind = COMMAND_FIELDS,
	 .title = "refused at the hard limit",
	 .columns = show_refusal_columns},
	{.key = "faults",
	 .kind = COMMAND_TABLE,
	 .title = "bad frees, which were not done",
	 .columns = show_fault_columns},
	{.key = "escaped", .kind = COMMAND_FIELDS, .title = "escaped from requests", .columns = show_escape_columns},
	{.key = "nonces", .kind = COMMAND_FIELDS, .title = "nonces", .columns = show_nonce_columns},
	{.key = "restarts", .kind = COMMAND_FIELDS, .title = "restarts", .columns = show_restart_columns},
	{.key = "counters", .kind = COMMAND_MAP, .title = "counters of the plugin"},
	{.key = "history", .kind = COMMAND_TABLE, .title = "verdicts and actions", .columns = command_history_columns},
	{0},
};
/* clang-format on */
