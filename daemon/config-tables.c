/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config-tables.h"

#include "nonces.h"

#include <errno.h>
#include <string.h>

/* Microseconds and bytes; GNU C lets enumerators be as wide as they need. */
enum { SECOND = 1000000, DAY = 86400 * INT64_C(1000000) };
enum { KIB = 1024, MIB = 1024 * 1024, HEAP_MAX = INT64_C(32) << 30, TIB = INT64_C(1) << 40 };
enum { NAME_LENGTH = 64, TEXT_LENGTH = 4096, PATTERN_LENGTH = 1024 };

void *
config_list_add(void *items, size_t *count, size_t size)
{
	void **list = items;
	bool is_full = (*count & (*count - 1)) == 0; /* 0 or a power of two */

	if (is_full) {
		void *p = reallocarray(*list, *count ? *count * 2 : 1, size);

		if (!p)
			return NULL;
		*list = p;
	}
	return memset((char *) *list + (*count)++ * size, 0, size);
}

static const struct schema_row walls_rows[] = {
	{"files", SCHEMA_BOOL, offsetof(struct config_walls, files), .fallback = "yes",
	 .help = "Landlock: only files this configuration names or the system's libraries need can be opened, and no "
		 "TCP "
		 "connection can be made, unless a plugin's needs say so."},
	{"calls", SCHEMA_BOOL, offsetof(struct config_walls, calls), .fallback = "yes",
	 .help = "seccomp: system calls that no handler has any business with fail with EPERM; so do new programs, "
		 "unless "
		 "a plugin's needs say exec."},
	{.key = NULL},
};

static const struct schema_row needs_rows[] = {
	{"read", SCHEMA_STRINGS, offsetof(struct config_needs, read), .min = 1, .max = TEXT_LENGTH,
	 .help = "Files and folders it reads, absolute."},
	{"write", SCHEMA_STRINGS, offsetof(struct config_needs, write), .min = 1, .max = TEXT_LENGTH,
	 .help = "Files and folders it writes, absolute; what is below a folder may be made and removed too."},
	{"network", SCHEMA_BOOL, offsetof(struct config_needs, network), .fallback = "no",
	 .help = "It opens TCP connections. Walls stand around the process: then every plugin may."},
	{"exec", SCHEMA_BOOL, offsetof(struct config_needs, exec), .fallback = "no",
	 .help = "It starts programs. Then every plugin may."},
	{.key = NULL},
};

static const struct schema_row nonces_rows[] = {
	{"window", SCHEMA_DURATION, offsetof(struct config_nonces, window), .min = 0, .max = DAY, .fallback = "0s",
	 .help = "How old a signed request may be; for so long, and skew, its nonce is remembered, in a file in "
		 "daemon.nonce_directory that outlives restarts, crashes and reloads. 0s: none are kept."},
	{"skew", SCHEMA_DURATION, offsetof(struct config_nonces, skew), .min = 0, .max = 3600 * INT64_C(1000000),
	 .fallback = "30s", .help = "How far clients' clocks may be ahead."},
	{"capacity", SCHEMA_INT, offsetof(struct config_nonces, capacity), .min = 64, .max = NONCES_CAPACITY_MAX,
	 .fallback = "65536",
	 .help = "Nonces at once, at least: the signed requests of window and skew. 48 to 96 bytes each, in memory and "
		 "in the file, all of them from the start. When it is full, requests are refused, not nonces "
		 "forgotten."},
	{.key = NULL},
};

static const struct schema_row access_log_rows[] = {
	{"to", SCHEMA_CHOICE, offsetof(struct config_access_log, to), .choices = "off|journal|file", .fallback = "off",
	 .help = "Where one record a request goes."},
	{"path", SCHEMA_PATH, offsetof(struct config_access_log, path), .min = 1, .max = TEXT_LENGTH,
	 .help = "The file, with to: file. It is opened anew on every reload, which ends the rotation of a log."},
	{"format", SCHEMA_CHOICE, offsetof(struct config_access_log, format), .choices = "combined|json",
	 .fallback = "combined",
	 .help = "Of the file: the Apache HTTP server's combined format, or one JSON object a line."},
	{"rate", SCHEMA_INT, offsetof(struct config_access_log, rate), .min = 0, .max = 1000000, .fallback = "0",
	 .unit = "records a second", .help = "More than that are counted, not written. 0: no bound."},
	{"query", SCHEMA_BOOL, offsetof(struct config_access_log, query), .fallback = "no",
	 .help = "Write queries too. They may hold secrets."},
	{.key = NULL},
};

static const struct schema_row daemon_rows[] = {
	{"threads", SCHEMA_INT, offsetof(struct config, daemon.threads), .min = 0, .max = 256, .fallback = "0",
	 .help = "Serving threads. 0: one per core."},
	{"log_level", SCHEMA_CHOICE, offsetof(struct config, daemon.log_level),
	 .choices = "error|warning|notice|info|debug", .fallback = "info",
	 .help = "Records below this level are not written."},
	{"run_directory", SCHEMA_PATH, offsetof(struct config, daemon.run_directory), .min = 1, .max = TEXT_LENGTH,
	 .fallback = "/run/mtlsd",
	 .help = "Folder for sockets and links to plugin images. Must exist and belong to the daemon's user."},
	{"plugin_directory", SCHEMA_PATH, offsetof(struct config, daemon.plugin_directory), .min = 1,
	 .max = TEXT_LENGTH, .fallback = MTLSD_PLUGIN_DIR, .help = "Where a plugin's relative path is looked for."},
	{"drain_timeout", SCHEMA_DURATION, offsetof(struct config, daemon.drain_timeout), .min = 0, .max = DAY,
	 .fallback = "30s",
	 .help = "How long requests may take to end when the daemon stops; later ones are cancelled."},
	{"dump_directory", SCHEMA_PATH, offsetof(struct config, daemon.dump_directory), .min = 1, .max = TEXT_LENGTH,
	 .help = "Folder for the dumps that policy takes (memory.leak). Default: dumps in the state folder systemd "
		 "gives; else none are taken."},
	{"dump_count", SCHEMA_INT, offsetof(struct config, daemon.dump_count), .min = 1, .max = 100000,
	 .fallback = "32", .help = "Dumps kept there at most; the oldest go first."},
	{"dump_bytes", SCHEMA_SIZE, offsetof(struct config, daemon.dump_bytes), .min = MIB, .max = TIB,
	 .fallback = "256MiB", .help = "Their bytes at most."},
	{"nonce_directory", SCHEMA_PATH, offsetof(struct config, daemon.nonce_directory), .min = 1, .max = TEXT_LENGTH,
	 .help = "Folder for the nonces of plugins, a file each. Default: nonces in the state folder systemd gives. "
		 "Who changes it moves the files, or what they remember is forgotten."},
	{"walls", SCHEMA_GROUP, offsetof(struct config, daemon.walls), .rows = walls_rows,
	 .help = "What the process may still do once it serves. They only tighten: a reload that needs more is "
		 "refused."},
	{"access_log", SCHEMA_GROUP, offsetof(struct config, daemon.access_log), .rows = access_log_rows,
	 .help = "One record a request, written by a thread of its own: no request waits for it."},
	{"memory_decay", SCHEMA_DURATION, offsetof(struct config, daemon.memory_decay), .min = 0, .max = DAY,
	 .fallback = "10s", .help = "Free pages of plugin heaps go back to the kernel after this long; 0s: at once."},
	{.key = NULL},
};

static const struct schema_row control_rows[] = {
	{"socket", SCHEMA_PATH, offsetof(struct config, control.socket), .min = 1, .max = TEXT_LENGTH,
	 .help = "Socket for mtlsctl. Default: control.sock in daemon.run_directory."},
	{"readonly_socket", SCHEMA_PATH, offsetof(struct config, control.readonly_socket), .min = 1, .max = TEXT_LENGTH,
	 .help = "A second socket on which only looking is allowed. Default: none."},
	{"group", SCHEMA_STRING, offsetof(struct config, control.group), .min = 1, .max = NAME_LENGTH,
	 .help = "Group that owns the sockets. Default: the daemon's."},
	{"mode", SCHEMA_MODE, offsetof(struct config, control.mode), .fallback = "0660",
	 .help = "File mode of the socket."},
	{"readonly_mode", SCHEMA_MODE, offsetof(struct config, control.readonly_mode), .fallback = "0666",
	 .help = "File mode of the read-only socket."},
	{"admin_users", SCHEMA_STRINGS, offsetof(struct config, control.admin_users), .min = 1, .max = NAME_LENGTH,
	 .help = "Users who may change things, beside root and the daemon's own."},
	{"admin_groups", SCHEMA_STRINGS, offsetof(struct config, control.admin_groups), .min = 1, .max = NAME_LENGTH,
	 .help = "Groups whose members may change things."},
	{.key = NULL},
};

static const struct schema_row limits_rows[] = {
	{"connections", SCHEMA_INT, offsetof(struct config, limits.connections), .min = 1, .max = 1000000,
	 .fallback = "10000",
	 .help = "Connections open at once, all listeners together. Further ones are closed before TLS starts."},
	{"connections_per_address", SCHEMA_INT, offsetof(struct config, limits.connections_per_address), .min = 1,
	 .max = 1000000, .fallback = "1000", .help = "Connections open at once from one client address."},
	{"handshake_timeout", SCHEMA_DURATION, offsetof(struct config, limits.handshake_timeout), .min = 1000,
	 .max = DAY, .fallback = "10s",
	 .help = "From accept to the end of the TLS handshake, however busy the client looks."},
	{"header_timeout", SCHEMA_DURATION, offsetof(struct config, limits.header_timeout), .min = 1000, .max = DAY,
	 .fallback = "10s", .help = "From the first byte of a request to the end of its header."},
	{"body_timeout", SCHEMA_DURATION, offsetof(struct config, limits.body_timeout), .min = 1000, .max = DAY,
	 .fallback = "30s", .help = "From the end of the header to the last byte of the body."},
	{"write_timeout", SCHEMA_DURATION, offsetof(struct config, limits.write_timeout), .min = 1000, .max = DAY,
	 .fallback = "60s", .help = "From the first to the last byte of an answer."},
	{"idle_timeout", SCHEMA_DURATION, offsetof(struct config, limits.idle_timeout), .min = 1000, .max = DAY,
	 .fallback = "75s", .help = "A connection without a request is closed after this long."},
	{"header_size", SCHEMA_SIZE, offsetof(struct config, limits.header_size), .min = KIB, .max = MIB,
	 .fallback = "8KiB", .help = "Request line and header fields together; more is answered with 431."},
	{"header_count", SCHEMA_INT, offsetof(struct config, limits.header_count), .min = 1, .max = 10000,
	 .fallback = "100", .help = "Header fields of a request; more are answered with 431."},
	{"body_size", SCHEMA_SIZE, offsetof(struct config, limits.body_size), .min = 0, .max = TIB, .fallback = "1MiB",
	 .help = "Body of a request; more is answered with 413. A plugin may set its own."},
	{.key = NULL},
};

static const struct schema_row listener_rows[] = {
	{"name", SCHEMA_STRING, offsetof(struct config_listener, name), .required = true, .min = 1, .max = NAME_LENGTH,
	 .help = "What records and counters call it."},
	{"address", SCHEMA_STRING, offsetof(struct config_listener, address), .required = true, .min = 1,
	 .max = TEXT_LENGTH,
	 .help = "\"192.0.2.1:8443\", \"[::]:8443\" (IPv6 and IPv4), \"127.0.0.1:0\" (any free port), or "
		 "\"inherited:NAME\" for a socket systemd passes."},
	{"tls", SCHEMA_STRING, offsetof(struct config_listener, tls), .min = 1, .max = NAME_LENGTH,
	 .help = "Name of an entry of the tls list. May be left out when there is one only."},
	{"backlog", SCHEMA_INT, offsetof(struct config_listener, backlog), .min = 1, .max = 65535, .fallback = "1024",
	 .help = "Connections the kernel keeps waiting until they are accepted."},
	{"tickets", SCHEMA_BOOL, offsetof(struct config_listener, tickets), .fallback = "true",
	 .help = "false: no session resumption here, whatever the tls set says."},
	{.key = NULL},
};

static const struct schema_row memory_rows[] = {
	{"soft", SCHEMA_SIZE, offsetof(struct config_plugin, memory_soft), .min = MIB, .max = HEAP_MAX,
	 .fallback = "48MiB",
	 .help = "From here on the plugin is asked to give memory back. Not set, it stays below memory.hard."},
	{"hard", SCHEMA_SIZE, offsetof(struct config_plugin, memory_hard), .min = MIB, .max = HEAP_MAX,
	 .fallback = "64MiB", .help = "Above this its own allocations fail with ENOMEM."},
	{"on_fault", SCHEMA_CHOICE, offsetof(struct config_plugin, memory_on_fault), .choices = "ignore|restart",
	 .fallback = "ignore",
	 .help = "After a free of what is no live block (which is never done, but recorded): ignore, or restart: "
		 "replace the instance, as often as restart.backoff and restart.burst allow."},
	{"on_limit", SCHEMA_CHOICE, offsetof(struct config_plugin, policy.on_limit), .choices = "restart|ignore",
	 .fallback = "restart",
	 .help = "Near memory.hard (at 90 %, own and foreign bytes together, after it was asked to give back what "
		 "it can). restart: the instance is replaced, and from 97 % of own bytes on its requests are refused "
		 "until that is done. ignore: its allocations fail at memory.hard, and no more is done."},
	{"leak", SCHEMA_GROUP, .offset = 0, .rows = config_leak_rows, .help = "What is done about growth."},
	{"sample_interval", SCHEMA_SIZE, offsetof(struct config_plugin, memory_sample_interval), .min = 0,
	 .max = 64 * MIB, .fallback = "2MiB",
	 .help = "The call stack of about every so many allocated bytes is recorded; call sites are exact without it. "
		 "0: none. mtlsctl sampling changes it while the plugin runs."},
	{.key = NULL},
};

static const struct schema_row plugin_rows[] = {
	{"name", SCHEMA_STRING, offsetof(struct config_plugin, name), .required = true, .min = 1, .max = NAME_LENGTH,
	 .help = "What routes, records and mtlsctl call it."},
	{"path", SCHEMA_STRING, offsetof(struct config_plugin, path), .min = 1, .max = TEXT_LENGTH,
	 .help = "The shared object, absolute or relative to daemon.plugin_directory. Default: the name with \".so\"."},
	{"enabled", SCHEMA_BOOL, offsetof(struct config_plugin, enabled), .fallback = "true",
	 .help = "A plugin that is not enabled is not loaded; its routes answer 503."},
	{"isolation", SCHEMA_CHOICE, offsetof(struct config_plugin, isolation), .choices = "arena|process",
	 .fallback = "arena",
	 .help = "arena: in the daemon's process, on heaps of its own. process: in a process of its own; comes after "
		 "the first release and is refused until then."},
	{"memory", SCHEMA_GROUP, .offset = 0, .rows = memory_rows, .help = "Bounds of the plugin's own heap."},
	{"restart", SCHEMA_GROUP, .offset = 0, .rows = config_restart_rows,
	 .help = "How often the plugin is restarted by itself."},
	{"breaker", SCHEMA_GROUP, .offset = 0, .rows = config_breaker_rows,
	 .help = "When its requests are refused with 503 instead of tried."},
	{"threads", SCHEMA_INT, offsetof(struct config_plugin, threads), .min = 1, .max = 1024, .fallback = "4",
	 .help = "Threads of the pool that serves a blocking plugin."},
	{"queue", SCHEMA_INT, offsetof(struct config_plugin, queue), .min = 0, .max = 1000000, .fallback = "64",
	 .help = "Requests that may wait for a thread of that pool; further ones are answered with 503."},
	{"deadline", SCHEMA_DURATION, offsetof(struct config_plugin, deadline), .min = 1000, .max = DAY,
	 .fallback = "30s", .help = "For one request in this plugin; then it is cancelled and answered with 504."},
	{"start_timeout", SCHEMA_DURATION, offsetof(struct config_plugin, start_timeout), .min = 1000, .max = DAY,
	 .fallback = "10s", .help = "For a new instance to become healthy."},
	{"drain_timeout", SCHEMA_DURATION, offsetof(struct config_plugin, drain_timeout), .min = 0, .max = DAY,
	 .fallback = "30s", .help = "For requests of an old instance to end before they are cancelled."},
	{"body_size", SCHEMA_SIZE, offsetof(struct config_plugin, body_size), .min = 0, .max = TIB, .fallback = "0",
	 .help = "Body of a request for this plugin; 0: limits.body_size."},
	{"needs", SCHEMA_GROUP, offsetof(struct config_plugin, needs), .rows = needs_rows,
	 .help = "What the plugin does beyond serving requests; see daemon.walls."},
	{"nonces", SCHEMA_GROUP, offsetof(struct config_plugin, nonces), .rows = nonces_rows,
	 .help = "What keeps signed requests from being taken twice, for plugins that ask (mtlsd_host.nonce)."},
	{"imports_allowed", SCHEMA_STRINGS, offsetof(struct config_plugin, imports_allowed), .min = 1,
	 .max = NAME_LENGTH,
	 .help = "Functions that plugins must not import (exit, fork, setuid, ...) but this one may; gnu-unique admits "
		 "unique symbols, which keep an image from being unloaded."},
	{"config", SCHEMA_ANY, offsetof(struct config_plugin, settings),
	 .help = "The plugin's own settings, checked by its own table."},
	{.key = NULL},
};

static const struct schema_row rule_rows[] = {
	{"uri", SCHEMA_STRING, offsetof(struct config_rule, uri), .min = 1, .max = PATTERN_LENGTH,
	 .help = "Pattern for a SAN URI: * matches within a path segment, ** across segments, ? one byte."},
	{"trust_domain", SCHEMA_STRING, offsetof(struct config_rule, trust_domain), .min = 1, .max = 255,
	 .help = "SPIFFE trust domain, such as example.org: the certificate has one URI, in that domain."},
	{"dns", SCHEMA_STRING, offsetof(struct config_rule, dns), .min = 1, .max = PATTERN_LENGTH,
	 .help = "Pattern for a SAN DNS name: * matches within a label, ** across labels."},
	{"email", SCHEMA_STRING, offsetof(struct config_rule, email), .min = 1, .max = PATTERN_LENGTH,
	 .help = "Pattern for a SAN e-mail address: * does not cross the @."},
	{"subject", SCHEMA_STRING, offsetof(struct config_rule, subject), .min = 1, .max = PATTERN_LENGTH,
	 .help = "Pattern for the whole subject as RFC 4514 writes it, as `mtlsctl` and the whoami plugin show it."},
	{"ip", SCHEMA_STRING, offsetof(struct config_rule, ip), .min = 1, .max = NAME_LENGTH,
	 .help = "Network or address that a SAN IP address lies in, such as 192.0.2.0/24."},
	{"subject_attributes", SCHEMA_STRING, offsetof(struct config_rule, subject_attributes), .min = 1,
	 .max = PATTERN_LENGTH,
	 .help = "Attributes the subject must have, in any order, each a pattern: O=Example,OU=ops-*."},
	{"issuer", SCHEMA_STRING, offsetof(struct config_rule, issuer), .min = 1, .max = PATTERN_LENGTH,
	 .help = "Pattern for the whole issuer, as subject."},
	{"issuer_attributes", SCHEMA_STRING, offsetof(struct config_rule, issuer_attributes), .min = 1,
	 .max = PATTERN_LENGTH, .help = "Attributes the issuer must have, as subject_attributes."},
	{"serial", SCHEMA_STRING, offsetof(struct config_rule, serial), .min = 1, .max = 256,
	 .help = "Serial number in hexadecimal digits; colons may stand between them. Needs issuer or "
		 "issuer_attributes: other issuers use the same numbers."},
	{"spki", SCHEMA_STRING, offsetof(struct config_rule, spki), .min = 1, .max = PATTERN_LENGTH,
	 .help = "SHA-256 of the public key (SubjectPublicKeyInfo), 64 hexadecimal digits."},
	{"fingerprint", SCHEMA_STRING, offsetof(struct config_rule, fingerprint), .min = 1, .max = PATTERN_LENGTH,
	 .help = "SHA-256 of the certificate, 64 hexadecimal digits; colons may stand between them."},
	{"purpose", SCHEMA_STRING, offsetof(struct config_rule, purpose), .min = 1, .max = NAME_LENGTH,
	 .help = "Extended key usage the certificate must have beside client-auth: a name such as code-signing, or an "
		 "object identifier."},
	{"source", SCHEMA_STRING, offsetof(struct config_rule, source), .min = 1, .max = NAME_LENGTH,
	 .help = "Network or address the client connects from, such as 10.0.0.0/8 or 2001:db8::/32."},
	{"any", SCHEMA_BOOL, offsetof(struct config_rule, any), .help = "true: every verified client. Stands alone."},
	{.key = NULL},
};

static int
rule_read(struct schema_reader *reader, struct config_rule *rule, const struct yaml_node *node)
{
	if (!rule)
		return -ENOMEM;
	rule->node = node;
	return schema_read(reader, rule_rows, node, rule);
}

static int
allow_add(struct schema_reader *reader, void *base, const struct yaml_node *node)
{
	struct config_route *route = base;

	return rule_read(reader, config_list_add(&route->allow, &route->allow_count, sizeof(*route->allow)), node);
}

static int
deny_add(struct schema_reader *reader, void *base, const struct yaml_node *node)
{
	struct config_route *route = base;

	return rule_read(reader, config_list_add(&route->deny, &route->deny_count, sizeof(*route->deny)), node);
}

static const struct schema_row route_rows[] = {
	{"name", SCHEMA_STRING, offsetof(struct config_route, name), .required = true, .min = 1, .max = NAME_LENGTH,
	 .help = "What records and counters call it."},
	{"path", SCHEMA_STRING, offsetof(struct config_route, path), .min = 1, .max = TEXT_LENGTH,
	 .help = "This path only, percent-decoded. Either path or prefix is given."},
	{"prefix", SCHEMA_STRING, offsetof(struct config_route, prefix), .min = 1, .max = TEXT_LENGTH,
	 .help = "This path and everything below it: /api matches /api, /api/ and /api/x, not /apix."},
	{"methods", SCHEMA_STRINGS, offsetof(struct config_route, methods),
	 .choices = "GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS", .help = "GET serves HEAD too. Default: all."},
	{"hosts", SCHEMA_STRINGS, offsetof(struct config_route, hosts), .min = 1, .max = PATTERN_LENGTH,
	 .help = "Patterns for the Host field without port: * matches within a label. Default: all."},
	{"allow", SCHEMA_LIST, .offset = 0, .rows = rule_rows, .item = allow_add,
	 .help = "Who may: one rule must hold, and of a rule all it asks. Nobody else may."},
	{"deny", SCHEMA_LIST, .offset = 0, .rows = rule_rows, .item = deny_add,
	 .help = "Who may not, whatever allow says: rules of the same kind, looked at first."},
	{"filters", SCHEMA_STRINGS, offsetof(struct config_route, filter_names), .min = 1, .max = NAME_LENGTH,
	 .help = "Plugins that see the request first, in this order, and may answer it or pass it on."},
	{"handler", SCHEMA_STRING, offsetof(struct config_route, handler_name), .required = true, .min = 1,
	 .max = NAME_LENGTH, .help = "The plugin that answers."},
	{.key = NULL},
};

static int
listener_add(struct schema_reader *reader, void *base, const struct yaml_node *node)
{
	struct config *config = base;
	struct config_listener *listener =
		config_list_add(&config->listeners, &config->listener_count, sizeof(*listener));

	if (!listener)
		return -ENOMEM;
	listener->node = node;
	return schema_read(reader, listener_rows, node, listener);
}

static int
plugin_add(struct schema_reader *reader, void *base, const struct yaml_node *node)
{
	struct config *config = base;
	struct config_plugin *plugin = config_list_add(&config->plugins, &config->plugin_count, sizeof(*plugin));

	if (!plugin)
		return -ENOMEM;
	plugin->node = node;
	plugin->index = (unsigned) config->plugin_count - 1;
	return schema_read(reader, plugin_rows, node, plugin);
}

static int
route_add(struct schema_reader *reader, void *base, const struct yaml_node *node)
{
	struct config *config = base;
	struct config_route *route = config_list_add(&config->routes, &config->route_count, sizeof(*route));

	if (!route)
		return -ENOMEM;
	route->node = node;
	route->index = (unsigned) config->route_count - 1;
	return schema_read(reader, route_rows, node, route);
}

const struct schema_row config_rows[] = {
	{"daemon", SCHEMA_GROUP, .offset = 0, .rows = daemon_rows, .help = "The daemon as a whole."},
	{"control", SCHEMA_GROUP, .offset = 0, .rows = control_rows,
	 .help = "How mtlsctl reaches the daemon, and who may."},
	{"limits", SCHEMA_GROUP, .offset = 0, .rows = limits_rows, .help = "What one client, or all of them, may use."},
	{"tls", SCHEMA_LIST, .offset = 0, .rows = config_tls_rows, .item = config_tls_add,
	 .help = "Sets of certificates, keys and client authorities."},
	{"listeners", SCHEMA_LIST, .offset = 0, .rows = listener_rows, .item = listener_add,
	 .help = "Where connections are accepted."},
	{"plugins", SCHEMA_LIST, .offset = 0, .rows = plugin_rows, .item = plugin_add, .help = "What is loaded."},
	{"routes", SCHEMA_LIST, .offset = 0, .rows = route_rows, .item = route_add,
	 .help = "Which plugin answers which request, and to whom. What matches no route is answered with 404."},
	{.key = NULL},
};

static void
route_release(struct config_route *route)
{
	for (size_t i = 0; i < route->allow_count; i++)
		schema_release(rule_rows, &route->allow[i]);
	for (size_t i = 0; i < route->deny_count; i++)
		schema_release(rule_rows, &route->deny[i]);
	free(route->allow);
	free(route->deny);
	free(route->filters);
	schema_release(route_rows, route);
}

void
config_tables_release(struct config *config)
{
	for (size_t i = 0; i < config->tls_count; i++)
		config_tls_release(&config->tls[i]);
	for (size_t i = 0; i < config->listener_count; i++)
		schema_release(listener_rows, &config->listeners[i]);
	for (size_t i = 0; i < config->plugin_count; i++)
		schema_release(plugin_rows, &config->plugins[i]);
	for (size_t i = 0; i < config->route_count; i++)
		route_release(&config->routes[i]);
	free(config->tls);
	free(config->listeners);
	free(config->plugins);
	free(config->routes);
	schema_release(config_rows, config);
}
