/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugins, one a line: what `list` shows and `top` takes its rates from. */
#include "command.h"
#include "config.h"
#include "explain.h"
#include "monotonic.h"
#include "overseer.h"
#include "server.h"
#include "supervisor.h"

static uint64_t
list_restarts(const struct supervisor_plugin *p)
{
	return p->restarts_operator + p->restarts_reload + p->restarts_leak + p->restarts_crash;
}

/* Answers that are the plugin's fault: 5xx, or none. */
static uint64_t
list_errors(const struct supervisor_plugin *p)
{
	return p->status[5] + p->status[0];
}

static json_t *
list_row(const struct supervisor_plugin *p)
{
	return json_pack("{s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
			 command_text(p->name), "version", command_text(p->version), "state",
			 supervisor_state_name(p->state), "instance", (json_int_t) p->instance, "requests",
			 (json_int_t) p->requests, "errors", (json_int_t) list_errors(p), "inflight",
			 (json_int_t) p->inflight, "queued", (json_int_t) p->queued, "live_bytes",
			 (json_int_t) p->own.live_bytes, "foreign_bytes", (json_int_t) p->foreign.live_bytes,
			 "resident_bytes", (json_int_t) (p->own.resident_bytes + p->foreign.resident_bytes),
			 "soft_limit", (json_int_t) p->soft_limit, "hard_limit", (json_int_t) p->hard_limit,
			 "escaped_bytes", (json_int_t) p->escaped_bytes, "restarts", (json_int_t) list_restarts(p),
			 "zombies", (json_int_t) p->zombies);
}

int
command_list(const struct command_call *call, json_t **ret, struct error *error)
{
	struct supervisor *supervisor = server_supervisor(call->context->server);
	CLEANUP(config_unref) struct config *config = server_config(call->context->server);
	struct supervisor_plugin plugin;
	struct overseer_view view;
	json_int_t clock = (json_int_t) monotonic_now();
	json_t *plugins = json_array();

	for (size_t i = 0; supervisor_get(supervisor, i, &plugin) == 0; i++) {
		json_t *row = list_row(&plugin);

		if (row && command_is_watched(config, plugin.name) && command_view(call, plugin.name, &view) &&
		    view.instance > 0) {
			json_t *verdict = explain_verdict(&view.verdict);

			(void) json_object_update(row, verdict);
			json_decref(verdict);
		}
		json_array_append_new(plugins, row);
	}
	return command_reply(json_pack("{s:I, s:o}", "clock", clock, "plugins", plugins), ret, error);
}

/* clang-format off */
static const struct command_column list_columns[] = {
	{"NAME", "name", "text"},
	{"STATE", "state", "state"},
	{"VERDICT", "verdict", "state"},
	{"INSTANCE", "instance", "count"},
	{"REQ", "requests", "count"},
	{"ERRORS", "errors", "count"},
	{"INFLIGHT", "inflight", "count"},
	{"LIVE", "live_bytes", "size"},
	{"RSS", "resident_bytes", "size"},
	{"LIMIT", "hard_limit", "limit"},
	{"ESCAPED", "escaped_bytes", "size"},
	{"RESTARTS", "restarts", "count"},
	{"ZOMBIES", "zombies", "count"},
	{0},
};
const struct command_block command_list_blocks[] = {
	{.key = "plugins", .kind = COMMAND_TABLE, .columns = list_columns, .empty = "no plugin is configured"},
	{0},
};
/* clang-format on */
