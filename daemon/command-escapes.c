/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What requests left behind: by plugin, route, class of answer and call site. */
#include "command.h"
#include "server.h"
#include "supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ESCAPES_TOP = 40 }; /* rows a plugin when nobody says how many */

static json_t *
escapes_row(const struct command_call *call, const struct supervisor_plugin *plugin,
	    const struct supervisor_escapes *escapes, const struct supervisor_escape *escape)
{
	static const char *const classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
	const struct supervisor_place *place = &escapes->places[escape->place];
	const char *route = server_route(call->context->server, escape->route);
	bool known = place->address != 0;

	return json_pack("{s:o, s:I, s:o*, s:s*, s:o*, s:o*, s:i, s:o*, s:I, s:I, s:I, s:I}", "plugin",
			 command_text(plugin->name), "instance", (json_int_t) escapes->instance, "route",
			 known && route ? command_text(route) : NULL, "status",
			 known && escape->status_class < ARRAY_LENGTH(classes) ? classes[escape->status_class] : NULL,
			 "function", place->function[0] ? command_text(place->function) : NULL, "file",
			 place->file[0] ? command_text(place->file) : NULL, "line", place->line, "place",
			 known ? command_place(place->file, place->line, place->module, place->offset)
			       : json_string("(sites beyond the books)"),
			 "bytes", (json_int_t) escape->bytes, "blocks", (json_int_t) escape->blocks, "requests",
			 (json_int_t) escape->requests, "per_request",
			 (json_int_t) (escape->requests ? escape->bytes / escape->requests : 0));
}

static int
escapes_append(const struct command_call *call, const struct supervisor_plugin *plugin, uint64_t top, json_t *rows,
	       struct error *error)
{
	CLEANUP(supervisor_escapes_clear) struct supervisor_escapes escapes = {0};
	int r = supervisor_escapes(server_supervisor(call->context->server), plugin->name, &escapes, error);

	for (size_t i = 0; r == 0 && i < escapes.count && (top == 0 || i < top); i++)
		if (json_array_append_new(rows, escapes_row(call, plugin, &escapes, &escapes.rows[i])) < 0)
			r = error_set(error, -ENOMEM, "out of memory");
	return r;
}

int
command_escapes(const struct command_call *call, json_t **ret, struct error *error)
{
	struct supervisor *supervisor = server_supervisor(call->context->server);
	uint64_t top = json_object_get(call->arguments, "top") ? command_number(call, "top") : ESCAPES_TOP;
	struct supervisor_plugin plugin;
	json_t *rows = json_array();
	struct error why = {0};
	int r = 0;

	if (command_string(call, "plugin")) {
		r = command_plugin(call, &plugin, error);
		if (r == 0 && (r = escapes_append(call, &plugin, top, rows, &why)) < 0)
			r = error_set(error, r == -ENOENT ? -EIO : r, "%s", why.text);
	} else {
		/* A plugin without an instance has no books; that is no reason to show none of the others. */
		for (size_t i = 0; supervisor_get(supervisor, i, &plugin) == 0; i++)
			if (plugin.instance != 0)
				(void) escapes_append(call, &plugin, top, rows, &why);
	}
	if (r < 0) {
		json_decref(rows);
		return r;
	}
	return command_reply(json_pack("{s:o}", "escapes", rows), ret, error);
}

/* clang-format off */
static const struct command_column escapes_columns[] = {
	{"PLUGIN", "plugin", "text"},
	{"ROUTE", "route", "text"},
	{"STATUS", "status", "text"},
	{"BYTES", "bytes", "size"},
	{"BLOCKS", "blocks", "count"},
	{"REQUESTS", "requests", "count"},
	{"A REQUEST", "per_request", "size"},
	{"FUNCTION", "function", "name"},
	{"FILE:LINE", "place", "text"},
	{0},
};
const struct command_block command_escapes_blocks[] = {
	{.key = "escapes",
	 .kind = COMMAND_TABLE,
	 .title = "allocated while a request was served, and still there when it ended",
	 .columns = escapes_columns,
	 .empty = "nothing escaped from any request"},
	{0},
};
/* clang-format on */
