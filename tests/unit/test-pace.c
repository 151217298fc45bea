/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The clocks and both ways to give way are the test's own. */
#include "pace.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

/* Microseconds: the time, what this thread has worked of it and what the others have. */
static uint64_t now, own, others;
static unsigned sleeps, yields;

int
clock_gettime(clockid_t clock, struct timespec *ret)
{
	uint64_t at = clock == CLOCK_PROCESS_CPUTIME_ID ? own + others : clock == CLOCK_THREAD_CPUTIME_ID ? own : now;

	*ret = (struct timespec){.tv_sec = (time_t) (at / 1000000), .tv_nsec = (long) (at % 1000000) * 1000};
	return 0;
}

int
nanosleep(const struct timespec *asked, struct timespec *left) /* measured, not slept */
{
	(void) left;
	now += (uint64_t) asked->tv_sec * 1000000 + (uint64_t) asked->tv_nsec / 1000;
	sleeps++;
	return 0;
}

int
sched_yield(void)
{
	yields++;
	return 0;
}

/* This thread works until it gives way, microsecond by microsecond. Returns how long that was. */
static unsigned
work(void)
{
	unsigned before = sleeps + yields, worked = 0;

	while (sleeps + yields == before && worked < 1000) {
		now++;
		own++;
		worked++;
		pace();
	}
	return worked;
}

static void
test_whoever_has_not_begun_never_gives_way(void **state)
{
	(void) state;
	assert_int_equal(work(), 1000);
	assert_int_equal(sleeps + yields, 0);
}

static void
test_gives_way_to_others_in_short_turns(void **state)
{
	(void) state;
	now = own = others = 1000000;
	pace_begin();
	for (unsigned turn = 0; turn < 100; turn++) {
		uint64_t began = now;
		unsigned worked = work();
		others += 50;
		assert_in_range(worked, 1, 50);
		assert_in_range(now - began, 40 * worked, UINT32_MAX); /* most of the time it sleeps */
	}
	assert_int_equal(sleeps, 100);
	assert_int_equal(yields, 0);
}

/* A walk that is long takes more of a core, and still little. */
static void
test_a_long_walk_sleeps_shorter(void **state)
{
	(void) state;
	pace_begin();
	uint64_t first = now, last = 0;
	for (unsigned turn = 0; turn < 1000; turn++) {
		uint64_t began = now;
		unsigned worked = work();
		others += 50;
		last = now - began;
		assert_in_range(last, 40 * worked, UINT32_MAX);
		if (turn == 0)
			first = last;
	}
	assert_in_range(last, first / 8, first / 2);
}

static void
test_goes_on_where_nobody_else_works(void **state)
{
	(void) state;
	now += 10000000;
	pace_begin();
	sleeps = yields = 0;
	for (unsigned turn = 0; turn < 1000; turn++)
		(void) work();
	/* It has looked for a moment, and yields ever since. */
	assert_in_range(sleeps, 1, 5);
	assert_int_equal(sleeps + yields, 1000);
	/* One request, and it sleeps again, though nothing follows for a moment. */
	others += 50;
	sleeps = yields = 0;
	(void) work();
	(void) work();
	assert_int_equal(sleeps, 2);
	assert_int_equal(yields, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whoever_has_not_begun_never_gives_way),
		cmocka_unit_test(test_gives_way_to_others_in_short_turns),
		cmocka_unit_test(test_a_long_walk_sleeps_shorter),
		cmocka_unit_test(test_goes_on_where_nobody_else_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
