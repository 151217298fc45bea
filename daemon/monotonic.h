/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* monotonic.h - points in time on CLOCK_MONOTONIC, in microseconds and as timed waits take them.
 *
 * Threads: any. Owns: nothing.
 */
#include <stdint.h>
#include <time.h>

static inline uint64_t
monotonic_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

/* So many microseconds from now. */
static inline struct timespec
monotonic_in(uint64_t microseconds)
{
	uint64_t at = monotonic_now() + microseconds;
	return (struct timespec){.tv_sec = (time_t) (at / 1000000), .tv_nsec = (long) (at % 1000000) * 1000};
}
