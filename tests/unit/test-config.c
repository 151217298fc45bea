/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "config.h"
#include "probe.h"
#include "verdict.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

/* A small file that is right. Every mistake below replaces one piece of it. */
static const char sound[] = "daemon:\n"
			    "  threads: 2\n"
			    "  run_directory: /run/app\n"
			    "limits:\n"
			    "  handshake_timeout: 5s\n"
			    "tls:\n"
			    "  - name: main\n"
			    "    certificate: server.pem\n"
			    "    key: /keys/server.key\n"
			    "    client_ca: ca.pem\n"
			    "    client_crl: ca.crl\n"
			    "    crl: soft\n"
			    "listeners:\n"
			    "  - name: main\n"
			    "    address: \"[::1]:8443\"\n"
			    "    tls: main\n"
			    "plugins:\n"
			    "  - name: gate\n"
			    "  - name: echo\n"
			    "    path: other.so\n"
			    "    memory: {soft: 8MiB, hard: 16MiB}\n"
			    "    config: {a: 1}\n"
			    "routes:\n"
			    "  - name: one\n"
			    "    prefix: /one\n"
			    "    methods: [GET, POST]\n"
			    "    allow:\n"
			    "      - uri: spiffe://example.org/*\n"
			    "      - {dns: a.example.org, subject: 'CN=a\\, b,O=X'}\n"
			    "    filters: [gate]\n"
			    "    handler: echo\n"
			    "  - name: two\n"
			    "    path: /two\n"
			    "    allow:\n"
			    "      - any: true\n"
			    "    handler: echo\n";

static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/* The sound text with the one place where `old` stands replaced. */
static char *
replaced(const char *old, const char *new)
{
	const char *at = strstr(sound, old);
	char *text = NULL;

	if (!at || strstr(at + 1, old))
		fail_msg("\"%s\" does not stand there exactly once", old);
	assert_true(asprintf(&text, "%.*s%s%s", (int) (at - sound), sound, new, at + strlen(old)) > 0);
	return text;
}

static int
load_text(const char *text, struct config **ret, char **ret_mistakes)
{
	return config_load_text("/etc/app/app.yaml", text, strlen(text), ret, ret_mistakes);
}

static struct config *
load_replaced(const char *old, const char *new)
{
	CLEANUP_FREE char *text = replaced(old, new), *mistakes = NULL;
	struct config *config = NULL;

	if (load_text(text, &config, &mistakes) < 0)
		fail_msg("%s", mistakes);
	assert_null(mistakes);
	return config;
}

static void
test_sound_file(void **state UNUSED)
{
	struct config *config = load_replaced("daemon:\n", "daemon:\n");
	const struct config_route *one = &config->routes[0];

	assert_string_equal(config->file, "/etc/app/app.yaml");
	assert_int_equal(config->daemon.threads, 2);
	assert_int_equal(config->daemon.log_level, LOG_INFO);
	assert_string_equal(config->control.socket, "/run/app/control.sock");
	assert_null(config->control.readonly_socket);
	assert_int_equal(config->control.mode, 0660);
	assert_int_equal(config->limits.handshake_timeout, 5000000);
	assert_int_equal(config->limits.header_timeout, 10000000);
	assert_string_equal(config->tls[0].certificates[0].certificate, "/etc/app/server.pem");
	assert_string_equal(config->tls[0].certificates[0].key, "/keys/server.key");
	assert_int_equal(config->tls[0].crl, CONFIG_CRL_SOFT);
	assert_int_equal(config->tls[0].min_version, CONFIG_TLS_1_2);
	assert_true(config->tls[0].tickets);
	assert_ptr_equal(config->listeners[0].tls_set, &config->tls[0]);
	assert_int_equal(config->plugin_count, 2);
	assert_string_equal(config->plugins[0].path, "gate.so");
	assert_true(config->plugins[0].enabled);
	assert_null(config->plugins[0].settings);
	assert_string_equal(config->plugins[1].path, "other.so");
	assert_int_equal(config->plugins[1].memory_hard, 16 << 20);
	assert_int_equal(config->plugins[1].index, 1);
	assert_string_equal(yaml_get(config->plugins[1].settings, "a")->text, "1");
	assert_int_equal(config->route_count, 2);
	assert_ptr_equal(one->handler, &config->plugins[1]);
	assert_int_equal(one->filter_count, 1);
	assert_ptr_equal(one->filters[0], &config->plugins[0]);
	assert_int_equal(one->allow_count, 2);
	assert_string_equal(one->allow[1].subject, "CN=a\\2C b,O=X"); /* the form identities keep */
	assert_true(config->routes[1].allow[0].any);
	config_unref(&config);
	assert_null(config);
}

/* The defaults an operator relies on when a key is left out. */
static void
test_defaults(void **state UNUSED)
{
	struct config *config = load_replaced("limits:\n  handshake_timeout: 5s\n", "");
	const struct config_limits *limits = &config->limits;
	const struct config_plugin *plugin = &config->plugins[0];

	assert_int_equal(limits->connections, 10000);
	assert_int_equal(limits->connections_per_address, 1000);
	assert_int_equal(limits->handshake_timeout, 10000000);
	assert_int_equal(limits->header_timeout, 10000000);
	assert_int_equal(limits->body_timeout, 30000000);
	assert_int_equal(limits->write_timeout, 60000000);
	assert_int_equal(limits->idle_timeout, 75000000);
	assert_int_equal(limits->header_size, 8192);
	assert_int_equal(limits->header_count, 100);
	assert_int_equal(limits->body_size, 1048576);
	assert_int_equal(plugin->memory_soft, 48 << 20);
	assert_int_equal(plugin->memory_hard, 64 << 20);
	assert_int_equal(plugin->threads, 4);
	assert_int_equal(plugin->queue, 64);
	assert_int_equal(plugin->deadline, 30000000);
	assert_int_equal(plugin->start_timeout, 10000000);
	assert_int_equal(plugin->drain_timeout, 30000000);
	assert_int_equal(plugin->isolation, 0);
	config_unref(&config);
}

/* Nothing is restarted by itself unless it is said, but near the hard limit. */
static void
test_defaults_of_policy_are_safe(void **state UNUSED)
{
	struct config *config = load_replaced("hard: 16MiB}", "hard: 16MiB}");
	const struct config_plugin *plugin = &config->plugins[1];

	assert_true(plugin->leak.watch);
	assert_true(plugin->leak.probe);
	assert_int_equal(plugin->policy.on_suspect, POLICY_LOG);
	assert_int_equal(plugin->policy.on_likely, POLICY_LOG);
	assert_int_equal(plugin->policy.on_confirmed, POLICY_LOG | POLICY_DUMP | POLICY_EVICT);
	assert_int_equal(plugin->policy.on_limit, POLICY_LIMIT_RESTART);
	assert_int_equal(plugin->policy.on_exhausted, POLICY_EXHAUSTED_BREAKER);
	assert_int_equal(plugin->breaker.failures, 0);
	assert_int_equal(plugin->budget.planned, 4);
	assert_true(plugin->budget.factor == 2);
	assert_null(config->daemon.dump_directory);
	config_unref(&config);
}

/* What nobody sets is what the corpus was judged with. */
static void
test_defaults_are_those_of_the_verdict(void **state UNUSED)
{
	struct config *config = load_replaced("hard: 16MiB}", "hard: 16MiB}");
	const struct config_leak *leak = &config->plugins[1].leak;
	const struct verdict_settings verdict = verdict_default_settings();
	const struct probe_settings probe = probe_default_settings();

	assert_true(leak->min_rate == verdict.min_rate);
	assert_int_equal(leak->min_growth, verdict.min_growth);
	assert_int_equal(leak->warm_up, verdict.warm_up_time);
	assert_int_equal(leak->warm_up_requests, verdict.warm_up_requests);
	assert_int_equal(leak->probe, probe.allow);
	assert_int_equal(leak->probe_per_hour, probe.per_hour);
	assert_true(fabs(leak->probe_load - probe.max_load) < 1e-9);
	assert_int_equal(leak->min_growth, probe.min_growth);
	config_unref(&config);
}

static void
test_values_of_policy(void **state UNUSED)
{
	struct config *config =
		load_replaced("    memory: {soft: 8MiB, hard: 16MiB}\n",
			      "    memory:\n"
			      "      hard: 16MiB\n"
			      "      on_limit: ignore\n"
			      "      leak:\n"
			      "        watch: off\n"
			      "        min_rate: 1.5\n"
			      "        on_suspect: []\n"
			      "        on_confirmed: [restart, breaker]\n"
			      "        restart_when: {quiet: off, time_to_limit: 2h, bytes: 4MiB}\n"
			      "        probe: {allow: no, max_per_hour: 7, max_load: 0.5}\n"
			      "    restart: {planned: {max: 2, within: 10min}, burst: {count: 3}, on_exhausted: stay}\n"
			      "    breaker: {failures: 5, open: 1s}\n");
	const struct config_plugin *plugin = &config->plugins[1];

	assert_false(plugin->leak.watch);
	assert_false(plugin->leak.probe);
	assert_true(plugin->leak.min_rate == 1.5);
	assert_int_equal(plugin->leak.probe_per_hour, 7);
	assert_int_equal(plugin->policy.on_suspect, 0);
	assert_int_equal(plugin->policy.on_confirmed, POLICY_RESTART | POLICY_BREAKER);
	assert_false(plugin->policy.quiet);
	assert_int_equal(plugin->policy.time_to_limit, UINT64_C(7200000000));
	assert_int_equal(plugin->policy.bytes, 4 << 20);
	assert_int_equal(plugin->policy.on_limit, POLICY_LIMIT_IGNORE);
	assert_int_equal(plugin->policy.on_exhausted, POLICY_EXHAUSTED_STAY);
	assert_int_equal(plugin->budget.planned, 2);
	assert_int_equal(plugin->budget.burst, 3);
	assert_int_equal(plugin->breaker.failures, 5);
	assert_int_equal(plugin->breaker.open, 1000000);
	config_unref(&config);
}

static void
test_values_that_follow_from_others(void **state UNUSED)
{
	struct config *config;
	CLEANUP_FREE char *spelled = NULL;

	config = load_replaced("    crl: soft\n", ""); /* a list that is named is used */
	assert_int_equal(config->tls[0].crl, CONFIG_CRL_REQUIRED);
	config_unref(&config);
	config = load_replaced("    client_crl: ca.crl\n    crl: soft\n", "");
	assert_int_equal(config->tls[0].crl, CONFIG_CRL_OFF);
	config_unref(&config);
	config = load_replaced("    tls: main\n", ""); /* the only set */
	assert_ptr_equal(config->listeners[0].tls_set, &config->tls[0]);
	config_unref(&config);
	config = load_replaced("{soft: 8MiB, hard: 16MiB}", "{hard: 32MiB}");
	assert_int_equal(config->plugins[1].memory_soft, 24 << 20);
	config_unref(&config);
	config = load_replaced("\"[::1]:8443\"", "127.0.0.1:0\n    tls: main\n  - name: two\n    address: 127.0.0.1:0");
	assert_int_equal(config->listener_count, 2);
	config_unref(&config);
	config = load_replaced("\"[::1]:8443\"", "inherited:main.sock");
	config_unref(&config);

	assert_true(asprintf(&spelled, "fingerprint: \"%.2s:%s\"", "AB", digest + 2) > 0);
	config = load_replaced("any: true", spelled);
	assert_memory_equal(config->routes[1].allow[0].fingerprint, "ab", 2);
	assert_string_equal(config->routes[1].allow[0].fingerprint + 2, digest + 2);
	config_unref(&config);
	config = load_replaced("any: true", "email: Ann@EXAMPLE.org");
	assert_string_equal(config->routes[1].allow[0].email, "Ann@example.org");
	config_unref(&config);
}

static void
test_certificates_of_a_set(void **state)
{
	struct config *config;

	(void) state;
	config =
		load_replaced("    key: /keys/server.key\n", "    key: credential:server-key\n    ocsp: server.ocsp\n"
							     "    certificates:\n"
							     "      - {certificate: rsa.pem, key: 'pkcs11:token=a'}\n");
	assert_int_equal(config->tls[0].certificate_count, 2);
	assert_string_equal(config->tls[0].certificates[0].certificate, "/etc/app/server.pem");
	assert_string_equal(config->tls[0].certificates[0].key, "credential:server-key");
	assert_string_equal(config->tls[0].certificates[0].ocsp, "/etc/app/server.ocsp");
	assert_string_equal(config->tls[0].certificates[1].certificate, "/etc/app/rsa.pem");
	assert_string_equal(config->tls[0].certificates[1].key, "pkcs11:token=a");
	assert_null(config->tls[0].certificates[1].ocsp);
	assert_true(config->listeners[0].tickets);
	config_unref(&config);
	config = load_replaced("    certificate: server.pem\n    key: /keys/server.key\n",
			       "    certificates:\n"
			       "      - {certificate: a.pem, key: a.key}\n"
			       "      - {certificate: b.pem, key: b.key}\n"
			       "      - {certificate: c.pem, key: c.key}\n");
	assert_int_equal(config->tls[0].certificate_count, 3);
	assert_string_equal(config->tls[0].certificates[2].key, "/etc/app/c.key");
	config_unref(&config);
}

/* Same path, but no request matches both. */
static void
test_routes_may_share_a_path(void **state UNUSED)
{
	static const char *const seconds[] = {
		"prefix: /one\n    methods: [DELETE]",
		"path: /one",
		"prefix: /one\n    hosts: [a.example.org]",
	};

	for (size_t i = 0; i < ARRAY_LENGTH(seconds); i++) {
		struct config *config = load_replaced("path: /two", seconds[i]);

		config_unref(&config);
	}
}

static const struct {
	const char *old, *new;
	int line, column;
	const char *words;
} mistakes[] = {
	{"limits:", "limit:", 4, 1, "unknown key \"limit\" in the file's top level; did you mean \"limits\"?"},
	{"    address:", "    adress:", 15, 5, "unknown key \"adress\" in listeners[0]; did you mean \"address\"?"},
	{"threads: 2", "threads: two", 2, 12, "daemon.threads: \"two\" is not a whole number from 0 to 256"},
	{"threads: 2", "threads: 2\n  threads: 3", 3, 3, "\"threads\" is there already (line 2); remove one"},
	{"handshake_timeout: 5s", "handshake_timeout: 5", 5, 22, "is not a duration such as 250ms, 10s"},
	{"handshake_timeout: 5s", "header_size: 16XB", 5, 16, "is not a size such as 4096, 16KiB"},
	{"handshake_timeout: 5s", "connections: 0", 5, 16, "out of range; write a whole number from 1 to 1000000"},
	{"crl: soft", "crl: sotf", 12, 10, "did you mean \"soft\"? (one of off, soft or required)"},
	{"    client_crl: ca.crl\n", "", 11, 10, "crl: soft needs client_crl; add client_crl: FILE, or write crl: off"},
	{"    key: /keys/server.key\n", "", 7, 5, "missing key \"key\" in this tls set; add it: a path"},
	{"    certificate: server.pem\n", "", 7, 5, "missing key \"certificate\" in this tls set; add it: a path"},
	{"    certificate: server.pem\n    key: /keys/server.key\n", "", 7, 5,
	 "give certificate: FILE and key: FILE, or a list of such pairs in certificates"},
	{"    certificate: server.pem\n    key: /keys/server.key\n", "    certificates: []\n", 8, 19,
	 "certificates is empty"},
	{"    certificate: server.pem\n    key: /keys/server.key\n", "    certificates:\n      - certificate: a.pem\n",
	 9, 9, "missing key \"key\" in tls[0].certificates[0]"},
	{"    crl: soft\n", "    crl: soft\n    ticket_key: /keys/tickets\n    ticket_rotation: 1h\n", 14, 22,
	 "ticket_rotation has no effect with ticket_key"},
	{"\"[::1]:8443\"", "localhost:8443", 15, 14, "cannot be read; write \"192.0.2.1:8443\""},
	{"\"[::1]:8443\"", "127.0.0.1:65536", 15, 14, "port 0 to 65535"},
	{"\"[::1]:8443\"", "::1:8443", 15, 14, "\"[::]:8443\""},
	{"\"[::1]:8443\"", "127.0.0.1", 15, 14, "cannot be read"},
	{"\"[::1]:8443\"", "\"inherited:\"", 15, 14, "inherited:NAME"},
	{"    tls: main\n", "    tls: main\n  - {name: two, address: \"[::1]:8443\"}\n", 17, 26,
	 "is there already (line 14); use another port"},
	{"tls: main", "tls: mian", 16, 10, "unknown tls set \"mian\"; did you mean \"main\"?"},
	{"    tls: main\n", "    tls: main\n  - {name: main, address: \"[::1]:1\"}\n", 17, 12,
	 "listener \"main\" is there already (line 14)"},
	{"tls:\n  - name: main", "tls:\n  - {name: other, certificate: a, key: b, client_ca: c}\n  - name: mein", 17,
	 10, "unknown tls set \"main\"; did you mean \"mein\"?"},
	{"  - name: echo\n", "  - name: gate\n", 19, 11, "plugin \"gate\" is there already (line 18)"},
	{"  - name: gate\n", "  - name: ../gate\n", 18, 11, "is no name; write letters, digits"},
	{"    path: other.so", "    isolation: process", 20, 16,
	 "process isolation comes after the first release; use isolation: arena"},
	{"soft: 8MiB", "soft: 32MiB", 21, 20, "is above memory.hard (16777216 bytes); lower soft or raise hard"},
	{"hard: 16MiB}", "hard: 16MiB, leak: {on_likely: [log, dump]}}", 21, 57,
	 "on_likely says dump, but there is no folder for dumps; add daemon.dump_directory"},
	{"hard: 16MiB}", "hard: 16MiB, leak: {on_confirmed: restart}}\n    restart: {planned: {max: 0}}", 21, 60,
	 "on_confirmed says restart, but restart.planned.max is 0"},
	{"hard: 16MiB}", "hard: 16MiB, leak: {restart_when: {quiet: off}}}", 21, 60,
	 "restart_when says when, but no list says restart"},
	{"hard: 16MiB}", "hard: 16MiB, leak: {on_suspect: [log, restrat]}}", 21, 64, "did you mean \"restart\"?"},
	{"hard: 16MiB}", "hard: 16MiB, leak: {probe: {max_load: 1.5}}}", 21, 64,
	 "is out of range; write a number from 0 to 1"},
	{"    config: {a: 1}", "    restart: {backoff: {max: 100ms}}", 22, 30,
	 "restart.backoff.max is below restart.backoff.initial"},
	{"    config: {a: 1}", "    breaker: {open: 10min}", 22, 14, "breaker.max_open is below breaker.open"},
	{"{a: 1}", "[a]", 22, 13, "config of a plugin must be a mapping"},
	{"name: two", "name: one", 32, 11, "route \"one\" is there already (line 24); give this one another name"},
	{"path: /two", "path: two", 33, 11, "path \"two\" does not start with \"/\""},
	{"path: /two", "path: /a//b", 33, 11, "requests never do"},
	{"path: /two", "path: /a/../b", 33, 11, "\"..\" segment"},
	{"path: /two", "path: /a/.", 33, 11, "\"..\" segment"},
	{"path: /two", "path: /a%20b", 33, 11, "write the decoded byte itself"},
	{"path: /two", "path: /a*", 33, 11, "use prefix for everything below"},
	{"path: /two", "path: /a?b", 33, 11, "look at the path only"},
	{"path: /two", "path: \"/a\\nb\"", 33, 11, "control byte; remove it"},
	{"path: /two", "path: /two\n    prefix: /x", 34, 13, "either path (this path only) or prefix (and all below)"},
	{"    path: /two\n", "", 32, 5, "a route needs path (this path only) or prefix"},
	{"path: /two", "prefix: /one", 33, 13, "is that of the route of line 24"},
	{"path: /two", "prefix: /one/\n    methods: [HEAD, GET]", 33, 13, "give each methods or hosts of its own"},
	{"    allow:\n      - any: true\n", "", 32, 5, "can never be reached; add allow:"},
	{"    allow:\n      - any: true\n", "    allow: []\n", 34, 12, "can never be reached; add allow:"},
	{"    allow:\n      - any: true\n", "    allow:\n", 34, 11, "can never be reached; add allow:"},
	{"any: true", "any: false", 35, 9, "holds for nobody; write uri, trust_domain, dns, email"},
	{"any: true", "{}", 35, 9, "holds for nobody"},
	{"any: true", "{any: true, dns: a}", 35, 15, "remove one of both"},
	{"any: true", "dns: a***b", 35, 14, "write * (within a part) or ** (across parts)"},
	{"any: true", "dns: https://a", 35, 14, "write the bare name"},
	{"any: true", "uri: /ns/web", 35, 14, "begin with the scheme, such as spiffe://"},
	{"any: true", "uri: \"a:\\x01\"", 35, 14, "control byte"},
	{"any: true", "email: ann", 35, 16, "write name@domain"},
	{"any: true", "subject: ann", 35, 18, "such as CN=name"},
	{"any: true", "subject: 'CN=a\\'", 35, 18, "lone backslash"},
	{"any: true", "fingerprint: abcd", 35, 22, "fingerprint must be 64 hexadecimal digits (SHA-256), not 4"},
	{"any: true", "spki: xyz", 35, 15, "spki must be 64 hexadecimal digits (SHA-256), not 3 characters"},
	{"any: true", "serial: 0a", 35, 17, "of one issuer only; add issuer or issuer_attributes"},
	{"any: true", "{issuer: CN=a, serial: xy}", 35, 32, "serial must be hexadecimal digits"},
	{"any: true", "issuer: ann", 35, 17, "can match no issuer"},
	{"any: true", "subject_attributes: Acme", 35, 29, "write them as O=Example,OU=ops-*"},
	{"any: true", "subject_attributes: 'O=Acme,,OU=a'", 35, 29, "is no list of attributes"},
	{"any: true", "issuer_attributes: =a", 35, 28, "is no list of attributes"},
	{"any: true", "ip: 192.0.2.0/33", 35, 13, "has no valid prefix length"},
	{"any: true", "ip: host", 35, 13, "is no address or network"},
	{"any: true", "source: 10.0.0.1/8", 35, 17, "has bits set beyond its prefix length"},
	{"any: true", "source: \"::ffff:10.0.0.0/104\"", 35, 17, "write it as IPv4"},
	{"any: true", "purpose: signing", 35, 18, "is no key purpose; write client-auth"},
	{"any: true", "trust_domain: spiffe://a", 35, 23, "write its bare name in lower case"},
	{"any: true", "any: true\n    deny:\n      - dns: https://a", 37, 14, "write the bare name"},
	{"any: true", "dsn: a", 35, 9, "unknown key \"dsn\" in routes[1].allow[0]; did you mean \"dns\"?"},
	{"[GET, POST]", "[GET, PSOT]", 26, 20, "did you mean \"POST\"?"},
	{"[GET, POST]", "GET\n    hosts: [\"a:80\"]", 27, 12, "has a port; write the name alone"},
	{"[GET, POST]", "GET\n    hosts: [\"http://a\"]", 27, 12, "is no host; write the bare name"},
	{"[gate]", "[gate, gaet]", 30, 21, "unknown plugin \"gaet\"; did you mean \"gate\"?"},
	{"[gate]", "[gate, gate]", 30, 21, "filter \"gate\" stands twice"},
	{"/two\n    allow:\n      - any: true\n    handler: echo", "/two\n    allow: [{any: true}]\n    handler: zzz",
	 35, 14, "unknown plugin \"zzz\"; add it to the plugins list"},
	{"run_directory: /run/app", "access_log: {to: file}", 3, 20, "to: file needs a path; add one"},
	{"run_directory: /run/app", "run_directory: [a]", 3, 18, "daemon.run_directory is a list; write a path"},
	{"listeners:\n  - name: main\n    address: \"[::1]:8443\"\n    tls: main\n", "", 1, 1, "no listeners; add one"},
	{"threads: 2", "threads: *two", 2, 12, "aliases (*name) are not supported"},
	{"threads: 2", "threads: !!int 2", 2, 12, "tags (!name) are not supported"},
	{"  threads: 2", "\tthreads: 2", 2, 1, "a tab in the indentation"},
};

static bool
has_line(const char *text, const char *line_start, const char *words)
{
	size_t length = strlen(line_start);

	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, line_start, length) == 0) {
			const char *found = strstr(p, words), *end = strchr(p, '\n');

			if (found && (!end || found < end))
				return true;
		}
	}
	return false;
}

static void
test_mistakes_have_place_and_cure(void **state UNUSED)
{
	size_t failed = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(mistakes); i++) {
		CLEANUP_FREE char *text = replaced(mistakes[i].old, mistakes[i].new), *said = NULL;
		struct config *config = (void *) 1;
		char place[64];

		assert_int_equal(load_text(text, &config, &said), -EINVAL);
		assert_ptr_equal(config, (void *) 1);
		assert_non_null(said);
		(void) snprintf(place, sizeof(place), "/etc/app/app.yaml:%d:%d: ", mistakes[i].line,
				mistakes[i].column);
		if (!has_line(said, place, mistakes[i].words)) {
			print_error("row %zu, \"%s\" expected at %s but said:\n%s\n", i, mistakes[i].words, place,
				    said);
			failed++;
		}
	}
	assert_int_equal(failed, 0);
}

static void
test_one_mistake_is_said_once(void **state UNUSED)
{
	/* Those that bring others with them by nature are few; most mistakes are one line. */
	size_t single = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(mistakes); i++) {
		CLEANUP_FREE char *text = replaced(mistakes[i].old, mistakes[i].new), *said = NULL;
		struct config *config;

		assert_int_equal(load_text(text, &config, &said), -EINVAL);
		single += strchr(said, '\n') == NULL;
	}
	assert_in_range(single, ARRAY_LENGTH(mistakes) - 8, ARRAY_LENGTH(mistakes));
}

static void
test_all_mistakes_at_once(void **state UNUSED)
{
	static const char text[] =
		"daemon: {threads: x}\nlimits: {header_count: 0}\nroutes:\n- {name: a, path: b, handler: c}\n";
	CLEANUP_FREE char *said = NULL;
	struct config *config;

	assert_int_equal(load_text(text, &config, &said), -EINVAL);
	assert_true(has_line(said, "/etc/app/app.yaml:1:1: ", "no listeners"));
	assert_true(has_line(said, "/etc/app/app.yaml:1:1: ", "no tls sets"));
	assert_true(has_line(said, "/etc/app/app.yaml:1:19: ", "daemon.threads"));
	assert_true(has_line(said, "/etc/app/app.yaml:2:24: ", "limits.header_count"));
	assert_true(has_line(said, "/etc/app/app.yaml:4:3: ", "without allow"));
	assert_true(has_line(said, "/etc/app/app.yaml:4:19: ", "does not start with"));
	assert_true(has_line(said, "/etc/app/app.yaml:4:31: ", "unknown plugin"));
}

/* Kinds where a mapping or list is expected: a message, never a crash. */
static void
test_wrong_kinds_everywhere(void **state UNUSED)
{
	static const char *const keys[] = {"daemon", "control", "limits", "tls", "listeners", "plugins", "routes"};
	static const char *const values[] = {"x", "[x]", "[[x]]", "{x: y}", "[{x: y}]", "[~]", "5", "\"\""};

	for (size_t k = 0; k < ARRAY_LENGTH(keys); k++) {
		for (size_t v = 0; v < ARRAY_LENGTH(values); v++) {
			CLEANUP_FREE char *said = NULL;
			struct config *config;
			char text[64];

			(void) snprintf(text, sizeof(text), "%s: %s\n", keys[k], values[v]);
			assert_int_equal(load_text(text, &config, &said), -EINVAL);
			assert_non_null(strstr(said, "/etc/app/app.yaml:1:"));
		}
	}
	for (size_t v = 0; v < ARRAY_LENGTH(values); v++) {
		CLEANUP_FREE char *said = NULL, *text = NULL, *allow = NULL;
		struct config *config;

		assert_true(asprintf(&allow, "    allow: %s\n", values[v]) > 0);
		text = replaced("    allow:\n      - any: true\n", allow);
		assert_int_equal(load_text(text, &config, &said), -EINVAL);
		assert_non_null(strstr(said, "/etc/app/app.yaml:34:"));
	}
}

static void
test_snapshots_are_counted_and_numbered(void **state UNUSED)
{
	struct config *first = load_replaced("threads: 2", "threads: 3");
	struct config *second = load_replaced("threads: 2", "threads: 4"), *more = config_ref(first);

	assert_int_equal(second->generation, first->generation + 1);
	config_unref(&first);
	assert_null(first);
	assert_int_equal(more->daemon.threads, 3);
	config_unref(&more);
	config_unref(&second);
	config_unref(&second);
	config_unref(NULL);
}

static void
test_missing_file_is_named(void **state UNUSED)
{
	CLEANUP_FREE char *said = NULL;
	struct config *config;

	assert_int_equal(config_load("/nonexistent/app.yaml", &config, &said), -ENOENT);
	assert_non_null(strstr(said, "/nonexistent/app.yaml: cannot be opened"));
	assert_int_equal(config_load("/nonexistent/app.yaml", &config, NULL), -ENOENT);
}

static void
test_reference_has_every_section(void **state UNUSED)
{
	static const char *const keys[] = {"daemon.threads\n",
					   "control.socket\n",
					   "limits.header_size\n",
					   "tls[].client_crl\n",
					   "listeners[].address\n",
					   "plugins[].memory.hard\n",
					   "routes[].allow[].fingerprint\n",
					   "routes[].deny[].source\n"};
	CLEANUP_FREE char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	config_print_reference(out);
	assert_int_equal(fclose(out), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
		assert_non_null(strstr(text, keys[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificates_of_a_set),
		cmocka_unit_test(test_sound_file),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_defaults_of_policy_are_safe),
		cmocka_unit_test(test_defaults_are_those_of_the_verdict),
		cmocka_unit_test(test_values_of_policy),
		cmocka_unit_test(test_values_that_follow_from_others),
		cmocka_unit_test(test_routes_may_share_a_path),
		cmocka_unit_test(test_mistakes_have_place_and_cure),
		cmocka_unit_test(test_one_mistake_is_said_once),
		cmocka_unit_test(test_all_mistakes_at_once),
		cmocka_unit_test(test_wrong_kinds_everywhere),
		cmocka_unit_test(test_snapshots_are_counted_and_numbered),
		cmocka_unit_test(test_missing_file_is_named),
		cmocka_unit_test(test_reference_has_every_section),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
