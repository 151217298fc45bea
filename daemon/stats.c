/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stats.h"

#include "cleanup.h"

#include <errno.h>
#include <stdatomic.h>

enum { LINE = 64 };

struct stats {
	size_t stride; /* counters a stripe, rounded up to whole cache lines */
	_Atomic uint64_t *values;
};

unsigned
stats_stripe(void)
{
	static atomic_uint next;
	static _Thread_local unsigned mine;

	if (mine == 0)
		mine = 1 + atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % STATS_STRIPES;
	return mine - 1;
}

int
stats_new(size_t counters, struct stats **ret)
{
	struct stats *stats = calloc(1, sizeof(*stats));
	if (stats == NULL)
		return -ENOMEM;
	size_t bytes = (counters * sizeof(uint64_t) + LINE - 1) / LINE * LINE;
	stats->stride = bytes / sizeof(uint64_t);
	void *values;
	if (posix_memalign(&values, LINE, bytes * STATS_STRIPES) != 0) {
		free(stats);
		return -ENOMEM;
	}
	stats->values = values;
	for (size_t i = 0; i < stats->stride * STATS_STRIPES; i++)
		atomic_init(&stats->values[i], 0);
	*ret = stats;
	return 0;
}

void
stats_add(struct stats *stats, size_t counter, uint64_t add)
{
	/* Threads beyond the number of stripes share one, so this must be atomic; alone on its line it is cheap.
	 * Release, with the acquire of the sum: who counts its holders down to 0 may free what they have read. */
	atomic_fetch_add_explicit(&stats->values[stats_stripe() * stats->stride + counter], add, memory_order_release);
}

uint64_t
stats_sum(const struct stats *stats, size_t counter)
{
	uint64_t sum = 0;
	for (size_t stripe = 0; stripe < STATS_STRIPES; stripe++)
		sum += atomic_load_explicit(&stats->values[stripe * stats->stride + counter], memory_order_acquire);
	return sum;
}

void
stats_free(struct stats **stats)
{
	if (*stats == NULL)
		return;
	free((void *) (*stats)->values);
	free(*stats);
	*stats = NULL;
}
