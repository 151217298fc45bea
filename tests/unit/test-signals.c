/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "moments.h"
#include "signals.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const double ROUNDED = 2e-6; /* share: single precision */

static struct signals *signals;
static struct signals_history history;

static int
setup(void **state)
{
	(void) state;
	return signals_new(1000, &signals);
}

static int
teardown(void **state)
{
	(void) state;
	signals_free(&signals);
	assert_null(signals);
	return 0;
}

static bool
sample_at(uint64_t now, uint64_t requests, uint64_t live)
{
	struct signals_sample sample = {.exposure.count[SIGNALS_REQUESTS] = requests, .live_bytes = live};

	return signals_sample(signals, now, &sample);
}

static void
a_block_keeps_its_floor_and_what_was_served_by_then(void **state)
{
	(void) state;
	assert_false(sample_at(1000, 0, 500));
	assert_false(sample_at(1010, 48, 300));
	assert_false(sample_at(1020, 96, 900));
	assert_true(sample_at(1030, 144, 400));
	signals_history(signals, &history);
	assert_int_equal(history.blocks[0], 1);
	assert_int_equal(history.kept[0], 1);
	assert_int_equal(history.block[0][0].floor, 300);
	assert_int_equal(history.block[0][0].exposure.count[SIGNALS_REQUESTS], 48);
	assert_int_equal(history.block[0][0].exposure.count[SIGNALS_SECONDS], 10);
	assert_int_equal(history.last.live_bytes, 400);
}

static void
foreign_bytes_count_with_the_own(void **state)
{
	struct signals_sample sample = {
		.live_bytes = 10, .foreign_bytes = 20, .live_objects = 3, .largest_bytes = 7, .resident_bytes = 99};
	(void) state;
	assert_false(signals_sample(signals, 1000, &sample));
	sample.foreign_bytes = 5;
	sample.live_bytes = 15;
	sample.resident_bytes = 77;
	sample.exposure.count[SIGNALS_REQUESTS] = 128;
	assert_true(signals_sample(signals, 1000, &sample));
	signals_history(signals, &history);
	assert_int_equal(history.block[0][0].floor, 20);
	assert_int_equal(history.block[0][0].foreign, 5);
	assert_int_equal(history.block[0][0].objects, 3);
	assert_int_equal(history.block[0][0].largest, 7);
	assert_int_equal(history.block[0][0].resident, 77);
}

static void
a_second_closes_a_block_without_requests(void **state)
{
	(void) state;
	assert_false(sample_at(1000, 0, 1));
	assert_false(sample_at(1000999, 0, 1));
	assert_true(sample_at(1001000, 0, 1));
	for (unsigned i = 0; i < 100; i++)
		(void) sample_at(2000000 + i * 1000000, 0, 1);
	signals_history(signals, &history);
	/* A block begins where the one before ended. But for the first, each has one sample. */
	assert_int_equal(history.blocks[0], 100);
	assert_int_equal(signals_blocks(signals), 100);
}

/* Closes block after block of 128 requests with these floors. */
static void
blocks_of(uint64_t count, uint64_t (*floor)(uint64_t number))
{
	for (uint64_t n = 0; n < count; n++) {
		(void) sample_at(1000 + n, n * 129, floor(n));
		assert_true(sample_at(1000 + n, n * 129 + 128, floor(n) + 1000));
	}
}

static uint64_t
number_itself(uint64_t number)
{
	return number;
}

static uint64_t
number_down(uint64_t number)
{
	return 1000000 - number;
}

static void
the_ladder_merges_pairs_into_the_lower(void **state)
{
	(void) state;
	blocks_of(100, number_itself);
	signals_history(signals, &history);
	for (unsigned scale = 0; scale < SIGNALS_SCALES; scale++) {
		uint64_t blocks = 100 >> scale;
		assert_int_equal(history.blocks[scale], blocks);
		assert_int_equal(history.kept[scale], blocks < SIGNALS_BLOCKS ? blocks : SIGNALS_BLOCKS);
		for (unsigned i = 0; i < history.kept[scale]; i++) {
			uint64_t number = blocks - history.kept[scale] + i;
			/* Rising floors: the first of those it was merged from. */
			assert_int_equal(history.block[scale][i].floor, number << scale);
			assert_int_equal(history.block[scale][i].exposure.count[SIGNALS_REQUESTS],
					 (number << scale) * 129);
		}
	}
}

static void
of_sinking_floors_the_last_is_kept(void **state)
{
	(void) state;
	blocks_of(64, number_down);
	signals_history(signals, &history);
	for (unsigned scale = 0; scale <= 6; scale++) {
		unsigned last = history.kept[scale] - 1;
		assert_int_equal(history.block[scale][last].floor, 1000000 - 63);
	}
}

static void
a_restart_forgets_blocks_and_keeps_exposures(void **state)
{
	(void) state;
	blocks_of(40, number_itself);
	signals_restart(signals, 5000);
	signals_history(signals, &history);
	assert_int_equal(history.began, 5000);
	assert_int_equal(history.before.count[SIGNALS_REQUESTS], 39 * 129 + 128);
	assert_int_equal(history.before.count[SIGNALS_SECONDS], 4000);
	for (unsigned scale = 0; scale < SIGNALS_SCALES; scale++)
		assert_int_equal(history.kept[scale], 0);
	assert_int_equal(history.moments[0].count, 0);
	/* An increment across the restart would be none of the plugin's. */
	assert_false(sample_at(5000, 6000, 1 << 20));
	assert_true(sample_at(5000, 6128, 1 << 20));
	signals_history(signals, &history);
	assert_int_equal(history.moments[0].count, 0);
}

static void
clocks_and_counters_that_go_back_stand_still(void **state)
{
	(void) state;
	assert_false(sample_at(500000, 100, 1));
	assert_false(sample_at(2000, 90, 1));
	signals_history(signals, &history);
	assert_int_equal(history.last.exposure.count[SIGNALS_REQUESTS], 100);
	assert_int_equal(history.last.exposure.count[SIGNALS_SECONDS], 499000);
	assert_false(sample_at(3000, 100, 1));
	signals_history(signals, &history);
	assert_int_equal(history.last.exposure.count[SIGNALS_SECONDS], 500000);
	/* A jump ahead is one block, however long. */
	assert_true(sample_at(UINT64_MAX, 100, 1));
	signals_history(signals, &history);
	assert_int_equal(history.blocks[0], 1);
}

static void
extremes_are_kept_as_they_are(void **state)
{
	struct signals_sample sample = {.live_bytes = UINT64_MAX, .foreign_bytes = UINT64_MAX};
	(void) state;
	memset(&sample.exposure, 0xff, sizeof(sample.exposure));
	(void) signals_sample(signals, 1000, &sample);
	(void) signals_sample(signals, UINT64_MAX, &sample);
	memset(&sample, 0, sizeof(sample));
	for (unsigned i = 0; i < 10; i++)
		(void) signals_sample(signals, UINT64_MAX, &sample);
	signals_history(signals, &history);
	assert_int_equal(history.block[0][0].floor, UINT64_MAX);
	assert_int_equal(history.last.exposure.count[SIGNALS_REQUESTS], UINT64_MAX);
}

static void
moments_are_of_the_levels_and_leave_out_collapses(void **state)
{
	struct signals_sample sample = {0};
	(void) state;
	for (unsigned n = 0; n < 9; n++) {
		sample.exposure.count[SIGNALS_REQUESTS] = n * 128 + 64;
		sample.exposure.count[SIGNALS_ERRORS] += n;
		sample.live_bytes = n == 5 ? 0 : 100000 + n * 2000;
		sample.live_bytes -= n > 5 ? 100000 : 0;
		uint64_t now = 1000 + (uint64_t) n * 2000000;
		assert_false(signals_sample(signals, now, &sample));
		struct signals_sample later = sample;
		later.live_bytes += 5000;
		later.exposure.count[SIGNALS_REQUESTS] = (n + 1) * 128;
		assert_true(signals_sample(signals, now + 1500000, &later));
	}
	signals_history(signals, &history);
	/* Levels after the first block: seven steps up by 2000, but for the fifth, which sank by 110,000 and is cut
	 * out, and the sixth, which came back by 12,000. */
	const double errors[] = {1, 3, 6, 10, 16, 23, 31}, bytes[] = {2000, 4000, 6000, 8000, 20000, 22000, 24000};
	double mean_x = 0, mean_y = 0, xx = 0, xy = 0, yy = 0, rx = 0;
	for (unsigned i = 0; i < 7; i++) {
		mean_x += errors[i] / 7;
		mean_y += bytes[i] / 7;
	}
	for (unsigned i = 0; i < 7; i++) {
		xx += (errors[i] - mean_x) * (errors[i] - mean_x);
		xy += (errors[i] - mean_x) * (bytes[i] - mean_y);
		yy += (bytes[i] - mean_y) * (bytes[i] - mean_y);
		rx += (i - 3.0) * 128 * (errors[i] - mean_x);
	}
	const struct signals_moments *moments = &history.moments[0];
	assert_int_equal(moments->count, 7);
	assert_float_equal(moments->xx[SIGNALS_ERRORS][SIGNALS_ERRORS], xx, ROUNDED * xx);
	assert_float_equal(moments->xx[SIGNALS_REQUESTS][SIGNALS_REQUESTS], 28.0 * 128 * 128, ROUNDED * 28 * 128 * 128);
	assert_float_equal(moments->xx[SIGNALS_REQUESTS][SIGNALS_ERRORS], rx, ROUNDED * rx);
	assert_float_equal(moments->xx[SIGNALS_SECONDS][SIGNALS_SECONDS], 28.0 * 4, ROUNDED * 28 * 4);
	assert_float_equal(moments->xy[SIGNALS_ERRORS], xy, ROUNDED * xy);
	assert_float_equal(moments->yy, yy, ROUNDED * yy);
}

static void
moments_slide(void **state)
{
	(void) state;
	blocks_of(1000, number_itself);
	signals_history(signals, &history);
	for (unsigned scale = 0; scale < SIGNALS_MOMENT_SCALES; scale++) {
		/* A block reaches the higher scales when it has left those below. */
		uint64_t came = 1000 >> scale, waits = scale > 0 ? SIGNALS_BLOCKS : 0,
			 least = came > waits ? came - waits - 1 : 0, half = MOMENTS_BLOCKS;
		if (scale % SIGNALS_MOMENT_EVERY != 0) {
			assert_int_equal(history.moments[scale].count, 0);
			continue;
		}
		assert_in_range(history.moments[scale].count, half < least ? half : least,
				2 * half < came ? 2 * half : came);
		/* A straight line: n (n^2 - 1) / 12 steps squared, across the halves. */
		double n = (double) history.moments[scale].count, step = (double) (UINT64_C(1) << scale);
		double squares = n * (n * n - 1) / 12 * step * step;
		assert_float_equal(history.moments[scale].yy, squares, ROUNDED * squares);
		assert_float_equal(history.moments[scale].xy[SIGNALS_REQUESTS], 129 * squares, 129 * ROUNDED * squares);
		assert_float_equal(history.moments[scale].xx[SIGNALS_REQUESTS][SIGNALS_REQUESTS], 129 * 129 * squares,
				   129 * 129 * ROUNDED * squares);
	}
}

static void
a_copy_goes_its_own_way(void **state)
{
	static struct signals_history copied;
	struct signals *copy;
	(void) state;
	blocks_of(300, number_itself);
	assert_int_equal(signals_copy(signals, &copy), 0);
	signals_history(signals, &history);
	signals_history(copy, &copied);
	assert_memory_equal(&history, &copied, sizeof(history));
	signals_restart(signals, 5000);
	signals_history(copy, &copied);
	assert_memory_equal(&history, &copied, sizeof(history));
	signals_free(&copy);
}

static void
a_watch_finds_the_lowest_since_it_began(void **state)
{
	struct signals_watch watch;
	struct signals_sample last;
	(void) state;
	(void) sample_at(1000, 1, 5);
	signals_watch(signals);
	signals_watched(signals, &watch);
	assert_int_equal(watch.samples, 0);
	(void) sample_at(1001, 2, 900);
	(void) sample_at(1002, 3, 700);
	(void) sample_at(1003, 4, 800);
	signals_watched(signals, &watch);
	assert_int_equal(watch.samples, 3);
	assert_int_equal(watch.floor.live_bytes, 700);
	assert_int_equal(watch.floor.exposure.count[SIGNALS_REQUESTS], 3);
	signals_last(signals, &last);
	assert_int_equal(last.live_bytes, 800);
}

static void *
sample_many(void *arg)
{
	for (uint64_t i = 0; i < 20000; i++)
		(void) sample_at(1000 + i, i * 48, 1000 + *(unsigned *) arg);
	return NULL;
}

static void
threads_never_wait_and_never_tear(void **state)
{
	pthread_t threads[3];
	unsigned numbers[3] = {1, 2, 3};
	(void) state;
	for (unsigned i = 0; i < ARRAY_LENGTH(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sample_many, &numbers[i]), 0);
	for (unsigned i = 0; i < 200; i++) {
		signals_history(signals, &history);
		for (unsigned b = 1; b < history.kept[0]; b++) {
			assert_in_range(history.block[0][b].floor, 1001, 1003);
			assert_true(history.block[0][b].exposure.count[SIGNALS_REQUESTS] >=
				    history.block[0][b - 1].exposure.count[SIGNALS_REQUESTS]);
		}
	}
	for (unsigned i = 0; i < ARRAY_LENGTH(threads); i++)
		pthread_join(threads[i], NULL);
	signals_history(signals, &history);
	assert_in_range(history.blocks[0], 1, 20000 * 48 / 128);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_block_keeps_its_floor_and_what_was_served_by_then, setup, teardown),
		cmocka_unit_test_setup_teardown(foreign_bytes_count_with_the_own, setup, teardown),
		cmocka_unit_test_setup_teardown(a_second_closes_a_block_without_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(the_ladder_merges_pairs_into_the_lower, setup, teardown),
		cmocka_unit_test_setup_teardown(of_sinking_floors_the_last_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(a_restart_forgets_blocks_and_keeps_exposures, setup, teardown),
		cmocka_unit_test_setup_teardown(clocks_and_counters_that_go_back_stand_still, setup, teardown),
		cmocka_unit_test_setup_teardown(extremes_are_kept_as_they_are, setup, teardown),
		cmocka_unit_test_setup_teardown(moments_are_of_the_levels_and_leave_out_collapses, setup, teardown),
		cmocka_unit_test_setup_teardown(moments_slide, setup, teardown),
		cmocka_unit_test_setup_teardown(a_copy_goes_its_own_way, setup, teardown),
		cmocka_unit_test_setup_teardown(a_watch_finds_the_lowest_since_it_began, setup, teardown),
		cmocka_unit_test_setup_teardown(threads_never_wait_and_never_tear, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
