/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exposures: what is counted, and how far the count of distinct clients is off. */
#include "exposure.h"

#include "cleanup.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct exposure *exposure;

static int
set_up(void **state UNUSED)
{
	return exposure_new(&exposure);
}

static int
tear_down(void **state UNUSED)
{
	exposure_release(&exposure);
	return 0;
}

static uint64_t
counted(enum signals_axis axis)
{
	struct signals_sample sample = {0};

	exposure_read(exposure, &sample);
	return sample.exposure.count[axis];
}

/* A fingerprint as good as SHA-256's: splitmix64 of a number. */
static void
meet(uint64_t client)
{
	char certificate[17];
	uint64_t x = client * 0x9e3779b97f4a7c15ULL + 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	(void) snprintf(certificate, sizeof(certificate), "%016llx", (unsigned long long) (x ^ x >> 31));
	exposure_open(exposure, certificate, false);
	exposure_close(exposure);
}

static void
test_nothing_is_counted_before_anything_happened(void **state UNUSED)
{
	struct signals_sample sample = {.inflight = 3, .live_bytes = 9};

	exposure_read(exposure, &sample);
	for (int axis = SIGNALS_ERRORS; axis <= SIGNALS_CLIENTS; axis++)
		assert_int_equal(sample.exposure.count[axis], 0);
	assert_int_equal(sample.open_connections, 0);
	assert_int_equal(sample.inflight, 3); /* not its business */
	assert_int_equal(sample.live_bytes, 9);
}

static void
test_a_known_client_counts_once(void **state UNUSED)
{
	struct signals_sample sample = {0};

	exposure_open(exposure, "ffff0000", false);
	exposure_open(exposure, "ffff0000", true);
	exposure_open(exposure, "fffe0000", true);
	exposure_fail(exposure);
	exposure_close(exposure);
	exposure_read(exposure, &sample);
	assert_int_equal(sample.exposure.count[SIGNALS_ERRORS], 1);
	assert_int_equal(sample.exposure.count[SIGNALS_HANDSHAKES], 1);
	assert_int_equal(sample.exposure.count[SIGNALS_CONNECTIONS], 3);
	assert_int_equal(sample.exposure.count[SIGNALS_CLIENTS], 2);
	assert_int_equal(sample.open_connections, 2);
}

/* Four standard errors, and the clients are always the same ones. */
static void
test_many_clients_are_counted_well_enough(void **state UNUSED)
{
	static const struct {
		uint64_t clients, error;
	} rows[] = {{10, 0}, {1000, 12}, {65536, 870}, {330000, 12500}};
	uint64_t met = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		while (met < rows[i].clients)
			meet(met++);
		uint64_t count = counted(SIGNALS_CLIENTS);
		assert_in_range(count, met - rows[i].error, met + rows[i].error);
		for (uint64_t again = 0; again < met; again += 7)
			meet(again);
		assert_int_equal(counted(SIGNALS_CLIENTS), count);
	}
}

static void
test_the_count_ends_when_the_table_is_full(void **state UNUSED)
{
	char certificate[8];

	for (unsigned i = 0; i < 65536; i++) {
		(void) snprintf(certificate, sizeof(certificate), "%04x", i);
		exposure_open(exposure, certificate, false);
	}
	assert_in_range(counted(SIGNALS_CLIENTS), 764000, 765000);
	meet(1);
	assert_in_range(counted(SIGNALS_CLIENTS), 764000, 765000);
}

static void *
meet_many(void *first)
{
	for (uint64_t i = 0; i < 20000; i++) {
		meet(*(uint64_t *) first + i);
		exposure_fail(exposure);
	}
	return NULL;
}

static void
test_threads_count_together(void **state UNUSED)
{
	pthread_t threads[4];
	uint64_t firsts[4];

	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
		firsts[i] = i * 10000; /* half of each one's clients are its neighbour's too */
		assert_int_equal(pthread_create(&threads[i], NULL, meet_many, &firsts[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(counted(SIGNALS_ERRORS), 80000);
	assert_int_equal(counted(SIGNALS_CONNECTIONS), 80000);
	assert_in_range(counted(SIGNALS_CLIENTS), 49300, 50700);
}

static void
test_connections_may_outlive_the_instance(void **state UNUSED)
{
	struct exposure *held = exposure_hold(exposure);

	exposure_open(held, "0000", false);
	assert_false(exposure_has_ended(held));
	exposure_end(exposure);
	exposure_release(&exposure);
	assert_null(exposure);
	assert_true(exposure_has_ended(held));
	exposure_close(held);
	exposure_release(&held);
	exposure_release(&held); /* nothing is nothing */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_is_counted_before_anything_happened, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_known_client_counts_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_clients_are_counted_well_enough, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_count_ends_when_the_table_is_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_threads_count_together, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_connections_may_outlive_the_instance, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
