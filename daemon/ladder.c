/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ladder.h"

#include "cleanup.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { TOP = SIGNALS_SCALES - 1 };

/* Axes that are counted by events stand between the two that are not. */
enum { EVENTS = SIGNALS_ERRORS };
static_assert(SIGNALS_REQUESTS == 0 && SIGNALS_SECONDS == SIGNALS_AXES - 1, "requests first, seconds last");

static struct ladder_step *
level_of(struct ladder *ladder, unsigned level)
{
	return level == 0 ? ladder->first : ladder->next[level - 1];
}

static unsigned
level_room(unsigned level)
{
	return level == 0 ? LADDER_FIRST : LADDER_NEXT;
}

/* --- blocks as steps --------------------------------------------------------------------------------------------- */

/* A count as 5 bits of exponent and 11 of its digits. */
enum { DIGITS = 11, MOST_EXPONENT = 31 };

static uint16_t
count_pack(double count)
{
	unsigned exponent = 0;

	if (!(count < 0x1p42))
		return UINT16_MAX;
	uint64_t digits = (uint64_t) (count + 0.5);
	if (digits >= 2U << DIGITS) {
		exponent = 63 - (unsigned) __builtin_clzll(digits) - DIGITS;
		digits = (digits + (UINT64_C(1) << exponent) / 2) >> exponent;
	}
	/* The first digit is a one but for exponents of nothing. */
	if (digits >> (DIGITS + 1)) {
		digits >>= 1;
		exponent++;
	}
	if (exponent == 0 && digits < 1U << DIGITS)
		return (uint16_t) digits;
	return exponent >= MOST_EXPONENT ? UINT16_MAX
					 : (uint16_t) ((exponent + 1) << DIGITS | (digits - (1U << DIGITS)));
}

static double
count_unpack(uint16_t packed)
{
	unsigned exponent = packed >> DIGITS, digits = packed & ((1U << DIGITS) - 1);

	return exponent == 0 ? digits : ldexp(digits + (1U << DIGITS), (int) exponent - 1);
}

double
ladder_served(const struct ladder_step *step, enum signals_axis axis)
{
	return axis == SIGNALS_REQUESTS  ? (double) step->requests
	       : axis == SIGNALS_SECONDS ? (double) step->time
					 : count_unpack(step->events[axis - EVENTS]);
}

static void
step_serve(struct ladder_step *step, enum signals_axis axis, double served)
{
	if (axis == SIGNALS_REQUESTS)
		step->requests = (float) served;
	else if (axis == SIGNALS_SECONDS)
		step->time = (float) served;
	else
		step->events[axis - EVENTS] = count_pack(served);
}

static struct ladder_step
step_between(const struct signals_block *before, const struct signals_block *block)
{
	struct ladder_step step = {
		.floor = (float) ((double) block->floor - (double) before->floor),
		.foreign = (float) block->foreign,
		.objects = (float) block->objects,
		.largest = (float) block->largest,
		.resident = (float) block->resident,
	};

	/* Below 2^53 both are exact as doubles, and so is their difference. */
	for (unsigned a = 0; a < SIGNALS_AXES; a++)
		step_serve(&step, (enum signals_axis) a,
			   (double) (block->exposure.count[a] - before->exposure.count[a]));
	return step;
}

static void
step_add(struct ladder_step *step, const struct ladder_step *more)
{
	for (unsigned a = 0; a < SIGNALS_AXES; a++)
		step_serve(step, (enum signals_axis) a,
			   ladder_served(step, (enum signals_axis) a) + ladder_served(more, (enum signals_axis) a));
	step->floor += more->floor;
}

/* The lower of two; of equals the later, by which more had been served for the same bytes. next: the block after both.
 */
static struct ladder_step
step_join(const struct ladder_step *earlier, const struct ladder_step *later, struct ladder_step *next)
{
	struct ladder_step lower = *earlier;

	if (later->floor <= 0) {
		lower = *later;
		step_add(&lower, earlier);
	} else {
		step_add(next, later);
		lower.resident = later->resident;
	}
	return lower;
}

unsigned
ladder_add(struct ladder *ladder, const struct signals_block *block)
{
	struct ladder_step step = step_between(ladder->closed > 0 ? &ladder->newest : block, block);

	ladder->closed++;
	ladder->newest = *block;
	for (unsigned level = 0; level < SIGNALS_SCALES; level++) {
		struct ladder_step *steps = level_of(ladder, level), joined = {0};
		unsigned leave = ladder->count[level] < level_room(level) ? 0 : level < TOP ? 2 : 1;
		if (leave == 2)
			joined = step_join(&steps[0], &steps[1], &steps[2]);
		ladder->count[level] = (uint8_t) (ladder->count[level] - leave);
		if (leave > 0)
			memmove(steps, steps + leave, ladder->count[level] * sizeof(*steps));
		steps[ladder->count[level]++] = step;
		if (leave != 2)
			return level + 1;
		step = joined;
	}
	return SIGNALS_SCALES;
}

const struct ladder_step *
ladder_last(const struct ladder *ladder, unsigned level)
{
	unsigned count = ladder->count[level];
	const struct ladder_step *steps = level == 0 ? ladder->first : ladder->next[level - 1];

	return count > 1 ? &steps[count - 1] : NULL;
}

/* --- steps as blocks --------------------------------------------------------------------------------------------- */

static uint64_t
whole(double value)
{
	return value >= 0x1p64 ? UINT64_MAX : value > 0 ? (uint64_t) value : 0;
}

static uint64_t
less(uint64_t value, double step)
{
	uint64_t by = whole(fabs(step)), sum = value + by;

	if (step < 0)
		return sum < value ? UINT64_MAX : sum;
	return value > by ? value - by : 0;
}

/* at: exposure and floor of this block; moves on to the one before. */
static struct signals_block
step_block(const struct ladder_step *step, struct signals_block *at)
{
	struct signals_block block = {
		.exposure = at->exposure,
		.floor = at->floor,
		.foreign = whole((double) step->foreign),
		.objects = whole((double) step->objects),
		.largest = whole((double) step->largest),
		.resident = whole((double) step->resident),
	};

	if (block.foreign > block.floor)
		block.foreign = block.floor;
	for (unsigned a = 0; a < SIGNALS_AXES; a++)
		at->exposure.count[a] = less(at->exposure.count[a], ladder_served(step, (enum signals_axis) a));
	at->floor = less(at->floor, (double) step->floor);
	return block;
}

/* As step_join, of blocks. */
static struct signals_block
block_join(const struct signals_block *earlier, const struct signals_block *later)
{
	struct signals_block lower = later->floor <= earlier->floor ? *later : *earlier;

	lower.resident = later->resident;
	return lower;
}

void
ladder_read(const struct ladder *ladder, struct signals_history *ret)
{
	struct signals_block view[LADDER_FIRST], at = ladder->newest;
	unsigned count = 0;

	/* From the newest back in time, which is from level to level upwards. */
	for (unsigned level = 0; level < SIGNALS_SCALES; level++) {
		const struct ladder_step *steps = level == 0 ? ladder->first : ladder->next[level - 1];
		struct signals_block below[LADDER_FIRST / 2] = {0};
		unsigned own = ladder->count[level], pairs = count / 2;
		for (unsigned i = 0; i < pairs; i++)
			below[i] = block_join(&view[2 * i], &view[2 * i + 1]);
		for (unsigned i = own; i-- > 0;)
			view[i] = step_block(&steps[i], &at);
		memcpy(view + own, below, pairs * sizeof(below[0]));
		count = own + pairs;
		ret->blocks[level] = ladder->closed >> level;
		ret->kept[level] = count < SIGNALS_BLOCKS ? count : SIGNALS_BLOCKS;
		memset(ret->block[level], 0, sizeof(ret->block[level]));
		memcpy(ret->block[level], view + count - ret->kept[level], ret->kept[level] * sizeof(view[0]));
	}
	/* Of the newest nothing was rounded. */
	if (ladder->closed > 0)
		ret->block[0][ret->kept[0] - 1] = ladder->newest;
}
