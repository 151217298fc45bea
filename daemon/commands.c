/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* THE table: every command of the control socket, once. */
#include "command.h"
#include "explain.h"

#include <errno.h>
#include <string.h>

/* One row a line, or one member a line: not as clang-format would pack them. */
/* clang-format off */

/* --- arguments ------------------------------------------------------------------------------------------- */

static const struct command_argument plugin_only[] = {
	{.name = "plugin", .positional = true, .required = true, .max = 64, .help = "name of the plugin"},
	{0},
};

static const struct command_argument dump_arguments[] = {
	{.name = "plugin", .positional = true, .required = true, .max = 64, .help = "name of the plugin"},
	{.name = "format",
	 .type = COMMAND_CHOICE,
	 .choices = "text|json|folded|pprof",
	 .fallback = "\"text\"",
	 .help = "text: a table; json: everything that is known; folded: for flame graphs; pprof: for go tool pprof"},
	{.name = "min_age",
	 .type = COMMAND_INT,
	 .max = UINT32_MAX,
	 .metavar = "REQUESTS",
	 .help = "only blocks at least that many requests old"},
	{.name = "top",
	 .type = COMMAND_INT,
	 .max = 100000,
	 .metavar = "N",
	 .help = "so many sites (default 40, 0: all)"},
	{.name = "peak",
	 .type = COMMAND_BOOL,
	 .help = "what the instance held at its highest so far, as kept when that was reached"},
	{.name = "base",
	 .type = COMMAND_JSON,
	 .help = "show what changed since this dump, saved with --format json"},
	{.name = "callers",
	 .type = COMMAND_BOOL,
	 .help = "who called each site, as samples tell (without it: of allocation wrappers)"},
	{.name = "output", .type = COMMAND_OUTPUT, .help = "write to this file instead"},
	{0},
};

static const struct command_argument explain_arguments[] = {
	{.name = "plugin", .positional = true, .required = true, .max = 64, .help = "name of the plugin"},
	{.name = "record",
	 .type = COMMAND_OUTPUT,
	 .help = "save the signals it was judged by to this file; mtlsctl replay judges them again"},
	{0},
};

static const struct command_argument doctor_arguments[] = {
	{.name = "plugin", .positional = true, .max = 64, .help = "only this plugin (default: all, and the daemon)"},
	{0},
};

static const struct command_argument escapes_arguments[] = {
	{.name = "plugin", .positional = true, .max = 64, .help = "name of the plugin (default: all)"},
	{.name = "top",
	 .type = COMMAND_INT,
	 .max = 100000,
	 .metavar = "N",
	 .help = "so many rows a plugin (default 40, 0: all)"},
	{0},
};

static const struct command_argument sampling_arguments[] = {
	{.name = "plugin", .positional = true, .required = true, .max = 64, .help = "name of the plugin"},
	{.name = "interval",
	 .type = COMMAND_SIZE,
	 .positional = true,
	 .required = true,
	 .max = 64 << 20,
	 .help = "one stack about every so many allocated bytes; 0: none"},
	{0},
};

static const struct command_argument evict_arguments[] = {
	{.name = "plugin", .positional = true, .required = true, .max = 64, .help = "name of the plugin"},
	{.name = "bytes", .type = COMMAND_SIZE, .help = "how much to ask for (default: all it can)"},
	{.name = "level",
	 .type = COMMAND_CHOICE,
	 .choices = "caches|state|replay",
	 .fallback = "\"caches\"",
	 .help = "caches; also state that can be rebuilt; also what prevents replays"},
	{.name = "drop_replay_state",
	 .type = COMMAND_BOOL,
	 .help = "with level replay: yes, forget nonces and tickets"},
	{0},
};

static const struct command_argument restart_arguments[] = {
	{.name = "plugin", .positional = true, .required = true, .max = 64, .help = "name of the plugin"},
	{.name = "if_instance",
	 .type = COMMAND_INT,
	 .min = 1,
	 .metavar = "N",
	 .max = INT64_MAX,
	 .help = "only if this instance serves now"},
	{.name = "drain_timeout",
	 .type = COMMAND_DURATION,
	 .min = 0,
	 .max = INT64_C(86400) * 1000000,
	 .help = "wait so long for requests of the old instance (default: the plugin's drain_timeout)"},
	{.name = "kept_image",
	 .type = COMMAND_BOOL,
	 .help = "start from the image that is loaded, do not read the file again"},
	{0},
};

static const struct command_argument log_level_arguments[] = {
	{.name = "level",
	 .type = COMMAND_CHOICE,
	 .positional = true,
	 .choices = "error|warning|notice|info|debug",
	 .help = "the new level, until the daemon's next start or change"},
	{0},
};

static const struct command_argument reload_arguments[] = {
	{.name = "what",
	 .type = COMMAND_CHOICE,
	 .positional = true,
	 .choices = "all|tls",
	 .fallback = "\"all\"",
	 .help = "all: the configuration and what it names; tls: only certificates, keys, authorities, lists"},
	{0},
};

static const struct command_argument check_config_arguments[] = {
	{.name = "contents", .required = true, .max = 1024 * 1024, .help = "the configuration's text"},
	{.name = "name",
	 .max = 256,
	 .fallback = "\"configuration\"",
	 .help = "what messages call it"},
	{0},
};

static const struct command_argument test_access_arguments[] = {
	{.name = "method", .positional = true, .required = true, .max = 32, .help = "such as GET"},
	{.name = "url",
	 .positional = true,
	 .required = true,
	 .max = 8192,
	 .help = "such as https://api.example.org/x, or the path alone"},
	{.name = "cert",
	 .type = COMMAND_FILE,
	 .required = true,
	 .max = 65536,
	 .help = "the client's certificate (PEM; a chain's first)"},
	{.name = "from",
	 .max = 64,
	 .metavar = "ADDRESS",
	 .help = "the client's address, for rules that ask for a source"},
	{0},
};

/* --- how replies are shown ------------------------------------------------------------------------------- */

static const struct command_column status_columns[] = {
	{"version", "version", "text"},
	{"state", "state", "state"},
	{"pid", "pid", "text"},
	{"up", "uptime", "seconds"},
	{"configuration", "configuration", "text"},
	{"generation", "generation", "text"},
	{"log level", "log_level", "text"},
	{"connections", "connections.open", "count"},
	{"  in handshake", "connections.handshaking", "count"},
	{"  waiting for a turn", "connections.queued", "count"},
	{"  accepted", "connections.accepted", "count"},
	{"  refused, total limit", "connections.refused_total_limit", "count"},
	{"  refused, address limit", "connections.refused_address_limit", "count"},
	{"  refused, other", "connections.refused_other", "count"},
	{"  ended, renegotiation", "connections.renegotiations", "count"},
	{"  ended, broken records", "connections.bad_records", "count"},
	{"handshakes, full", "handshakes.full", "count"},
	{"  resumed", "handshakes.resumed", "count"},
	{"  refused", "handshakes.refused_total", "count"},
	{"credentials that end soon", "expiring", "count"},
	{"requests", "requests", "count"},
	{"  bad, refused", "bad_requests", "count"},
	{"plugins", "plugins.total", "count"},
	{"  ready", "plugins.ready", "count"},
	{"  disabled", "plugins.disabled", "count"},
	{"  failed", "plugins.failed", "count"},
	{"  zombies", "plugins.zombies", "count"},
	{"  leaking, confirmed", "plugins.leaks_confirmed", "count"},
	{"  leaking, likely", "plugins.leaks_likely", "count"},
	{"  suspect", "plugins.suspect", "count"},
	{"  live", "plugins.live_bytes", "size"},
	{"  resident", "plugins.resident_bytes", "size"},
	{"daemon's memory in use", "memory.in_use_bytes", "size"},
	{"  process resident", "memory.resident_bytes", "size"},
	{"access log, written", "access_log.written", "count"},
	{"  not written", "access_log.dropped", "count"},
	{0},
};
static const struct command_column listener_columns[] = {
	{"LISTENER", "name", "text"},
	{"ADDRESS", "address", "text"},
	{"TLS", "tls", "text"},
	{0},
};
static const struct command_block status_blocks[] = {
	{.key = "", .kind = COMMAND_FIELDS, .columns = status_columns},
	{.key = "handshakes.refused", .kind = COMMAND_MAP, .title = "handshakes refused"},
	{.key = "timeouts", .kind = COMMAND_MAP, .title = "timeouts"},
	{.key = "listeners", .kind = COMMAND_TABLE, .columns = listener_columns, .empty = "no listener"},
	{0},
};

static const struct command_column route_columns[] = {
	{"ROUTE", "name", "text"},
	{"MATCH", "match", "text"},
	{"PATH", "path", "text"},
	{"METHODS", "methods", "any"},
	{"HOSTS", "hosts", "any"},
	{"ALLOW", "allow", "list"},
	{"DENY", "deny", "list"},
	{"FILTERS", "filters", "list"},
	{"HANDLER", "handler", "text"},
	{0},
};
static const struct command_block routes_blocks[] = {
	{.key = "routes", .kind = COMMAND_TABLE, .columns = route_columns, .empty = "no route: every request gets 404"},
	{0},
};

static const struct command_column test_access_columns[] = {
	{"outcome", "outcome", "state"},
	{"status", "status", "text"},
	{"route", "route", "text"},
	{"decided by", "decided_by", "text"},
	{"handler", "handler", "text"},
	{"allow", "allow", "text"},
	{"subject", "subject", "text"},
	{"certificate", "certificate", "text"},
	{0},
};
static const struct command_block test_access_blocks[] = {
	{.key = "", .kind = COMMAND_FIELDS, .columns = test_access_columns},
	{.key = "rules", .kind = COMMAND_LINES, .title = "rules, in the order they are looked at"},
	{0},
};

static const struct command_column evict_columns[] = {
	{"plugin", "plugin", "text"},
	{"has an evict hook", "hook", "bool"},
	{"claimed", "claimed", "size"},
	{"measured", "measured", "size"},
	{"live before", "live_before", "size"},
	{"live after", "live_after", "size"},
	{"resident before", "resident_before", "size"},
	{"resident after", "resident_after", "size"},
	{"instance", "instance", "text"},
	{"state", "state", "state"},
	{"would", "would", "text"},
	{"job", "job", "text"},
	{0},
};
static const struct command_block evict_blocks[] = {
	{.key = "", .kind = COMMAND_FIELDS, .columns = evict_columns},
	{0},
};

static const struct command_column restart_columns[] = {
	{"plugin", "plugin", "text"},
	{"old instance", "old_instance", "text"},
	{"new instance", "new_instance", "text"},
	{"requests drained", "drained", "count"},
	{"requests cancelled", "cancelled", "count"},
	{"freed", "freed_bytes", "size"},
	{"zombie", "zombie_reason", "text"},
	{"instance", "instance", "text"},
	{"state", "state", "state"},
	{"would", "would", "text"},
	{"job", "job", "text"},
	{0},
};
static const struct command_block restart_blocks[] = {
	{.key = "", .kind = COMMAND_FIELDS, .columns = restart_columns},
	{0},
};

static const struct command_column reload_columns[] = {
	{"configuration", "configuration", "text"},
	{"generation", "generation", "text"},
	{"would", "would", "text"},
	{"job", "job", "text"},
	{"valid", "valid", "bool"},
	{"tls sets", "sets", "count"},
	{"  replaced", "replaced", "count"},
	{"  policies changed", "policies", "count"},
	{"connections looked at", "looked_at", "count"},
	{"  closed", "closed", "count"},
	{0},
};
static const struct command_block reload_blocks[] = {
	{.key = "", .kind = COMMAND_FIELDS, .columns = reload_columns},
	{.key = "mistakes", .kind = COMMAND_LINES},
	{0},
};

static const struct command_column log_level_columns[] = {
	{"log level", "level", "text"},
	{"before", "before", "text"},
	{0},
};
static const struct command_block log_level_blocks[] = {
	{.key = "", .kind = COMMAND_FIELDS, .columns = log_level_columns},
	{0},
};

static const struct command_column job_columns[] = {
	{"JOB", "id", "text"},
	{"COMMAND", "command", "text"},
	{"STATE", "state", "state"},
	{"STARTED", "started", "time"},
	{"TOOK", "seconds", "seconds"},
	{"RESULT", "result", "text"},
	{0},
};
static const struct command_block jobs_blocks[] = {
	{.key = "jobs", .kind = COMMAND_TABLE, .columns = job_columns, .empty = "no job runs or ran lately"},
	{0},
};

/* --- the table ------------------------------------------------------------------------------------------- */

const struct command command_table[] = {
	{
		.name = "status",
		.method = "Status",
		.help = "the daemon as a whole: state, listeners, connections, memory",
		.blocks = status_blocks,
		.reply = "version: string, state: string, pid: int, started: int, uptime: int, configuration: string,"
			 " generation: int, log_level: string,"
			 " listeners: [](name: string, address: string, tls: ?string),"
			 " connections: [string]int, handshakes: (full: int, resumed: int, refused_total: int,"
			 " refused: [string]int), requests: int, bad_requests: int, expiring: int,"
			 " timeouts: [string]int, plugins: [string]int, memory: [string]int, access_log: [string]int",
		.run = command_status,
	},
	{
		.name = "list",
		.method = "List",
		.help = "the plugins, one a line, with what they hold",
		.blocks = command_list_blocks,
		.reply = "clock: int, plugins: [](name: string, version: string, state: string, instance: int,"
			 " requests: int, errors: int, inflight: int, queued: int, live_bytes: int, foreign_bytes: int,"
			 " resident_bytes: int,"
			 " soft_limit: int, hard_limit: int, escaped_bytes: int, restarts: int, zombies: int,"
			 " verdict: ?string, class: ?string, bytes_per_request: ?float, seconds_to_limit: ?int)",
		.run = command_list,
	},
	{
		.name = "show",
		.method = "Show",
		.help = "everything known of one plugin, its counters included",
		.arguments = plugin_only,
		.blocks = command_show_blocks,
		.reply = "plugin: (name: string, version: string, summary: string, path: string, sha256: string,"
			 " state: string, instance: int, since: int, flags: []string, threads: int, zombies: int,"
			 " faults: int, sample_interval: int, last_error: ?string),"
			 " requests: (total: int, inflight: int, queued: int,"
			 " answers: [string]int, refused_full: int, refused_disabled: int, deadline_missed: int,"
			 " failed: int, cancelled: int), own: [string]int, foreign: [string]int, limits: [string]int,"
			 " escaped: [string]int, restarts: [string]int, counters: object,"
			 " faults: [](kind: string, count: int, function: ?string, place: string),"
			 " refusal: ?(count: int, function: ?string, place: string), nonces: ?[string]int,"
			 " leak: ?(verdict: string, class: string, sentence: string, judged: int, probe: string,"
			 " breaker: string, next: ?string, bytes_per_request: ?float, seconds_to_limit: ?int),"
			 " history: ?[](at: int, event: string, text: string, instance: int)",
		.run = command_show,
	},
	{
		.name = "routes",
		.method = "Routes",
		.help = "which request goes to which plugin, and who may send it",
		.blocks = routes_blocks,
		.reply = "routes: [](name: string, match: string, path: string, methods: []string, hosts: []string,"
			 " allow: []string, deny: []string, filters: []string, handler: string)",
		.run = command_routes,
	},
	{
		.name = "test-access",
		.method = "TestAccess",
		.help = "which rule would let this certificate in or turn it away, and why",
		.arguments = test_access_arguments,
		.blocks = test_access_blocks,
		.reply = "outcome: string, status: ?int, route: ?string, handler: ?string, allow: ?string,"
			 " decided_by: ?string, subject: string, certificate: string, rules: ?[]string",
		.run = command_test_access,
	},
	{
		.name = "doctor",
		.method = "Doctor",
		.help = "what is wrong, the worst first, and the command to run next; exit code 10: a leak",
		.slow = true,
		.arguments = doctor_arguments,
		.blocks = command_doctor_blocks,
		.reply = "well: bool, leak: bool, plugins: int, findings: [](severity: string, check: string,"
			 " plugin: ?string, sentence: string, next: ?string), report: []string",
		.run = command_doctor,
	},
	{
		.name = "explain",
		.method = "Explain",
		.help = "why a plugin is called leaking or not: tests, sites, probes; exit code 10: a leak",
		.slow = true,
		.arguments = explain_arguments,
		.blocks = explain_blocks,
		.reply = explain_interface,
		.run = command_explain,
	},
	{
		.name = "dump",
		.method = "Dump",
		.help = "who holds the plugin's memory, for how long: live blocks by call site",
		.slow = true,
		.arguments = dump_arguments,
		.blocks = command_dump_blocks,
		.reply = "plugin: string, instance: int, epoch: ?int, live_bytes: ?int, live_objects: ?int,"
			 " arena_bytes: ?int, peak_bytes: ?int, resident_bytes: ?int, retained_bytes: ?int,"
			 " foreign_bytes: ?int, escaped_bytes: ?int, soft_limit: ?int, hard_limit: ?int, min_age: ?int,"
			 " sites: ?[](scope: string, bytes: int, objects: int, oldest: int, youngest: int,"
			 " function: ?string, file: ?string, line: int, module: string, offset: int, build_id: ?string,"
			 " place: string), ages: ?[](age: string, from: int, to: int, bytes: int),"
			 " others: ?(sites: int, bytes: int, objects: int), callers: ?[](bytes: int, percent: int,"
			 " way: string, site: string, function: ?string, file: ?string, line: int, place: string),"
			 " words: ?object, taken: ?int, base: ?(instance: int, epoch: int, live_bytes: int),"
			 " changes: ?[](scope: string, bytes: int, objects: int, bytes_change: int,"
			 " objects_change: int,"
			 " oldest: int, youngest: int, function: ?string, file: ?string, line: int, module: string,"
			 " offset: int, build_id: ?string, place: string),"
			 " written: ?(format: string, bytes: int)",
		.run = command_dump,
	},
	{
		.name = "escapes",
		.method = "Escapes",
		.help = "what requests left behind, by route, answer and call site; exact, since the instance began",
		.slow = true,
		.arguments = escapes_arguments,
		.blocks = command_escapes_blocks,
		.reply = "escapes: [](plugin: string, instance: int, route: ?string, status: ?string,"
			 " function: ?string, file: ?string, line: int, place: string, bytes: int, blocks: int,"
			 " requests: int, per_request: int)",
		.run = command_escapes,
	},
	{
		.name = "sampling",
		.method = "Sampling",
		.help = "record call stacks of a plugin's allocations more often, or less, or not at all",
		.privilege = COMMAND_CHANGE,
		.arguments = sampling_arguments,
		.blocks = command_sampling_blocks,
		.reply = "plugin: string, interval: ?int, before: int, would: ?string",
		.run = command_sampling,
	},
	{
		.name = "evict",
		.method = "Evict",
		.help = "make a plugin give memory back; claimed and measured",
		.privilege = COMMAND_CHANGE,
		.slow = true,
		.arguments = evict_arguments,
		.blocks = evict_blocks,
		.reply = "plugin: ?string, hook: ?bool, claimed: ?int, measured: ?int, live_before: ?int,"
			 " live_after: ?int, resident_before: ?int, resident_after: ?int, instance: ?int,"
			 " state: ?string, would: ?string, job: ?int",
		.run = command_evict,
	},
	{
		.name = "restart",
		.method = "Restart",
		.help = "replace a plugin by a fresh instance with a fresh heap, losing no request",
		.privilege = COMMAND_CHANGE,
		.slow = true,
		.arguments = restart_arguments,
		.blocks = restart_blocks,
		.reply = "plugin: ?string, old_instance: ?int, new_instance: ?int, drained: ?int, cancelled: ?int,"
			 " freed_bytes: ?int, zombie: ?bool, zombie_reason: ?string, instance: ?int, state: ?string,"
			 " would: ?string, job: ?int",
		.run = command_restart,
	},
	{
		.name = "enable",
		.method = "Enable",
		.help = "start a disabled plugin",
		.privilege = COMMAND_CHANGE,
		.slow = true,
		.arguments = plugin_only,
		.blocks = restart_blocks,
		.reply = "plugin: ?string, instance: ?int, state: ?string, would: ?string, job: ?int",
		.run = command_enable,
	},
	{
		.name = "disable",
		.method = "Disable",
		.help = "end a plugin's instance; its requests get 503",
		.privilege = COMMAND_CHANGE,
		.slow = true,
		.arguments = plugin_only,
		.blocks = restart_blocks,
		.reply = "plugin: ?string, old_instance: ?int, new_instance: ?int, drained: ?int, cancelled: ?int,"
			 " freed_bytes: ?int, zombie: ?bool, zombie_reason: ?string, instance: ?int, state: ?string,"
			 " would: ?string, job: ?int",
		.run = command_disable,
	},
	{
		.name = "tls",
		.method = "Tls",
		.help = "credential sets: what pins them, what ends when, resumption, remembered chains",
		.blocks = command_tls_blocks,
		.reply = "sets: [](name: string, state: string, loaded: int, connections: int, references: int,"
			 " bytes: int, days: int), certificates: [](set: string, subject: string, names: string,"
			 " key: string, store: string, file: string, expires: int, days: int, staple_until: ?int,"
			 " staple: ?string), clients: [](set: string, authorities: int, expires: int, days: int,"
			 " lists: int, revoked: int, lists_due: ?int, chains: int, chain_room: int, chain_hits: int,"
			 " chain_misses: int, chain_evicted: int), resumption: [](set: string, tickets: bool,"
			 " secrets_from: string, kept: bool, secrets: int, rotations: int, lifetime: int,"
			 " rotation: int, epoch: int, newest: ?int), expiring: [](set: string, what: string,"
			 " name: string, until: int, days: int), cut: [string]int",
		.run = command_tls,
	},
	{
		.name = "reload",
		.method = "Reload",
		.help = "read the configuration again; a bad one is refused and the old stays",
		.privilege = COMMAND_CHANGE,
		.slow = true,
		.arguments = reload_arguments,
		.blocks = reload_blocks,
		.reply = "configuration: ?string, generation: ?int, would: ?string, valid: ?bool, mistakes: ?[]string,"
			 " job: ?int, sets: ?int, replaced: ?int, policies: ?int, looked_at: ?int, closed: ?int",
		.run = command_reload,
	},
	{
		.name = "log-level",
		.method = "LogLevel",
		.help = "show the daemon's log level, or set it",
		.privilege = COMMAND_CHANGE_IF_GIVEN,
		.arguments = log_level_arguments,
		.blocks = log_level_blocks,
		.reply = "level: string, before: string",
		.run = command_log_level,
	},
	{
		.name = "jobs",
		.method = "Jobs",
		.help = "changes that run or ran lately, and what came of them",
		.blocks = jobs_blocks,
		.reply = "jobs: [](id: int, command: string, state: string, started: int, seconds: int,"
			 " result: string)",
		.run = command_jobs,
	},
	{
		.method = "CheckConfig",
		.help = "check a configuration's text against the tables; files it names and settings of plugins"
			" are not looked at",
		.slow = true,
		.arguments = check_config_arguments,
		.reply = "valid: bool, mistakes: []string",
		.run = command_check_config,
	},
	{
		.method = "Commands",
		.help = "this table, for mtlsctl: names, arguments, help, how replies are shown",
		.reply = "version: string, commands: []object",
		.run = command_commands,
	},
	{0},
};

/* clang-format on */

const struct command *
command_find(const char *method)
{
	for (const struct command *c = command_table; c->help; c++)
		if (strcmp(c->method, method) == 0)
			return c;
	return NULL;
}
