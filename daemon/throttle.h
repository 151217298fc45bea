/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* throttle.h - so many a second and no more, for what strangers or plugins can provoke without end.
 *
 * Two threads in the first instant of a second may let one more through: it bounds, it does not count.
 *
 * Threads: any, without waiting. Owns: nothing; a plain value, all zero at first.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct throttle {
	atomic_uint_fast64_t second, count;
};

/* True while this second has room for another. */
static inline bool
throttle_admit(struct throttle *throttle, unsigned a_second)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	uint64_t second = (uint64_t) now.tv_sec;
	if (atomic_exchange(&throttle->second, second) != second)
		atomic_store(&throttle->count, 0);
	return atomic_fetch_add(&throttle->count, 1) < a_second;
}
