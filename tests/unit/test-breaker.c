/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "breaker.h"
#include "cleanup.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { SECOND = 1000000 };

static const struct breaker_settings settings = {.failures = 3, .open = 10 * SECOND, .max_open = 60 * SECOND};

static struct breaker *
fresh(void)
{
	struct breaker *breaker = NULL;

	assert_int_equal(breaker_new(&breaker), 0);
	breaker_set(breaker, &settings);
	return breaker;
}

static enum breaker_state
state_at(struct breaker *breaker, uint64_t now)
{
	struct breaker_view view;

	breaker_view(breaker, now, &view);
	return view.state;
}

static void
fail_times(struct breaker *breaker, uint64_t now, int times)
{
	for (int i = 0; i < times; i++)
		breaker_ended(breaker, now, false, BREAKER_BAD);
}

/* The trial there has to be, with its end. */
static void
try(struct breaker *breaker, uint64_t now, enum breaker_outcome outcome)
{
	bool trial = false;
	uint64_t wait;

	assert_true(breaker_admit(breaker, now, &trial, &wait));
	assert_true(trial);
	breaker_ended(breaker, now, true, outcome);
}

static void
test_failures_in_a_row_open_it(void **state UNUSED)
{
	struct breaker *breaker = fresh();
	uint64_t wait = 0;
	bool trial;

	fail_times(breaker, 0, 2);
	breaker_ended(breaker, 0, false, BREAKER_GOOD); /* in a row, not in all */
	fail_times(breaker, 0, 2);
	breaker_ended(breaker, 0, false, BREAKER_UNKNOWN); /* neither */
	assert_true(breaker_is_closed(breaker));
	fail_times(breaker, 5 * SECOND, 1);
	assert_false(breaker_is_closed(breaker));
	assert_int_equal(state_at(breaker, 5 * SECOND), BREAKER_OPEN);
	assert_false(breaker_admit(breaker, 6 * SECOND, &trial, &wait));
	assert_int_equal(wait, 9 * SECOND);
	breaker_free(&breaker);
	assert_null(breaker);
}

static void
test_zero_failures_never_open_it(void **state UNUSED)
{
	struct breaker *breaker = fresh();

	breaker_set(breaker, &(struct breaker_settings){.failures = 0, .open = SECOND, .max_open = SECOND});
	fail_times(breaker, 0, 10000);
	assert_true(breaker_is_closed(breaker));
	breaker_free(&breaker);
}

static void
test_half_open_admits_one_and_a_good_one_closes_it(void **state UNUSED)
{
	struct breaker *breaker = fresh();
	bool trial = false, other;
	uint64_t wait = 0;

	fail_times(breaker, 0, 3);
	assert_int_equal(state_at(breaker, 10 * SECOND), BREAKER_HALF_OPEN);
	assert_true(breaker_admit(breaker, 10 * SECOND, &trial, &wait));
	assert_true(trial);
	assert_false(breaker_admit(breaker, 11 * SECOND, &other, &wait));
	assert_int_equal(wait, SECOND);
	/* The ends of requests from before it opened say nothing. */
	breaker_ended(breaker, 11 * SECOND, false, BREAKER_GOOD);
	assert_int_equal(state_at(breaker, 11 * SECOND), BREAKER_HALF_OPEN);
	breaker_ended(breaker, 12 * SECOND, true, BREAKER_GOOD);
	assert_int_equal(state_at(breaker, 12 * SECOND), BREAKER_CLOSED);
	assert_true(breaker_admit(breaker, 12 * SECOND, &trial, &wait));
	assert_false(trial);
	breaker_free(&breaker);
}

static void
test_a_bad_trial_doubles_the_time(void **state UNUSED)
{
	static const uint64_t opens[] = {20, 40, 60, 60};
	struct breaker *breaker = fresh();
	uint64_t now = 10 * SECOND;
	struct breaker_view view;

	fail_times(breaker, 0, 3);
	for (size_t i = 0; i < ARRAY_LENGTH(opens); i++) {
		try(breaker, now, BREAKER_BAD);
		assert_int_equal(state_at(breaker, now), BREAKER_OPEN);
		breaker_view(breaker, now, &view);
		assert_int_equal(view.until - now, opens[i] * SECOND);
		now = view.until;
	}
	breaker_view(breaker, now, &view);
	assert_int_equal(view.trials, 4);
	assert_int_equal(view.opened, 1);
	breaker_free(&breaker);
}

static void
test_a_trial_that_says_nothing_is_repeated(void **state UNUSED)
{
	struct breaker *breaker = fresh();

	fail_times(breaker, 0, 3);
	try(breaker, 10 * SECOND, BREAKER_UNKNOWN);
	try(breaker, 10 * SECOND, BREAKER_GOOD);
	assert_int_equal(state_at(breaker, 10 * SECOND), BREAKER_CLOSED);
	breaker_free(&breaker);
}

static void
test_a_relapse_waits_longer_a_new_failure_does_not(void **state UNUSED)
{
	struct breaker *breaker = fresh();
	struct breaker_view view;

	fail_times(breaker, 0, 3);
	try(breaker, 10 * SECOND, BREAKER_GOOD);
	fail_times(breaker, 20 * SECOND, 3);
	breaker_view(breaker, 20 * SECOND, &view);
	assert_int_equal(view.until, 40 * SECOND);
	try(breaker, 40 * SECOND, BREAKER_GOOD);
	fail_times(breaker, 200 * SECOND, 3);
	breaker_view(breaker, 200 * SECOND, &view);
	assert_int_equal(view.until, 210 * SECOND);
	assert_int_equal(view.opened, 3);
	assert_int_equal(view.closed, 2);
	breaker_free(&breaker);
}

static void
test_held_it_stays_open_whatever_trials_say(void **state UNUSED)
{
	struct breaker *breaker = fresh();

	breaker_hold(breaker, 0);
	breaker_hold(breaker, SECOND); /* told each second */
	try(breaker, 10 * SECOND, BREAKER_GOOD);
	assert_int_equal(state_at(breaker, 10 * SECOND), BREAKER_OPEN);
	try(breaker, 20 * SECOND, BREAKER_GOOD);
	assert_false(breaker_is_closed(breaker));
	breaker_let(breaker);
	assert_true(breaker_is_closed(breaker));
	breaker_let(breaker);
	/* Being let go is no proof of health, nor is the next opening a relapse. */
	struct breaker_view view;
	breaker_trip(breaker, 21 * SECOND);
	breaker_view(breaker, 21 * SECOND, &view);
	assert_int_equal(view.until, 31 * SECOND);
	assert_false(view.held);
	breaker_free(&breaker);
}

static void
test_stopped_admits_nothing_and_goes_back(void **state UNUSED)
{
	struct breaker *breaker = fresh();
	uint64_t wait = 0;
	bool trial = false;

	breaker_stop(breaker, true);
	assert_false(breaker_is_closed(breaker));
	assert_int_equal(state_at(breaker, 1000 * SECOND), BREAKER_STOPPED);
	assert_false(breaker_admit(breaker, 1000 * SECOND, &trial, &wait));
	assert_int_equal(wait, SECOND);
	breaker_stop(breaker, false);
	assert_true(breaker_is_closed(breaker));
	fail_times(breaker, 0, 3);
	breaker_stop(breaker, true);
	breaker_stop(breaker, false);
	assert_int_equal(state_at(breaker, 0), BREAKER_OPEN);
	breaker_free(&breaker);
}

/* A trial of an earlier time ends after the breaker was let go and opened anew. */
static void
test_an_old_trial_does_not_close_a_new_opening(void **state UNUSED)
{
	struct breaker *breaker = fresh();
	bool trial = false;
	uint64_t wait;

	breaker_trip(breaker, 0);
	assert_true(breaker_admit(breaker, 10 * SECOND, &trial, &wait));
	breaker_let(breaker);
	breaker_trip(breaker, 20 * SECOND);
	breaker_ended(breaker, 21 * SECOND, true, BREAKER_GOOD);
	assert_int_equal(state_at(breaker, 21 * SECOND), BREAKER_OPEN);
	breaker_free(&breaker);
}

struct crowd {
	struct breaker *breaker;
	int admitted;
};

static void *
push(void *arg)
{
	struct crowd *crowd = arg;
	uint64_t wait;
	bool trial;

	for (int i = 0; i < 1000; i++)
		crowd->admitted += breaker_admit(crowd->breaker, 10 * SECOND, &trial, &wait);
	return NULL;
}

static void
test_a_crowd_gets_one_trial(void **state UNUSED)
{
	struct breaker *breaker = fresh();
	struct crowd crowds[4] = {{breaker, 0}, {breaker, 0}, {breaker, 0}, {breaker, 0}};
	pthread_t threads[4];
	int admitted = 0;

	breaker_trip(breaker, 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, push, &crowds[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		admitted += crowds[i].admitted;
	}
	assert_int_equal(admitted, 1);
	breaker_free(&breaker);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failures_in_a_row_open_it),
		cmocka_unit_test(test_zero_failures_never_open_it),
		cmocka_unit_test(test_half_open_admits_one_and_a_good_one_closes_it),
		cmocka_unit_test(test_a_bad_trial_doubles_the_time),
		cmocka_unit_test(test_a_trial_that_says_nothing_is_repeated),
		cmocka_unit_test(test_a_relapse_waits_longer_a_new_failure_does_not),
		cmocka_unit_test(test_held_it_stays_open_whatever_trials_say),
		cmocka_unit_test(test_stopped_admits_nothing_and_goes_back),
		cmocka_unit_test(test_an_old_trial_does_not_close_a_new_opening),
		cmocka_unit_test(test_a_crowd_gets_one_trial),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
