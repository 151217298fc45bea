/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* moments.h - how floor and exposures of one scale vary together, over its last blocks: as sums, not as blocks.
 *
 * They tell which exposure explains the growth: where their paths bend, so must the floor's. Levels are compared, not
 * steps: what leaks adds up, while what comes and goes with a client or a connection does not.
 *
 * Two halves, so that a window slides without keeping what it holds: of the last 64 to 128 blocks.
 *
 * Single precision: where a millionth of the squares is left, it is rounding.
 *
 * Threads: one at a time. Owns: nothing; a plain value, all zero when empty.
 */
#include "ladder.h"

enum {
	MOMENTS_BLOCKS = 64, /* of a half */
	MOMENTS_PAIRS = SIGNALS_AXES * (SIGNALS_AXES + 1) / 2,
};

struct moments_half {
	uint32_t count;
	float x[SIGNALS_AXES], y; /* the newest level less the mean of all */
	float xx[MOMENTS_PAIRS], xy[SIGNALS_AXES], yy;
};

struct moments {
	float usual; /* size of the floor's steps, slowly following */
	struct moments_half past, now;
	float x[SIGNALS_AXES], y; /* the newest level less the last of the past half */
};

void moments_add(struct moments *moments, const struct ladder_step *step);
void moments_read(const struct moments *moments, struct signals_moments *ret);
