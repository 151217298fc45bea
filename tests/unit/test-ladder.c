/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ladder against what it stands for: every scale with a ring of its own. */
#include "cleanup.h"
#include "ladder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct rings {
	uint64_t blocks[SIGNALS_SCALES];
	struct signals_block block[SIGNALS_SCALES][SIGNALS_BLOCKS];
};

static struct ladder ladder;
static struct rings rings;
static struct signals_history history;
static uint64_t random_state;

static int
setup(void **state)
{
	(void) state;
	memset(&ladder, 0, sizeof(ladder));
	memset(&rings, 0, sizeof(rings));
	random_state = 42;
	return 0;
}

static uint64_t
any_number(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

static void
rings_add(struct signals_block block)
{
	for (unsigned scale = 0; scale < SIGNALS_SCALES; scale++) {
		uint64_t number = rings.blocks[scale]++;
		struct signals_block *ring = rings.block[scale], *before = &ring[(number - 1) % SIGNALS_BLOCKS];
		ring[number % SIGNALS_BLOCKS] = block;
		if (number % 2 == 0)
			return;
		uint64_t resident = block.resident;
		block = block.floor <= before->floor ? block : *before;
		block.resident = resident;
	}
}

static void
add(const struct signals_block *block)
{
	(void) ladder_add(&ladder, block);
	rings_add(*block);
}

/* tolerance: share of the newest value that rounding may have taken; 0: none. */
static void
check(double tolerance)
{
	ladder_read(&ladder, &history);
	const uint64_t *newest = (const uint64_t *) &ladder.newest;
	for (unsigned scale = 0; scale < SIGNALS_SCALES; scale++) {
		uint64_t blocks = rings.blocks[scale];
		unsigned kept = blocks < SIGNALS_BLOCKS ? (unsigned) blocks : SIGNALS_BLOCKS;
		assert_int_equal(history.blocks[scale], blocks);
		assert_int_equal(history.kept[scale], kept);
		for (unsigned i = 0; i < kept; i++) {
			const struct signals_block *is = &history.block[scale][i],
						   *was = &rings.block[scale][(blocks - kept + i) % SIGNALS_BLOCKS];
			for (unsigned a = 0; a < SIGNALS_AXES; a++)
				assert_in_range(fabs((double) is->exposure.count[a] - (double) was->exposure.count[a]),
						0, tolerance * (double) newest[a]);
			/* Bytes in sixteens, and few enough. */
			assert_memory_equal(&is->floor, &was->floor,
					    sizeof(*is) - offsetof(struct signals_block, floor));
		}
	}
}

/* Each count up to `most` a block. */
static void
live(uint64_t blocks, uint64_t most, uint64_t each, double tolerance)
{
	struct signals_block block = {.floor = 1 << 20};

	for (uint64_t n = 0; n < blocks; n++) {
		for (unsigned a = 0; a < SIGNALS_AXES; a++)
			block.exposure.count[a] += any_number(most);
		/* A few levels, so that floors are often equal; or many. */
		block.floor = (1 << 20) + (n % 100 < 50 ? 65536 * any_number(3) : 16 * any_number(1 << 16));
		block.foreign = block.floor - 16 * any_number(block.floor / 16 + 1);
		block.objects = any_number(1 << 20);
		block.largest = 4096 * any_number(1 << 10);
		block.resident = 4096 * any_number(1 << 12);
		add(&block);
		if (n % each == 0)
			check(tolerance);
	}
	check(tolerance);
}

static void
each_scale_has_its_last_twelve_blocks(void **state)
{
	(void) state;
	/* Few enough events that none of the sums is rounded. */
	live(1000, 3, 1, 0);
}

static void
what_is_rounded_is_rounded_little(void **state)
{
	(void) state;
	live(3000, 1000000, 7, 1e-3);
}

static void
months_fit(void **state)
{
	struct signals_block block = {.floor = 5000000, .resident = 1 << 20};
	(void) state;
	/* Seventy days in seconds. */
	for (uint64_t second = 0; second < 70 * 86400; second++) {
		block.exposure.count[SIGNALS_SECONDS] += 1000000;
		block.exposure.count[SIGNALS_REQUESTS] += 3;
		block.exposure.count[SIGNALS_ERRORS] += second % 5 == 0;
		block.floor += 16;
		add(&block);
	}
	check(1e-3);
	const struct signals_block *oldest = &history.block[SIGNALS_SCALES - 1][0];
	assert_in_range(block.exposure.count[SIGNALS_SECONDS] - oldest->exposure.count[SIGNALS_SECONDS],
			UINT64_C(60) * 86400 * 1000000, UINT64_C(70) * 86400 * 1000000);
	assert_true(sizeof(ladder) < 6 * 1024);
}

static void
extremes_stay_within_reach(void **state)
{
	struct signals_block block = {0};
	(void) state;
	for (unsigned n = 0; n < 2000; n++) {
		memset(&block, n % 2 ? 0xff : 0, sizeof(block));
		memset(&block.exposure, n > 1 ? 0xff : 0, sizeof(block.exposure));
		(void) ladder_add(&ladder, &block);
	}
	ladder_read(&ladder, &history);
	assert_int_equal(history.block[0][SIGNALS_BLOCKS - 1].floor, UINT64_MAX);
	assert_int_equal(history.block[0][SIGNALS_BLOCKS - 2].floor, 0);
	for (unsigned scale = 0; scale < SIGNALS_SCALES; scale++)
		for (unsigned i = 0; i < history.kept[scale]; i++)
			assert_true(history.block[scale][i].foreign <= history.block[scale][i].floor);
}

static void
the_first_block_of_a_level_has_no_step(void **state)
{
	struct signals_block block = {.floor = 100};
	(void) state;
	assert_int_equal(ladder_add(&ladder, &block), 1);
	assert_null(ladder_last(&ladder, 0));
	block.floor = 70;
	block.exposure.count[SIGNALS_ERRORS] = 5000;
	assert_int_equal(ladder_add(&ladder, &block), 1);
	assert_non_null(ladder_last(&ladder, 0));
	assert_true(ladder_last(&ladder, 0)->floor == -30);
	assert_float_equal(ladder_served(ladder_last(&ladder, 0), SIGNALS_ERRORS), 5000, 1);
	for (unsigned n = 2; n < LADDER_FIRST; n++)
		assert_int_equal(ladder_add(&ladder, &block), 1);
	assert_int_equal(ladder_add(&ladder, &block), 2);
	assert_null(ladder_last(&ladder, 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_scale_has_its_last_twelve_blocks, setup),
		cmocka_unit_test_setup(what_is_rounded_is_rounded_little, setup),
		cmocka_unit_test_setup(months_fit, setup),
		cmocka_unit_test_setup(extremes_stay_within_reach, setup),
		cmocka_unit_test_setup(the_first_block_of_a_level_has_no_step, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
