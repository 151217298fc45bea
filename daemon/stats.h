/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* stats.h - sets of counters that many threads add to and few read.
 *
 * Each thread adds to its own stripe, so no cache line is shared on the way of a request; a read sums the stripes.
 *
 * Threads: any. Owns: its stripes.
 */
#include <stddef.h>
#include <stdint.h>

/* Stripes of everything that is striped by thread: a power of two, a few times the cores of usual machines. */
enum { STATS_STRIPES = 16 };

struct stats;

/* The calling thread's stripe, given out in turn at first use. */
unsigned stats_stripe(void);

int stats_new(size_t counters, struct stats **ret);
void stats_add(struct stats *stats, size_t counter, uint64_t add);
/* Sums up; exact once the adding threads are at rest. Gauges use wrapping: add 1, later add -1. */
uint64_t stats_sum(const struct stats *stats, size_t counter);
void stats_free(struct stats **stats);
