/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every check made true, and the healthy case it must leave alone. */
#include "cleanup.h"
#include "doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MIB = 1 << 20, DAY = 86400 };

/* Ready, with a hook, watched, well. */
static struct doctor_plugin
healthy(void)
{
	struct doctor_plugin p = {
		.plugin = {.name = "auth",
			   .state = SUPERVISOR_READY,
			   .instance = 3,
			   .has_evict = true,
			   .requests = 1000,
			   .own = {.live_bytes = 10 * MIB, .resident_bytes = 12 * MIB},
			   .foreign = {.live_bytes = MIB},
			   .soft_limit = 48 * MIB,
			   .hard_limit = 64 * MIB},
		.watch = true,
		.watched = true,
		.view = {.instance = 3,
			 .verdict = {.outcome = VERDICT_OK, .seconds_to_limit = -1},
			 .sentence = "nothing grows",
			 .breaker = "closed"},
		.can_probe = true,
		.probe_allowed = true,
	};

	return p;
}

static struct doctor_daemon
sound(void)
{
	return (struct doctor_daemon){.now = 1000000,
				      .heap_layer = true,
				      .http_library = "1.0.10",
				      .machine_bytes = UINT64_C(1) << 30,
				      .hard_limits = 128 * MIB};
}

/* The one finding of that check. */
static struct doctor_finding
expect_plugin(const struct doctor_plugin *p, const char *check)
{
	struct doctor_finding findings[DOCTOR_FINDINGS], result = {0};
	size_t count = doctor_check_plugin(p, findings), seen = 0;

	for (size_t i = 0; i < count; i++) {
		if (strcmp(findings[i].check, check) == 0) {
			result = findings[i];
			seen++;
		}
	}
	if (seen != 1)
		fail_msg("%s was found %zu times among %zu findings", check, seen, count);
	assert_string_equal(result.plugin, "auth");
	assert_true(strlen(result.sentence) > 0);
	return result;
}

static void
expect_nothing(const struct doctor_plugin *p, const char *check)
{
	struct doctor_finding findings[DOCTOR_FINDINGS];
	size_t count = doctor_check_plugin(p, findings);

	for (size_t i = 0; i < count; i++)
		if (!check || strcmp(findings[i].check, check) == 0)
			fail_msg("%s: %s", findings[i].check, findings[i].sentence);
}

static struct doctor_finding
expect_daemon(const struct doctor_daemon *d, const char *check)
{
	struct doctor_finding findings[DOCTOR_FINDINGS];
	size_t count = doctor_check_daemon(d, findings);

	assert_int_equal(count, 1);
	assert_string_equal(findings[0].check, check);
	assert_string_equal(findings[0].plugin, "");
	return findings[0];
}

static void
expect_daemon_sound(const struct doctor_daemon *d)
{
	struct doctor_finding findings[DOCTOR_FINDINGS];

	if (doctor_check_daemon(d, findings) != 0)
		fail_msg("%s: %s", findings[0].check, findings[0].sentence);
}

static void
expect_words(const struct doctor_finding *finding, enum doctor_severity severity, const char *sentence,
	     const char *next)
{
	assert_int_equal(finding->severity, severity);
	assert_string_equal(finding->sentence, sentence);
	assert_string_equal(finding->next, next);
}

static void
test_the_healthy_have_nothing(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_daemon d = sound();

	(void) state;
	expect_nothing(&p, NULL);
	expect_daemon_sound(&d);
	/* What was never judged is nothing yet. */
	p.view.verdict.outcome = VERDICT_WARMING;
	expect_nothing(&p, NULL);
}

/* --- leaks ----------------------------------------------------------------------------------------------- */

static void
test_a_confirmed_leak(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	p.view.verdict.outcome = VERDICT_CONFIRMED;
	p.view.verdict.class = VERDICT_LEAK;
	snprintf(p.view.sentence, sizeof(p.view.sentence), "leaks 16.2 bytes per request at parse_header (auth.c:41)");
	finding = expect_plugin(&p, "leak");
	expect_words(&finding, DOCTOR_BAD, "leaks 16.2 bytes per request at parse_header (auth.c:41)",
		     "mtlsctl explain auth");
	assert_true(finding.leak);
	expect_nothing(&p, "likely-leak");
	expect_nothing(&p, "growth");
	snprintf(p.view.next, sizeof(p.view.next), "restart at a quiet moment");
	finding = expect_plugin(&p, "leak");
	assert_non_null(strstr(finding.sentence, "(auth.c:41); next: restart at a quiet moment"));
	/* The verdict of an instance that is gone. */
	p.view.instance = 0;
	expect_nothing(&p, "leak");
}

static void
test_likely_is_a_leak_only_where_no_probe_can_tell(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	p.view.verdict.outcome = VERDICT_LIKELY;
	p.view.verdict.class = VERDICT_LEAK;
	snprintf(p.view.sentence, sizeof(p.view.sentence), "likely leaks");
	finding = expect_plugin(&p, "likely-leak");
	expect_words(&finding, DOCTOR_WARNING, "likely leaks; a probe will tell it from a cache",
		     "mtlsctl explain auth");
	assert_false(finding.leak);
	p.can_probe = p.probe_allowed = false;
	finding = expect_plugin(&p, "likely-leak");
	assert_int_equal(finding.severity, DOCTOR_BAD);
	assert_true(finding.leak);
	assert_non_null(strstr(finding.sentence, "memory.leak.probe.allow"));
	p.plugin.has_evict = false;
	finding = expect_plugin(&p, "likely-leak");
	assert_true(finding.leak);
	assert_non_null(strstr(finding.sentence, "it has no evict hook"));
}

static void
test_suspect(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	p.view.verdict.outcome = VERDICT_SUSPECT;
	p.view.verdict.class = VERDICT_LEAK;
	finding = expect_plugin(&p, "suspect");
	assert_int_equal(finding.severity, DOCTOR_WARNING);
	assert_false(finding.leak);
	expect_nothing(&p, "growth");
}

static void
test_what_grows_and_is_no_leak(void **state)
{
	static const struct {
		enum verdict_class class;
		enum doctor_severity severity;
	} rows[] = {
		{VERDICT_CACHE_GROWTH, DOCTOR_NOTE},
		{VERDICT_CLIENT_STATE, DOCTOR_WARNING},
		{VERDICT_FRAGMENTATION, DOCTOR_WARNING},
	};
	static const enum verdict_outcome outcomes[] = {VERDICT_OK, VERDICT_SUSPECT, VERDICT_LIKELY, VERDICT_CONFIRMED};

	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		for (size_t k = 0; k < ARRAY_LENGTH(outcomes); k++) {
			struct doctor_plugin p = healthy();
			struct doctor_finding finding;

			p.view.verdict.class = rows[i].class;
			p.view.verdict.outcome = outcomes[k];
			finding = expect_plugin(&p, "growth");
			assert_int_equal(finding.severity, rows[i].severity);
			assert_false(finding.leak);
			expect_nothing(&p, "leak");
			expect_nothing(&p, "likely-leak");
			expect_nothing(&p, "suspect");
		}
	}
}

static void
test_stopped_restarts(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	snprintf(p.stopped, sizeof(p.stopped), "the restart took back 3 %% of 40.0MiB");
	finding = expect_plugin(&p, "restarts-stopped");
	expect_words(&finding, DOCTOR_BAD, "the restart took back 3 % of 40.0MiB", "mtlsctl dump auth");
}

static void
test_foreign_growth(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	p.view.verdict.outcome = VERDICT_SUSPECT;
	p.view.verdict.site_count = 1;
	expect_nothing(&p, "foreign");
	p.view.verdict.sites[0].foreign = true;
	finding = expect_plugin(&p, "foreign");
	assert_int_equal(finding.severity, DOCTOR_BAD);
	p.view.verdict.class = VERDICT_CACHE_GROWTH;
	expect_nothing(&p, "foreign");
	/* Much of it, though nobody saw it grow. */
	p = healthy();
	p.plugin.foreign.live_bytes = 9 * MIB;
	expect_nothing(&p, "foreign");
	p.plugin.foreign.live_bytes = 11 * MIB;
	finding = expect_plugin(&p, "foreign");
	expect_words(&finding, DOCTOR_WARNING,
		     "libraries hold 11.0MiB on its behalf, more than the 10.0MiB it holds itself; a restart does not "
		     "give them back",
		     "mtlsctl dump auth");
	/* More than nothing is not much. */
	p.plugin.own.live_bytes = 0;
	p.plugin.foreign.live_bytes = 7 * MIB;
	expect_nothing(&p, "foreign");
}

static void
test_escapes_of_errors(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	p.escape = (struct doctor_escape){
		.route = "login", .at = "fail (auth.c:7)", .status = "4xx", .bytes = 1023, .requests = 31};
	expect_nothing(&p, "error-escapes");
	p.escape.bytes = 4096;
	p.escape.requests = 128;
	finding = expect_plugin(&p, "error-escapes");
	expect_words(
		&finding, DOCTOR_WARNING,
		"requests of route login that end with 4xx leave 32B each at fail (auth.c:7), 4.0KiB so far; those "
		"that end well leave nothing there",
		"mtlsctl escapes auth");
}

/* --- limits ---------------------------------------------------------------------------------------------- */

static void
test_time_to_limit(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	p.view.verdict.outcome = VERDICT_SUSPECT;
	p.view.verdict.seconds_to_limit = 3600;
	finding = expect_plugin(&p, "time-to-limit");
	expect_words(&finding, DOCTOR_WARNING,
		     "it reaches its hard limit of 64.0MiB in 1h0min at this rate; then its allocations fail",
		     "mtlsctl restart auth");
	p.view.verdict.seconds_to_limit = 3599;
	assert_int_equal(expect_plugin(&p, "time-to-limit").severity, DOCTOR_BAD);
	p.view.verdict.seconds_to_limit = 0;
	assert_int_equal(expect_plugin(&p, "time-to-limit").severity, DOCTOR_BAD);
	p.view.verdict.seconds_to_limit = DAY + 1;
	expect_nothing(&p, "time-to-limit");
	p.view.verdict.seconds_to_limit = 60;
	p.view.verdict.outcome = VERDICT_OK;
	expect_nothing(&p, "time-to-limit");
}

static void
test_limits(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	p.plugin.own.live_bytes = 48 * MIB;
	expect_nothing(&p, "limit");
	p.plugin.own.live_bytes = 49 * MIB;
	finding = expect_plugin(&p, "limit");
	expect_words(&finding, DOCTOR_WARNING, "it holds 49.0MiB, more than its soft limit of 48.0MiB",
		     "mtlsctl evict auth");
	p.plugin.own.live_bytes = 58 * MIB;
	finding = expect_plugin(&p, "limit");
	expect_words(&finding, DOCTOR_BAD, "it holds 58.0MiB, 90 % of its hard limit of 64.0MiB", "mtlsctl evict auth");
	p.plugin.soft_limit = p.plugin.hard_limit = 0;
	expect_nothing(&p, "limit");
}

static void
test_refused_allocations(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	p.plugin.own.refused = 1;
	snprintf(p.refused_at, sizeof(p.refused_at), "grow (auth.c:99)");
	finding = expect_plugin(&p, "refused");
	expect_words(&finding, DOCTOR_BAD,
		     "1 allocation got NULL at its hard limit of 64.0MiB, the last one of grow (auth.c:99)",
		     "mtlsctl dump auth");
	p.plugin.own.refused = 12;
	p.refused_at[0] = '\0';
	finding = expect_plugin(&p, "refused");
	assert_non_null(strstr(finding.sentence, "12 allocations got"));
	assert_non_null(strstr(finding.sentence, "a place without a name"));
}

static void
test_fragmentation(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	p.plugin.own.resident_bytes = 29 * MIB;
	expect_nothing(&p, "fragmentation");
	p.plugin.own.resident_bytes = 30 * MIB;
	finding = expect_plugin(&p, "fragmentation");
	expect_words(&finding, DOCTOR_WARNING,
		     "its heap takes 30.0MiB of pages for 10.0MiB of live blocks (fragmentation)",
		     "mtlsctl evict auth");
	/* Small heaps are mostly rounding. */
	p.plugin.own.live_bytes = MIB;
	p.plugin.own.resident_bytes = 16 * MIB;
	expect_nothing(&p, "fragmentation");
}

/* --- service --------------------------------------------------------------------------------------------- */

static void
test_states(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	p.plugin.state = SUPERVISOR_FAILED;
	p.plugin.instance = 0;
	snprintf(p.plugin.last_error, sizeof(p.plugin.last_error), "init said no");
	finding = expect_plugin(&p, "failed");
	expect_words(&finding, DOCTOR_BAD, "it does not serve: init said no", "mtlsctl restart auth");
	snprintf(p.view.next, sizeof(p.view.next), "a new try in 53s");
	finding = expect_plugin(&p, "failed");
	assert_string_equal(finding.sentence, "it does not serve: init said no; next: a new try in 53s");
	p.plugin.last_error[0] = '\0';
	p.plugin.state = SUPERVISOR_DISABLED;
	finding = expect_plugin(&p, "disabled");
	expect_words(&finding, DOCTOR_NOTE, "it is disabled: its requests get 503", "mtlsctl enable auth");
	/* Without an instance there is nobody to have no hook, or to watch. */
	p.plugin.has_evict = p.watch = p.watched = false;
	expect_nothing(&p, "no-evict-hook");
	expect_nothing(&p, "not-watched");
}

static void
test_breaker(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	snprintf(p.view.breaker, sizeof(p.view.breaker), "open");
	finding = expect_plugin(&p, "breaker");
	expect_words(&finding, DOCTOR_BAD, "its breaker is open: requests get 503 without reaching it",
		     "mtlsctl show auth");
	snprintf(p.view.breaker, sizeof(p.view.breaker), "half-open");
	finding = expect_plugin(&p, "breaker");
	assert_non_null(strstr(finding.sentence, "one request at a time"));
	snprintf(p.view.breaker, sizeof(p.view.breaker), "stopped");
	finding = expect_plugin(&p, "breaker");
	assert_non_null(strstr(finding.sentence, "near its hard limit"));
	p.view.breaker[0] = '\0';
	expect_nothing(&p, "breaker");
}

static void
test_bad_frees(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	p.plugin.faults = 3;
	snprintf(p.fault_at, sizeof(p.fault_at), "drop (auth.c:12)");
	finding = expect_plugin(&p, "bad-frees");
	expect_words(&finding, DOCTOR_BAD,
		     "it freed 3 times what is no live block (not done, but a bug that corrupts memory elsewhere), the "
		     "last time in drop (auth.c:12)",
		     "mtlsctl show auth");
}

static void
test_zombies(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	p.plugin.zombies = 1;
	snprintf(p.plugin.last_error, sizeof(p.plugin.last_error), "instance 2 could not be ended: a thread lives");
	finding = expect_plugin(&p, "zombies");
	expect_words(&finding, DOCTOR_WARNING,
		     "1 old instance could not be unloaded and keeps its memory: instance 2 could not be ended: a "
		     "thread lives",
		     "mtlsctl show auth");
	p.plugin.zombies = 2;
	p.plugin.last_error[0] = '\0';
	finding = expect_plugin(&p, "zombies");
	assert_string_equal(finding.sentence, "2 old instances could not be unloaded and keep their memory: the reason "
					      "is in the journal");
}

static void
test_queues_and_deadlines(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	p.plugin.refused_full = 24;
	finding = expect_plugin(&p, "queue");
	expect_words(&finding, DOCTOR_WARNING, "24 requests of 1024 got 503 because its queue was full",
		     "mtlsctl show auth");
	p.plugin.deadline_missed = 2;
	finding = expect_plugin(&p, "deadline");
	expect_words(&finding, DOCTOR_WARNING, "2 of 1000 requests missed its deadline and got 504",
		     "mtlsctl show auth");
}

static void
test_nonces(void **state)
{
	struct doctor_plugin p = healthy();
	struct doctor_finding finding;

	(void) state;
	p.nonces = (struct nonces_report){.open = true, .settings.capacity = 1000, .room = 2048, .remembered = 1000};
	expect_nothing(&p, "nonces");
	p.nonces.remembered = 1001;
	finding = expect_plugin(&p, "nonces");
	expect_words(&finding, DOCTOR_WARNING,
		     "it remembers 1001 nonces, more than nonces.capacity, which is 1000; raise it before requests are "
		     "refused",
		     "mtlsctl show auth");
	p.nonces.full = 1;
	finding = expect_plugin(&p, "nonces");
	expect_words(
		&finding, DOCTOR_BAD,
		"1 signed request was refused because there was no room for the nonce; raise nonces.capacity, which "
		"is 1000",
		"mtlsctl show auth");
	p.nonces.unwritten = 2;
	finding = expect_plugin(&p, "nonces");
	expect_words(&finding, DOCTOR_BAD,
		     "2 signed requests were refused because the nonce could not be written down; is the disk of "
		     "daemon.nonce_directory full?",
		     "mtlsctl show auth");
}

static void
test_settings(void **state)
{
	struct doctor_plugin p = healthy();

	(void) state;
	p.plugin.has_evict = false;
	assert_int_equal(expect_plugin(&p, "no-evict-hook").severity, DOCTOR_NOTE);
	/* One reason is enough. */
	p.probe_allowed = false;
	expect_nothing(&p, "no-probe");
	p.plugin.has_evict = true;
	assert_int_equal(expect_plugin(&p, "no-probe").severity, DOCTOR_NOTE);
	p = healthy();
	/* Too young to be known is not unwatched. */
	p.watched = false;
	expect_nothing(&p, NULL);
	p.watch = false;
	assert_int_equal(expect_plugin(&p, "not-watched").severity, DOCTOR_NOTE);
}

/* --- the daemon ------------------------------------------------------------------------------------------ */

static void
test_what_ends_soon(void **state)
{
	struct doctor_daemon d = sound();
	struct doctor_finding finding;

	(void) state;
	d.expiry_count = 1;
	d.expiries[0] = (struct doctor_expiry){
		.set = "main", .what = "certificate", .name = "CN=here", .until = d.now + 7 * DAY};
	finding = expect_daemon(&d, "expiry");
	expect_words(&finding, DOCTOR_WARNING, "tls main: its certificate (CN=here) expires in 7d0h", "mtlsctl tls");
	d.expiries[0].until--;
	assert_int_equal(expect_daemon(&d, "expiry").severity, DOCTOR_BAD);
	d.expiry_count = 2;
	d.expiries[1] = (struct doctor_expiry){.set = "other", .what = "client_crl", .until = d.now};
	finding = expect_daemon(&d, "expiry");
	expect_words(&finding, DOCTOR_BAD, "tls other: its revocation list has expired; 1 more ends soon",
		     "mtlsctl tls");
	d.expiry_count = 3;
	d.expiries[2] = (struct doctor_expiry){.set = "third", .what = "something new", .until = 1};
	finding = expect_daemon(&d, "expiry");
	expect_words(&finding, DOCTOR_BAD, "tls third: its something new has expired; 2 more end soon", "mtlsctl tls");
}

static void
test_versions_of_libmicrohttpd(void **state)
{
	static const struct {
		const char *version;
		bool old;
	} rows[] = {{"0.9.75", true}, {"1.0.9", true}, {"1.0.10", false}, {"1.0.11", false}, {"1.1.0", false},
		    {"2.0.0", false}, {"1.0", true},   {"what", false},   {"", false},       {NULL, false}};

	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct doctor_daemon d = sound();

		d.http_library = rows[i].version;
		if (rows[i].old)
			assert_int_equal(expect_daemon(&d, "http-library").severity, DOCTOR_NOTE);
		else
			expect_daemon_sound(&d);
	}
}

static void
test_the_rest_of_the_daemon(void **state)
{
	struct doctor_daemon d = sound();
	struct doctor_finding finding;

	(void) state;
	d.heap_layer = false;
	assert_int_equal(expect_daemon(&d, "heap-layer").severity, DOCTOR_WARNING);
	d = sound();
	d.credentials = true;
	finding = expect_daemon(&d, "credentials");
	assert_string_equal(finding.next, "systemctl restart mtlsd");
	d = sound();
	d.hard_limits = d.machine_bytes;
	expect_daemon_sound(&d);
	d.hard_limits++;
	assert_int_equal(expect_daemon(&d, "limits-sum").severity, DOCTOR_NOTE);
	d.machine_bytes = 0;
	expect_daemon_sound(&d);
}

/* --- the table ------------------------------------------------------------------------------------------- */

static void
test_the_worst_comes_first(void **state)
{
	struct doctor_finding findings[3 * DOCTOR_FINDINGS];
	struct doctor_plugin leaky = healthy(), odd = healthy();
	struct doctor_daemon d = sound();
	size_t count = 0;

	(void) state;
	odd.plugin.deadline_missed = 1;
	odd.plugin.has_evict = false;
	snprintf(odd.plugin.name, sizeof(odd.plugin.name), "aaa");
	leaky.view.verdict.outcome = VERDICT_CONFIRMED;
	leaky.plugin.faults = 1;
	leaky.plugin.deadline_missed = 1;
	d.heap_layer = false;
	count += doctor_check_plugin(&odd, findings + count);
	count += doctor_check_daemon(&d, findings + count);
	count += doctor_check_plugin(&leaky, findings + count);
	doctor_sort(findings, count);
	assert_int_equal(count, 6);
	assert_string_equal(findings[0].check, "leak");
	assert_string_equal(findings[1].check, "bad-frees");
	assert_string_equal(findings[2].check, "deadline");
	assert_string_equal(findings[2].plugin, "aaa");
	assert_string_equal(findings[3].plugin, "auth");
	assert_string_equal(findings[4].check, "heap-layer");
	assert_string_equal(findings[5].check, "no-evict-hook");
}

static void
test_names_are_told_apart(void **state)
{
	(void) state;
	for (size_t i = 0; doctor_check_name(i); i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(doctor_check_name(i), doctor_check_name(k));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_healthy_have_nothing),
		cmocka_unit_test(test_a_confirmed_leak),
		cmocka_unit_test(test_likely_is_a_leak_only_where_no_probe_can_tell),
		cmocka_unit_test(test_suspect),
		cmocka_unit_test(test_what_grows_and_is_no_leak),
		cmocka_unit_test(test_stopped_restarts),
		cmocka_unit_test(test_foreign_growth),
		cmocka_unit_test(test_escapes_of_errors),
		cmocka_unit_test(test_time_to_limit),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_refused_allocations),
		cmocka_unit_test(test_fragmentation),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_breaker),
		cmocka_unit_test(test_bad_frees),
		cmocka_unit_test(test_zombies),
		cmocka_unit_test(test_queues_and_deadlines),
		cmocka_unit_test(test_nonces),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_what_ends_soon),
		cmocka_unit_test(test_versions_of_libmicrohttpd),
		cmocka_unit_test(test_the_rest_of_the_daemon),
		cmocka_unit_test(test_the_worst_comes_first),
		cmocka_unit_test(test_names_are_told_apart),
	};

	return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
