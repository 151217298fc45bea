/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks made true: leaks and limits. */
#include "patient.h"

#include <stdio.h>
#include <string.h>

/* --- leaks ----------------------------------------------------------------------------------------------- */

static void
test_a_confirmed_leak(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	p.view.verdict.outcome = VERDICT_CONFIRMED;
	p.view.verdict.class = VERDICT_LEAK;
	snprintf(p.view.sentence, sizeof(p.view.sentence), "leaks 16.2 bytes per request at parse_header (auth.c:41)");
	finding = patient_expect(&p, "leak");
	patient_expect_words(&finding, DOCTOR_BAD, "leaks 16.2 bytes per request at parse_header (auth.c:41)",
			     "mtlsctl explain auth");
	assert_true(finding.leak);
	patient_expect_nothing(&p, "likely-leak");
	patient_expect_nothing(&p, "growth");
	snprintf(p.view.next, sizeof(p.view.next), "restart at a quiet moment");
	finding = patient_expect(&p, "leak");
	assert_non_null(strstr(finding.sentence, "(auth.c:41); next: restart at a quiet moment"));
	/* The verdict of an instance that is gone. */
	p.view.instance = 0;
	patient_expect_nothing(&p, "leak");
}

static void
test_likely_is_a_leak_only_where_no_probe_can_tell(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	p.view.verdict.outcome = VERDICT_LIKELY;
	p.view.verdict.class = VERDICT_LEAK;
	snprintf(p.view.sentence, sizeof(p.view.sentence), "likely leaks");
	finding = patient_expect(&p, "likely-leak");
	patient_expect_words(&finding, DOCTOR_WARNING, "likely leaks; a probe will tell it from a cache",
			     "mtlsctl explain auth");
	assert_false(finding.leak);
	p.can_probe = p.probe_allowed = false;
	finding = patient_expect(&p, "likely-leak");
	assert_int_equal(finding.severity, DOCTOR_BAD);
	assert_true(finding.leak);
	assert_non_null(strstr(finding.sentence, "memory.leak.probe.allow"));
	p.plugin.has_evict = false;
	finding = patient_expect(&p, "likely-leak");
	assert_true(finding.leak);
	assert_non_null(strstr(finding.sentence, "it has no evict hook"));
}

static void
test_suspect(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	p.view.verdict.outcome = VERDICT_SUSPECT;
	p.view.verdict.class = VERDICT_LEAK;
	finding = patient_expect(&p, "suspect");
	assert_int_equal(finding.severity, DOCTOR_WARNING);
	assert_false(finding.leak);
	patient_expect_nothing(&p, "growth");
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
			struct doctor_plugin p = patient_healthy();
			struct doctor_finding finding;

			p.view.verdict.class = rows[i].class;
			p.view.verdict.outcome = outcomes[k];
			finding = patient_expect(&p, "growth");
			assert_int_equal(finding.severity, rows[i].severity);
			assert_false(finding.leak);
			patient_expect_nothing(&p, "leak");
			patient_expect_nothing(&p, "likely-leak");
			patient_expect_nothing(&p, "suspect");
		}
	}
}

static void
test_stopped_restarts(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	snprintf(p.stopped, sizeof(p.stopped), "the restart took back 3 %% of 40.0MiB");
	finding = patient_expect(&p, "restarts-stopped");
	patient_expect_words(&finding, DOCTOR_BAD, "the restart took back 3 % of 40.0MiB", "mtlsctl dump auth");
}

static void
test_foreign_growth(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	p.view.verdict.outcome = VERDICT_SUSPECT;
	p.view.verdict.site_count = 1;
	patient_expect_nothing(&p, "foreign");
	p.view.verdict.sites[0].foreign = true;
	finding = patient_expect(&p, "foreign");
	assert_int_equal(finding.severity, DOCTOR_BAD);
	p.view.verdict.class = VERDICT_CACHE_GROWTH;
	patient_expect_nothing(&p, "foreign");
	/* Much of it, though nobody saw it grow. */
	p = patient_healthy();
	p.plugin.foreign.live_bytes = 9 * MIB;
	patient_expect_nothing(&p, "foreign");
	p.plugin.foreign.live_bytes = 11 * MIB;
	finding = patient_expect(&p, "foreign");
	patient_expect_words(
		&finding, DOCTOR_WARNING,
		"libraries hold 11.0MiB on its behalf, more than the 10.0MiB it holds itself; a restart does not "
		"give them back",
		"mtlsctl dump auth");
	/* More than nothing is not much. */
	p.plugin.own.live_bytes = 0;
	p.plugin.foreign.live_bytes = 7 * MIB;
	patient_expect_nothing(&p, "foreign");
}

static void
test_escapes_of_errors(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	p.escape = (struct doctor_escape){
		.route = "login", .at = "fail (auth.c:7)", .status = "4xx", .bytes = 1023, .requests = 31};
	patient_expect_nothing(&p, "error-escapes");
	p.escape.bytes = 4096;
	p.escape.requests = 128;
	finding = patient_expect(&p, "error-escapes");
	patient_expect_words(
		&finding, DOCTOR_WARNING,
		"requests of route login that end with 4xx leave 32B each at fail (auth.c:7), 4.0KiB so far; those "
		"that end well leave nothing there",
		"mtlsctl escapes auth");
}

/* --- limits ---------------------------------------------------------------------------------------------- */

static void
test_time_to_limit(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	p.view.verdict.outcome = VERDICT_SUSPECT;
	p.view.verdict.seconds_to_limit = 3600;
	finding = patient_expect(&p, "time-to-limit");
	patient_expect_words(&finding, DOCTOR_WARNING,
			     "it reaches its hard limit of 64.0MiB in 1h0min at this rate; then its allocations fail",
			     "mtlsctl restart auth");
	p.view.verdict.seconds_to_limit = 3599;
	assert_int_equal(patient_expect(&p, "time-to-limit").severity, DOCTOR_BAD);
	p.view.verdict.seconds_to_limit = 0;
	assert_int_equal(patient_expect(&p, "time-to-limit").severity, DOCTOR_BAD);
	p.view.verdict.seconds_to_limit = DAY + 1;
	patient_expect_nothing(&p, "time-to-limit");
	p.view.verdict.seconds_to_limit = 60;
	p.view.verdict.outcome = VERDICT_OK;
	patient_expect_nothing(&p, "time-to-limit");
}

static void
test_limits(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	p.plugin.own.live_bytes = 48 * MIB;
	patient_expect_nothing(&p, "limit");
	p.plugin.own.live_bytes = 49 * MIB;
	finding = patient_expect(&p, "limit");
	patient_expect_words(&finding, DOCTOR_WARNING, "it holds 49.0MiB, more than its soft limit of 48.0MiB",
			     "mtlsctl evict auth");
	p.plugin.own.live_bytes = 58 * MIB;
	finding = patient_expect(&p, "limit");
	patient_expect_words(&finding, DOCTOR_BAD, "it holds 58.0MiB, 90 % of its hard limit of 64.0MiB",
			     "mtlsctl evict auth");
	p.plugin.soft_limit = p.plugin.hard_limit = 0;
	patient_expect_nothing(&p, "limit");
}

static void
test_refused_allocations(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	p.plugin.own.refused = 1;
	snprintf(p.refused_at, sizeof(p.refused_at), "grow (auth.c:99)");
	finding = patient_expect(&p, "refused");
	patient_expect_words(&finding, DOCTOR_BAD,
			     "1 allocation got NULL at its hard limit of 64.0MiB, the last one of grow (auth.c:99)",
			     "mtlsctl dump auth");
	p.plugin.own.refused = 12;
	p.refused_at[0] = '\0';
	finding = patient_expect(&p, "refused");
	assert_non_null(strstr(finding.sentence, "12 allocations got"));
	assert_non_null(strstr(finding.sentence, "a place without a name"));
}

static void
test_fragmentation(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	p.plugin.own.resident_bytes = 29 * MIB;
	patient_expect_nothing(&p, "fragmentation");
	p.plugin.own.resident_bytes = 30 * MIB;
	finding = patient_expect(&p, "fragmentation");
	patient_expect_words(&finding, DOCTOR_WARNING,
			     "its heap takes 30.0MiB of pages for 10.0MiB of live blocks (fragmentation)",
			     "mtlsctl evict auth");
	/* Small heaps are mostly rounding. */
	p.plugin.own.live_bytes = MIB;
	p.plugin.own.resident_bytes = 16 * MIB;
	patient_expect_nothing(&p, "fragmentation");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
