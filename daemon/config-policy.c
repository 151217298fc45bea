/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is done by itself about one plugin: when it is judged to leak, restarted, shut. */
#include "config-check.h"
#include "config-tables.h"
#include "probe.h"

#include <errno.h>
#include <stddef.h>

/* GNU C lets enumerators be as wide as they need. */
enum { SECOND = 1000000, DAY = 86400 * INT64_C(1000000), KIB = 1024, GIB = 1024 * 1024 * 1024 };
enum { THOUSAND = 1000 }; /* decimals are bounded in thousandths */

static const char action_words[] = "log|dump|evict|restart|breaker";

static const struct schema_row probe_rows[] = {
	{"allow", SCHEMA_BOOL, offsetof(struct config_plugin, leak.probe), .fallback = "true",
	 .help = "Whether the plugin's caches may be emptied to see whether what grows is a leak. Without it, or "
		 "without "
		 "an evict hook, a leak is called likely at most."},
	{"max_per_hour", SCHEMA_INT, offsetof(struct config_plugin, leak.probe_per_hour), .min = 0,
	 .max = PROBE_PER_HOUR, .fallback = "4", .help = "Probes begun in any hour."},
	{"max_load", SCHEMA_DECIMAL, offsetof(struct config_plugin, leak.probe_load), .min = 0, .max = THOUSAND,
	 .fallback = "0.8",
	 .help = "None begins while the daemon uses a larger part of the machine's cores; 1: always."},
	{.key = NULL},
};

static const struct schema_row when_rows[] = {
	{"quiet", SCHEMA_BOOL, offsetof(struct config_plugin, policy.quiet), .fallback = "true",
	 .help = "Wait for a quiet moment."},
	{"quiet_inflight", SCHEMA_INT, offsetof(struct config_plugin, policy.quiet_inflight), .min = 0, .max = 1000000,
	 .fallback = "1", .help = "A moment is quiet when the plugin has so many requests at most."},
	{"quiet_wait", SCHEMA_DURATION, offsetof(struct config_plugin, policy.quiet_wait), .min = 0, .max = DAY,
	 .fallback = "5min", .help = "After this long any moment will do."},
	{"time_to_limit", SCHEMA_DURATION, offsetof(struct config_plugin, policy.time_to_limit), .min = 0,
	 .max = 365 * DAY, .fallback = "0s",
	 .help = "Restart only once the leak will reach memory.hard within this time; 0s: not asked."},
	{"bytes", SCHEMA_SIZE, offsetof(struct config_plugin, policy.bytes), .min = 0, .max = 64 * INT64_C(1073741824),
	 .fallback = "0",
	 .help = "Restart only once the plugin holds so much, own and foreign bytes together; 0: not asked. With "
		 "time_to_limit too, either will do."},
	{.key = NULL},
};

const struct schema_row config_leak_rows[] = {
	{"watch", SCHEMA_BOOL, offsetof(struct config_plugin, leak.watch), .fallback = "true",
	 .help = "Whether the plugin is judged at all. Its limits hold in any case."},
	{"min_rate", SCHEMA_DECIMAL, offsetof(struct config_plugin, leak.min_rate), .min = 0,
	 .max = INT64_C(1000000) * THOUSAND, .fallback = "0.5", .unit = "bytes a request",
	 .help = "Slower growth is not looked at."},
	{"min_growth", SCHEMA_SIZE, offsetof(struct config_plugin, leak.min_growth), .min = 1, .max = GIB,
	 .fallback = "32KiB", .help = "Growth of less than this in a window of time proves nothing."},
	{"warm_up", SCHEMA_DURATION, offsetof(struct config_plugin, leak.warm_up), .min = 0, .max = DAY,
	 .fallback = "60s",
	 .help = "A new instance is not judged before this. With warm_up_requests, the later counts. A probe lasts as "
		 "long at least."},
	{"warm_up_requests", SCHEMA_INT, offsetof(struct config_plugin, leak.warm_up_requests), .min = 0,
	 .max = 1000000000, .fallback = "10000", .help = "Nor before it has served so many requests."},
	{"probe", SCHEMA_GROUP, .offset = 0, .rows = probe_rows,
	 .help = "The experiment that tells a leak from a cache."},
	{"on_suspect", SCHEMA_FLAGS, offsetof(struct config_plugin, policy.on_suspect), .choices = action_words,
	 .fallback = "log",
	 .help = "What is done when the plugin may leak. log: a record. dump: a dump is written to "
		 "daemon.dump_directory. evict: it is asked to give back what it can rebuild. restart: it is replaced, "
		 "as restart_when says. breaker: its requests are refused for breaker.open."},
	{"on_likely", SCHEMA_FLAGS, offsetof(struct config_plugin, policy.on_likely), .choices = action_words,
	 .fallback = "log", .help = "What is done when it is likely to."},
	{"on_confirmed", SCHEMA_FLAGS, offsetof(struct config_plugin, policy.on_confirmed), .choices = action_words,
	 .fallback = "log|dump|evict", .help = "What is done when a probe has proved it."},
	{"restart_when", SCHEMA_GROUP, .offset = 0, .rows = when_rows,
	 .help = "When an instance that leaks is replaced, where a list above says restart."},
	{.key = NULL},
};

static const struct schema_row backoff_rows[] = {
	{"initial", SCHEMA_DURATION, offsetof(struct config_plugin, budget.initial), .min = 1000, .max = DAY,
	 .fallback = "250ms", .help = "Before the first new try. Looked at once a second."},
	{"factor", SCHEMA_DECIMAL, offsetof(struct config_plugin, budget.factor), .min = THOUSAND,
	 .max = 100 * THOUSAND, .fallback = "2", .help = "Each further wait is so many times as long."},
	{"max", SCHEMA_DURATION, offsetof(struct config_plugin, budget.max), .min = 1000, .max = DAY, .fallback = "60s",
	 .help = "No wait is longer."},
	{"jitter", SCHEMA_DECIMAL, offsetof(struct config_plugin, budget.jitter), .min = 0, .max = THOUSAND,
	 .fallback = "0.2", .help = "Each wait is longer or shorter by up to this part of it, by chance."},
	{"reset_after", SCHEMA_DURATION, offsetof(struct config_plugin, budget.reset_after), .min = 1000,
	 .max = 7 * DAY, .fallback = "10min",
	 .help = "After it has served this long without a failure, all failures are forgotten."},
	{.key = NULL},
};

static const struct schema_row burst_rows[] = {
	{"count", SCHEMA_INT, offsetof(struct config_plugin, budget.burst), .min = 0, .max = BUDGET_TIMES,
	 .fallback = "5", .help = "So many failures, 0: any number, ..."},
	{"within", SCHEMA_DURATION, offsetof(struct config_plugin, budget.burst_within), .min = 1000, .max = DAY,
	 .fallback = "30s", .help = "... in this time are too many: tries are restart.backoff.max apart then."},
	{.key = NULL},
};

static const struct schema_row planned_rows[] = {
	{"max", SCHEMA_INT, offsetof(struct config_plugin, budget.planned), .min = 0, .max = BUDGET_TIMES,
	 .fallback = "4", .help = "Restarts for a leak or near the hard limit ..."},
	{"within", SCHEMA_DURATION, offsetof(struct config_plugin, budget.planned_within), .min = SECOND,
	 .max = 7 * DAY, .fallback = "1h", .help = "... in any such time."},
	{.key = NULL},
};

const struct schema_row config_restart_rows[] = {
	{"backoff", SCHEMA_GROUP, .offset = 0, .rows = backoff_rows, .help = "Waits between tries to start it."},
	{"burst", SCHEMA_GROUP, .offset = 0, .rows = burst_rows, .help = "Failures that come too fast."},
	{"planned", SCHEMA_GROUP, .offset = 0, .rows = planned_rows, .help = "Restarts that are no failures."},
	{"on_exhausted", SCHEMA_CHOICE, offsetof(struct config_plugin, policy.on_exhausted), .choices = "breaker|stay",
	 .fallback = "breaker",
	 .help = "When no restart is left. breaker: once it is past its hard limit or its allocations fail, requests "
		 "are refused but for a trial each breaker.open; a plugin that does not start is tried again each "
		 "backoff.max. stay: it serves on, and its allocations may fail; a plugin that does not start is left "
		 "alone."},
	{.key = NULL},
};

const struct schema_row config_breaker_rows[] = {
	{"failures", SCHEMA_INT, offsetof(struct config_plugin, breaker.failures), .min = 0, .max = 1000000,
	 .fallback = "0",
	 .help = "So many requests in a row that ended with a 5xx answer or missed the deadline open the breaker; 0: "
		 "none do. Where any client can provoke a 500, it could shut the plugin for the others."},
	{"open", SCHEMA_DURATION, offsetof(struct config_plugin, breaker.open), .min = 1000, .max = DAY,
	 .fallback = "30s", .help = "For how long; then one request is tried. Doubles each time it fails again."},
	{"max_open", SCHEMA_DURATION, offsetof(struct config_plugin, breaker.max_open), .min = 1000, .max = DAY,
	 .fallback = "5min", .help = "The longest it doubles to."},
	{.key = NULL},
};

/* --- what belongs together --------------------------------------------------------------------------------------- */

static const struct yaml_node *
place(const struct yaml_node *plugin, const char *group, const char *inner, const char *key)
{
	const struct yaml_node *node = yaml_get(plugin, group);

	if (node != NULL && inner != NULL && yaml_get(node, inner) != NULL)
		node = yaml_get(node, inner);
	return node != NULL ? config_place(node, key) : plugin;
}

static void
actions_check(struct schema_reader *reader, const struct config *config, const struct config_plugin *plugin)
{
	static const char *const keys[] = {"on_suspect", "on_likely", "on_confirmed"};
	const unsigned lists[] = {plugin->policy.on_suspect, plugin->policy.on_likely, plugin->policy.on_confirmed};
	const struct yaml_node *leak = yaml_get(yaml_get(plugin->node, "memory"), "leak");
	unsigned all = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
		const struct yaml_node *list = yaml_get(leak, keys[i]);
		all |= lists[i];
		if (list != NULL && (lists[i] & POLICY_DUMP) != 0 && config->daemon.dump_directory == NULL)
			(void) schema_mistake(
				reader, list,
				"%s says dump, but there is no folder for dumps; add daemon.dump_directory", keys[i]);
		if ((lists[i] & POLICY_RESTART) != 0 && plugin->budget.planned == 0)
			(void) schema_mistake(
				reader, list,
				"%s says restart, but restart.planned.max is 0; raise it, or leave restart out",
				keys[i]);
	}
	const struct yaml_node *when = yaml_get(leak, "restart_when");
	if (when != NULL && (all & POLICY_RESTART) == 0)
		(void) schema_mistake(
			reader, when,
			"restart_when says when, but no list says restart; add it to on_confirmed, or leave "
			"restart_when out");
}

void
config_check_policy(struct schema_reader *reader, const struct config *config, const struct config_plugin *plugin)
{
	actions_check(reader, config, plugin);
	if (plugin->budget.max < plugin->budget.initial)
		(void) schema_mistake(reader, place(plugin->node, "restart", "backoff", "max"),
				      "restart.backoff.max is below restart.backoff.initial; raise it");
	if (plugin->breaker.max_open < plugin->breaker.open)
		(void) schema_mistake(reader, place(plugin->node, "breaker", NULL, "max_open"),
				      "breaker.max_open is below breaker.open; raise it");
}
