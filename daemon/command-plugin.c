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
