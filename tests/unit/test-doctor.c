/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every check made true, and the healthy case it must leave alone: service, settings, the daemon. */
#include "patient.h"

#include <stdio.h>
#include <string.h>

static void
test_the_healthy_have_nothing(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_daemon d = patient_sound();

	(void) state;
	patient_expect_nothing(&p, NULL);
	patient_expect_sound(&d);
	/* What was never judged is nothing yet. */
	p.view.verdict.outcome = VERDICT_WARMING;
	patient_expect_nothing(&p, NULL);
}

/* --- service --------------------------------------------------------------------------------------------- */

static void
test_states(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	p.plugin.state = SUPERVISOR_FAILED;
	p.plugin.instance = 0;
	snprintf(p.plugin.last_error, sizeof(p.plugin.last_error), "init said no");
	finding = patient_expect(&p, "failed");
	patient_expect_words(&finding, DOCTOR_BAD, "it does not serve: init said no", "mtlsctl restart auth");
	snprintf(p.view.next, sizeof(p.view.next), "a new try in 53s");
	finding = patient_expect(&p, "failed");
	assert_string_equal(finding.sentence, "it does not serve: init said no; next: a new try in 53s");
	p.plugin.last_error[0] = '\0';
	p.plugin.state = SUPERVISOR_DISABLED;
	finding = patient_expect(&p, "disabled");
	patient_expect_words(&finding, DOCTOR_NOTE, "it is disabled: its requests get 503", "mtlsctl enable auth");
	/* Without an instance there is nobody to have no hook, or to watch. */
	p.plugin.has_evict = p.watch = p.watched = false;
	patient_expect_nothing(&p, "no-evict-hook");
	patient_expect_nothing(&p, "not-watched");
}

static void
test_breaker(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	snprintf(p.view.breaker, sizeof(p.view.breaker), "open");
	finding = patient_expect(&p, "breaker");
	patient_expect_words(&finding, DOCTOR_BAD, "its breaker is open: requests get 503 without reaching it",
			     "mtlsctl show auth");
	snprintf(p.view.breaker, sizeof(p.view.breaker), "half-open");
	finding = patient_expect(&p, "breaker");
	assert_non_null(strstr(finding.sentence, "one request at a time"));
	snprintf(p.view.breaker, sizeof(p.view.breaker), "stopped");
	finding = patient_expect(&p, "breaker");
	assert_non_null(strstr(finding.sentence, "near its hard limit"));
	p.view.breaker[0] = '\0';
	patient_expect_nothing(&p, "breaker");
}

static void
test_bad_frees(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	p.plugin.faults = 3;
	snprintf(p.fault_at, sizeof(p.fault_at), "drop (auth.c:12)");
	finding = patient_expect(&p, "bad-frees");
	patient_expect_words(
		&finding, DOCTOR_BAD,
		"it freed 3 times what is no live block (not done, but a bug that corrupts memory elsewhere), the "
		"last time in drop (auth.c:12)",
		"mtlsctl show auth");
}

static void
test_zombies(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	p.plugin.zombies = 1;
	snprintf(p.plugin.last_error, sizeof(p.plugin.last_error), "instance 2 could not be ended: a thread lives");
	finding = patient_expect(&p, "zombies");
	patient_expect_words(
		&finding, DOCTOR_WARNING,
		"1 old instance could not be unloaded and keeps its memory: instance 2 could not be ended: a "
		"thread lives",
		"mtlsctl show auth");
	p.plugin.zombies = 2;
	p.plugin.last_error[0] = '\0';
	finding = patient_expect(&p, "zombies");
	assert_string_equal(finding.sentence, "2 old instances could not be unloaded and keep their memory: the reason "
					      "is in the journal");
}

static void
test_queues_and_deadlines(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	p.plugin.refused_full = 24;
	finding = patient_expect(&p, "queue");
	patient_expect_words(&finding, DOCTOR_WARNING, "24 requests of 1024 got 503 because its queue was full",
			     "mtlsctl show auth");
	p.plugin.deadline_missed = 2;
	finding = patient_expect(&p, "deadline");
	patient_expect_words(&finding, DOCTOR_WARNING, "2 of 1000 requests missed its deadline and got 504",
			     "mtlsctl show auth");
}

static void
test_nonces(void **state)
{
	struct doctor_plugin p = patient_healthy();
	struct doctor_finding finding;

	(void) state;
	p.nonces = (struct nonces_report){.open = true, .settings.capacity = 1000, .room = 2048, .remembered = 1000};
	patient_expect_nothing(&p, "nonces");
	p.nonces.remembered = 1001;
	finding = patient_expect(&p, "nonces");
	patient_expect_words(
		&finding, DOCTOR_WARNING,
		"it remembers 1001 nonces, more than nonces.capacity, which is 1000; raise it before requests are "
		"refused",
		"mtlsctl show auth");
	p.nonces.full = 1;
	finding = patient_expect(&p, "nonces");
	patient_expect_words(
		&finding, DOCTOR_BAD,
		"1 signed request was refused because there was no room for the nonce; raise nonces.capacity, which "
		"is 1000",
		"mtlsctl show auth");
	p.nonces.unwritten = 2;
	finding = patient_expect(&p, "nonces");
	patient_expect_words(
		&finding, DOCTOR_BAD,
		"2 signed requests were refused because the nonce could not be written down; is the disk of "
		"daemon.nonce_directory full?",
		"mtlsctl show auth");
}

static void
test_settings(void **state)
{
	struct doctor_plugin p = patient_healthy();

	(void) state;
	p.plugin.has_evict = false;
	assert_int_equal(patient_expect(&p, "no-evict-hook").severity, DOCTOR_NOTE);
	/* One reason is enough. */
	p.probe_allowed = false;
	patient_expect_nothing(&p, "no-probe");
	p.plugin.has_evict = true;
	assert_int_equal(patient_expect(&p, "no-probe").severity, DOCTOR_NOTE);
	p = patient_healthy();
	/* Too young to be known is not unwatched. */
	p.watched = false;
	patient_expect_nothing(&p, NULL);
	p.watch = false;
	assert_int_equal(patient_expect(&p, "not-watched").severity, DOCTOR_NOTE);
}

/* --- the daemon ------------------------------------------------------------------------------------------ */

static void
test_what_ends_soon(void **state)
{
	struct doctor_daemon d = patient_sound();
	struct doctor_finding finding;

	(void) state;
	d.expiry_count = 1;
	d.expiries[0] = (struct doctor_expiry){
		.set = "main", .what = "certificate", .name = "CN=here", .until = d.now + 7 * DAY};
	finding = patient_expect_daemon(&d, "expiry");
	patient_expect_words(&finding, DOCTOR_WARNING, "tls main: its certificate (CN=here) expires in 7d0h",
			     "mtlsctl tls");
	d.expiries[0].until--;
	assert_int_equal(patient_expect_daemon(&d, "expiry").severity, DOCTOR_BAD);
	d.expiry_count = 2;
	d.expiries[1] = (struct doctor_expiry){.set = "other", .what = "client_crl", .until = d.now};
	finding = patient_expect_daemon(&d, "expiry");
	patient_expect_words(&finding, DOCTOR_BAD, "tls other: its revocation list has expired; 1 more ends soon",
			     "mtlsctl tls");
	d.expiry_count = 3;
	d.expiries[2] = (struct doctor_expiry){.set = "third", .what = "something new", .until = 1};
	finding = patient_expect_daemon(&d, "expiry");
	patient_expect_words(&finding, DOCTOR_BAD, "tls third: its something new has expired; 2 more end soon",
			     "mtlsctl tls");
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
		struct doctor_daemon d = patient_sound();

		d.http_library = rows[i].version;
		if (rows[i].old)
			assert_int_equal(patient_expect_daemon(&d, "http-library").severity, DOCTOR_NOTE);
		else
			patient_expect_sound(&d);
	}
}

static void
test_the_rest_of_the_daemon(void **state)
{
	struct doctor_daemon d = patient_sound();
	struct doctor_finding finding;

	(void) state;
	d.heap_layer = false;
	assert_int_equal(patient_expect_daemon(&d, "heap-layer").severity, DOCTOR_WARNING);
	d = patient_sound();
	d.credentials = true;
	finding = patient_expect_daemon(&d, "credentials");
	assert_string_equal(finding.next, "systemctl restart mtlsd");
	d = patient_sound();
	d.hard_limits = d.machine_bytes;
	patient_expect_sound(&d);
	d.hard_limits++;
	assert_int_equal(patient_expect_daemon(&d, "limits-sum").severity, DOCTOR_NOTE);
	d.machine_bytes = 0;
	patient_expect_sound(&d);
}

/* --- the table ------------------------------------------------------------------------------------------- */

static void
test_the_worst_comes_first(void **state)
{
	struct doctor_finding findings[3 * DOCTOR_FINDINGS];
	struct doctor_plugin leaky = patient_healthy(), odd = patient_healthy();
	struct doctor_daemon d = patient_sound();
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
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_healthy_have_nothing),
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

	return cmocka_run_group_tests(tests, NULL, NULL);
}
