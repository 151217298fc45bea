/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* ladder.h - the blocks of a recorder at every scale, in bounded memory: what one scale can tell of another is kept
 * once.
 *
 * Level 0 holds the last twelve blocks or thirteen. When it is full its two oldest are joined and go to level 1, whose
 * two oldest go to level 2 when it is full, and so on: in time, the levels stand one behind the other. The last twelve
 * blocks of scale j are the six or seven of level j and those that the levels below make when they are joined in
 * pairs; so they are the same blocks as if each scale had kept its own.
 *
 * The newest block is kept as it is, each other by how much the next one differs from it: in single precision, where
 * whole numbers are exact up to 16 million, and bytes in sixteens up to 256 MiB; what is counted by events in 16 bits,
 * exact up to 4,095 and to one in 8,000 beyond.
 *
 * Threads: one at a time. Owns: nothing; a plain value, all zero when empty.
 */
#include "signals.h"

enum {
	LADDER_FIRST = SIGNALS_BLOCKS + 1,    /* of level 0 */
	LADDER_NEXT = SIGNALS_BLOCKS / 2 + 1, /* of each other */
	LADDER_EVENTS = SIGNALS_AXES - 2,     /* axes but requests and seconds */
};

struct ladder_step {
	/* Since the block before, at the floors. */
	float requests, time; /* time in microseconds */
	uint16_t events[LADDER_EVENTS];
	float floor;                               /* what it rose by */
	float foreign, objects, largest, resident; /* as such */
};

struct ladder {
	uint64_t closed; /* blocks of scale 0 ever */
	struct signals_block newest;
	uint8_t count[SIGNALS_SCALES];
	struct ladder_step first[LADDER_FIRST]; /* level 0, oldest first */
	struct ladder_step next[SIGNALS_SCALES - 1][LADDER_NEXT];
};

/* Returns how many levels got a block, from level 0 on; ladder_last is what each of them got. */
unsigned ladder_add(struct ladder *ladder, const struct signals_block *block);
/* The newest block of a level, NULL if it is the only one it ever got: there is no step before it. */
const struct ladder_step *ladder_last(const struct ladder *ladder, unsigned level);
/* Exposure since the block before. */
double ladder_served(const struct ladder_step *step, enum signals_axis axis);
/* Fills in blocks, kept and block. */
void ladder_read(const struct ladder *ladder, struct signals_history *ret);
