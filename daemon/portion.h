/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* portion.h - divides a whole number by weights such that the parts add up to it exactly.
 *
 * Threads: any. Owns: nothing.
 */
#include <stdint.h>

struct portion {
	uint64_t total, weight; /* to be divided; sum of all weights that will be asked for */
	uint64_t asked, given;
};

/* The part of the next weight. With no weight at all, nothing is given. */
static inline uint64_t
portion_take(struct portion *portion, uint64_t weight)
{
	portion->asked += weight;
	if (portion->weight == 0)
		return 0;
	uint64_t until = (uint64_t) ((unsigned __int128) portion->total * portion->asked / portion->weight);
	uint64_t part = until - portion->given;
	portion->given = until;
	return part;
}
