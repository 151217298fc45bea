/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "deadline.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t now;
static unsigned fired;
static uint64_t fired_at[4096];

static uint64_t
fake_clock(void)
{
	return now;
}

static void
expire(struct deadline *deadline)
{
	(void) deadline;
	fired_at[fired++] = now;
}

static struct deadline_wheel *
fresh_wheel(void)
{
	struct deadline_wheel *wheel = NULL;
	now = 7000003;
	fired = 0;
	assert_int_equal(deadline_wheel_new(fake_clock, &wheel), 0);
	return wheel;
}

static void
never_early_and_within_a_tick(void **state)
{
	(void) state;
	static const uint64_t delays[] = {1, 49999, 50000, 50001, 1000000, 51199999, 51200000, 51250001, 3600000000};
	for (size_t i = 0; i < sizeof(delays) / sizeof(*delays); i++) {
		struct deadline_wheel *wheel = fresh_wheel();
		struct deadline deadline;
		uint64_t at = now + delays[i];
		deadline_init(&deadline, expire);
		deadline_arm(wheel, &deadline, at);
		while (!fired && now < at + 200000) {
			now += 9973;
			deadline_wheel_turn(wheel);
		}
		assert_int_equal(fired, 1);
		assert_true(fired_at[0] >= at);
		assert_true(fired_at[0] <= at + 50000 + 9973);
		deadline_wheel_turn(wheel);
		assert_int_equal(fired, 1);
		deadline_wheel_free(&wheel);
	}
}

static void
a_cancelled_one_stays_silent_and_a_moved_one_fires_once(void **state)
{
	(void) state;
	struct deadline_wheel *wheel = fresh_wheel();
	struct deadline cancelled, moved;
	deadline_init(&cancelled, expire);
	deadline_init(&moved, expire);
	deadline_cancel(wheel, &cancelled); /* never armed: nothing to do */
	deadline_arm(wheel, &cancelled, now + 100000);
	deadline_arm(wheel, &moved, now + 100000);
	deadline_arm(wheel, &moved, now + 900000);
	deadline_cancel(wheel, &cancelled);
	now += 500000;
	deadline_wheel_turn(wheel);
	assert_int_equal(fired, 0);
	now += 500000;
	deadline_wheel_turn(wheel);
	assert_int_equal(fired, 1);
	deadline_wheel_free(&wheel);
}

static void
a_long_pause_misses_none(void **state)
{
	(void) state;
	struct deadline_wheel *wheel = fresh_wheel();
	enum { N = 3000 };
	struct deadline *deadlines = calloc(N, sizeof(*deadlines));
	for (unsigned i = 0; i < N; i++) {
		deadline_init(&deadlines[i], expire);
		deadline_arm(wheel, &deadlines[i], now + (uint64_t) i * 50000);
	}
	now += (uint64_t) (N + 1) * 50000;
	deadline_wheel_turn(wheel);
	assert_int_equal(fired, N);
	free(deadlines);
	deadline_wheel_free(&wheel);
}

static void
one_in_the_past_fires_at_the_next_turn(void **state)
{
	(void) state;
	struct deadline_wheel *wheel = fresh_wheel();
	struct deadline deadline;
	deadline_init(&deadline, expire);
	deadline_arm(wheel, &deadline, 1);
	now += 50000;
	deadline_wheel_turn(wheel);
	assert_int_equal(fired, 1);
	deadline_wheel_free(&wheel);
}

static struct deadline_wheel *rearm_wheel;

static void
expire_and_rearm(struct deadline *deadline)
{
	if (++fired < 3)
		deadline_arm(rearm_wheel, deadline, now + 100000);
	else
		deadline_cancel(rearm_wheel, deadline); /* from inside: returns at once */
}

static void
expire_may_arm_again(void **state)
{
	(void) state;
	rearm_wheel = fresh_wheel();
	struct deadline deadline;
	deadline_init(&deadline, expire_and_rearm);
	deadline_arm(rearm_wheel, &deadline, now + 100000);
	for (unsigned i = 0; i < 100; i++) {
		now += 50000;
		deadline_wheel_turn(rearm_wheel);
	}
	assert_int_equal(fired, 3);
	deadline_wheel_free(&rearm_wheel);
}

static sem_t entered, may_end;
static int ended;

static void
expire_slowly(struct deadline *deadline)
{
	(void) deadline;
	sem_post(&entered);
	sem_wait(&may_end);
	__atomic_store_n(&ended, 1, __ATOMIC_SEQ_CST);
}

struct cancel_job {
	struct deadline_wheel *wheel;
	struct deadline *deadline;
	sem_t started;
	int ended_before_return;
};

static void *
cancel_thread(void *arg)
{
	struct cancel_job *job = arg;
	sem_post(&job->started);
	deadline_cancel(job->wheel, job->deadline);
	job->ended_before_return = __atomic_load_n(&ended, __ATOMIC_SEQ_CST);
	return NULL;
}

static void
cancel_waits_for_a_running_expire(void **state)
{
	(void) state;
	struct deadline_wheel *wheel = NULL;
	struct deadline deadline;
	assert_int_equal(deadline_wheel_new(NULL, &wheel), 0);
	sem_init(&entered, 0, 0);
	sem_init(&may_end, 0, 0);
	ended = 0;
	deadline_init(&deadline, expire_slowly);
	deadline_arm(wheel, &deadline, deadline_now(wheel));
	sem_wait(&entered);
	struct cancel_job job = {.wheel = wheel, .deadline = &deadline};
	sem_init(&job.started, 0, 0);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, cancel_thread, &job), 0);
	sem_wait(&job.started);
	sem_post(&may_end);
	pthread_join(thread, NULL);
	assert_int_equal(job.ended_before_return, 1);
	deadline_wheel_free(&wheel);
	assert_null(wheel);
	deadline_wheel_free(&wheel);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_early_and_within_a_tick),
		cmocka_unit_test(a_cancelled_one_stays_silent_and_a_moved_one_fires_once),
		cmocka_unit_test(a_long_pause_misses_none),
		cmocka_unit_test(one_in_the_past_fires_at_the_next_turn),
		cmocka_unit_test(expire_may_arm_again),
		cmocka_unit_test(cancel_waits_for_a_running_expire),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
