/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why a plugin is called what it is called: every test with its value; and the signals it was judged by, to keep. */
#include "command.h"
#include "config.h"
#include "explain.h"
#include "outlet.h"
#include "overseer.h"
#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { EXPLAIN_PATIENCE = 30 * 1000 * 1000 /* microseconds for a reader that stands still */ };

bool
command_view(const struct command_call *call, const char *plugin, struct overseer_view *ret)
{
	struct overseer *overseer = server_overseer(call->context->server);

	/* Not before the first look. */
	return overseer && overseer_view(overseer, plugin, ret) == 0 && ret->judged > 0;
}

static const struct config_leak *
explain_settings(const struct config *config, const char *plugin)
{
	for (size_t i = 0; i < config->plugin_count; i++)
		if (strcmp(config->plugins[i].name, plugin) == 0)
			return &config->plugins[i].leak;
	return NULL;
}

bool
command_is_watched(const struct config *config, const char *plugin)
{
	const struct config_leak *leak = explain_settings(config, plugin);

	return leak && leak->watch;
}

bool
command_probe_allowed(const struct config *config, const char *plugin)
{
	const struct config_leak *leak = explain_settings(config, plugin);

	return leak && leak->probe;
}

void
command_resolve(const struct command_call *call, const char *plugin, uintptr_t address, struct explain_place *ret)
{
	struct supervisor_place place = {.offset = address};
	json_t *text;

	*ret = (struct explain_place){0};
	if (address == 0 ||
	    supervisor_resolve(server_supervisor(call->context->server), plugin, address, &place, NULL) < 0)
		return;
	text = command_place(place.file, place.line, place.module, place.offset);
	snprintf(ret->function, sizeof(ret->function), "%s", place.function);
	snprintf(ret->place, sizeof(ret->place), "%s", text ? json_string_value(text) : "");
	json_decref(text);
}

json_t *
command_history(const struct command_call *call, const char *plugin)
{
	struct overseer *overseer = server_overseer(call->context->server);
	json_t *history = overseer ? overseer_history(overseer, plugin) : NULL;

	return history ? history : json_array();
}

/* The rows of the plugin's history that are about probes. */
static json_t *
explain_history(const struct command_call *call, const char *plugin)
{
	json_t *all = command_history(call, plugin), *rows = json_array(), *row;
	size_t i;

	json_array_foreach(all, i, row) {
		const char *event = json_string_value(json_object_get(row, "event"));

		if (event && strncmp(event, "probe", 5) == 0)
			json_array_append(rows, row);
	}
	json_decref(all);
	return rows;
}

/* The signals go to the descriptor the client passed. */
static int
explain_record(const struct command_call *call, const char *plugin, json_t *reply, struct error *error)
{
	CLEANUP_FREE char *text = NULL;
	size_t length = 0;
	int r = outlet_check(call->output, error);

	if (r == 0) {
		r = overseer_record(server_overseer(call->context->server), plugin, &text, &length);
		if (r < 0)
			(void) error_set(error, r == -ENOENT ? -ENODATA : r, "nothing was recorded of %s: %s", plugin,
					 strerror(-r));
	}
	if (r == 0)
		r = outlet_write(call->output, text, length, EXPLAIN_PATIENCE, error);
	if (r == 0)
		json_object_set_new(reply, "written", json_pack("{s:I}", "bytes", (json_int_t) length));
	return r == -ENOENT ? -ENODATA : r;
}

int
command_explain(const struct command_call *call, json_t **ret, struct error *error)
{
	CLEANUP(config_unref) struct config *config = server_config(call->context->server);
	struct explain_place places[VERDICT_SITES];
	struct supervisor_plugin plugin;
	struct overseer_view view;
	struct explain_case subject;
	bool can_probe;
	json_t *reply;
	int r = command_plugin(call, &plugin, error);

	if (r < 0)
		return r;
	if (!command_is_watched(config, plugin.name))
		return error_set(error, -ENODATA, "nobody watches %s: memory.leak.watch is off", plugin.name);
	if (!command_view(call, plugin.name, &view) || view.instance == 0)
		return error_set(error, -ENODATA, "nothing is known of %s yet: it is %s", plugin.name,
				 supervisor_state_name(plugin.state));
	can_probe = plugin.has_evict && command_probe_allowed(config, plugin.name);
	for (unsigned i = 0; i < view.verdict.site_count; i++)
		command_resolve(call, plugin.name, view.verdict.sites[i].site, &places[i]);
	subject = (struct explain_case){
		.plugin = plugin.name,
		.instance = view.instance,
		.judged = view.judged,
		.verdict = &view.verdict,
		.sentence = view.sentence,
		.phase = can_probe          ? view.probe
			 : plugin.has_evict ? "none: they are not allowed (memory.leak.probe.allow)"
					    : "none: it has no evict hook",
		.probes = &view.probes,
		.places = places,
		.history = explain_history(call, plugin.name),
	};
	reply = explain_reply(&subject);
	json_object_set_new(reply, "leak", json_boolean(explain_is_leak(&view.verdict, can_probe)));
	if (command_flag(call, "record") && (r = explain_record(call, plugin.name, reply, error)) < 0) {
		json_decref(reply);
		return r;
	}
	return command_reply(reply, ret, error);
}
