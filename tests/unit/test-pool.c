/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "pool.h"
#include "stats.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>

#include <cmocka.h>

struct task {
	struct pool_job job;
	pthread_mutex_t *lock;
	pthread_cond_t *change;
	bool *open;
	int *order, number;
	int *ran;
};

static void
run(struct pool_job *job)
{
	struct task *task = CONTAINER_OF(job, struct task, job);

	pthread_mutex_lock(task->lock);
	task->order[(*task->ran)++] = task->number;
	pthread_cond_broadcast(task->change);
	while (!*task->open)
		pthread_cond_wait(task->change, task->lock);
	pthread_mutex_unlock(task->lock);
}

static void
test_places_are_bounded_and_order_is_kept(void **state UNUSED)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t change = PTHREAD_COND_INITIALIZER;
	bool open = false;
	int order[8] = {0}, ran = 0;
	struct task tasks[4];
	struct pool *pool = NULL;

	assert_int_equal(pool_new("test", 1, 2, &pool), 0);
	for (int i = 0; i < 4; i++)
		tasks[i] = (struct task){{.work = run}, &lock, &change, &open, order, i, &ran};
	for (int i = 0; i < 3; i++) {
		assert_true(pool_reserve(pool)); /* one thread and two places */
		pool_push_reserved(pool, &tasks[i].job);
	}
	assert_false(pool_reserve(pool));
	pool_push(pool, &tasks[3].job); /* what must run is never refused */
	pthread_mutex_lock(&lock);
	while (ran == 0)
		pthread_cond_wait(&change, &lock);
	pthread_mutex_unlock(&lock);
	assert_int_equal(pool_queued(pool), 3);
	assert_false(pool_reserve(pool));
	pthread_mutex_lock(&lock);
	open = true;
	pthread_cond_broadcast(&change);
	pthread_mutex_unlock(&lock);
	pool_free(&pool); /* works off the rest */
	assert_null(pool);
	assert_int_equal(ran, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(order[i], i);
}

static void
count_up(struct pool_job *job UNUSED)
{
}

static void
test_a_place_is_free_again_after_its_job(void **state UNUSED)
{
	struct pool *pool = NULL;
	struct pool_job job = {.work = count_up};

	assert_int_equal(pool_new("test", 1, 0, &pool), 0);
	for (int i = 0; i < 1000; i++) {
		while (!pool_reserve(pool)) /* the one place, until the job before has ended */
			;
		pool_push_reserved(pool, &job);
	}
	pool_free(&pool);
	pool_free(&pool);
}

enum { ADDERS = 24, ADDS = 10000 };

static void *
add_many(void *arg)
{
	for (int i = 0; i < ADDS; i++) {
		stats_add(arg, 0, 1);
		stats_add(arg, 9, 2);
		stats_add(arg, 5, i % 2 == 0 ? 1 : UINT64_MAX);
	}
	return NULL;
}

static void
test_counters_sum_over_threads(void **state UNUSED)
{
	struct stats *stats = NULL;
	pthread_t threads[ADDERS]; /* more than stripes */

	assert_int_equal(stats_new(10, &stats), 0);
	for (size_t i = 0; i < ADDERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, stats), 0);
	for (size_t i = 0; i < ADDERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(stats_sum(stats, 0), ADDERS * ADDS);
	assert_int_equal(stats_sum(stats, 9), 2 * ADDERS * ADDS);
	assert_int_equal(stats_sum(stats, 5), 0); /* a gauge that came back to nothing */
	assert_int_equal(stats_sum(stats, 1), 0);
	stats_free(&stats);
	stats_free(&stats);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places_are_bounded_and_order_is_kept),
		cmocka_unit_test(test_a_place_is_free_again_after_its_job),
		cmocka_unit_test(test_counters_sum_over_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
