/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* central.h - the shared stock of one size class of one heap: spans with free blocks, handed out and taken back in
 * batches.
 *
 * Each thread's bins draw on one of a few *shards*, and a span belongs to a shard: what two threads are given does not
 * lie mixed in the same cache lines, neither the blocks nor their side words, which each malloc and free writes. Blocks
 * come back to the shard of their span, whoever frees them. A shard that runs short takes over a span of another one
 * before it opens a new one, but only where a span's worth of blocks lies idle: memory, not addresses, is what counts.
 *
 * A block is *out* from the moment the stock gives it to a thread's bin until it comes back, so what is live is what is
 * out less what lies in bins. Free lists are linked through the side words: nothing is ever written into a free block.
 *
 * Threads: any; the stock's lock guards its list and the second half of its spans. Owns: its spans.
 */
#include "run.h"

#include <pthread.h>
#include <stdint.h>

struct heap;

struct bin_entry {
	void *block;
	uint64_t *side;
};

enum {
	CENTRAL_SHARDS = 8,
};

struct central_shard {
	uint32_t partial; /* 1 + granule of the first of its spans with a free block */
	uint32_t idle;    /* blocks in those that were handed out and came back */
};

struct central {
	pthread_mutex_t lock;
	uint64_t out;        /* blocks; read without the lock by usage */
	uint64_t *idle_side; /* side tables of released spans, linked through their first word's place */
	struct central_shard shards[CENTRAL_SHARDS];
} __attribute__((aligned(64)));

void central_setup(struct central *central);
/* Up to `want` blocks into entries; returns how many, 0 when addresses or memory are used up. */
unsigned central_take(struct heap *heap, unsigned class, unsigned shard, struct bin_entry *entries, unsigned want);
void central_put(struct heap *heap, unsigned class, const struct bin_entry *entries, unsigned count);
/* Releases the spans kept although empty. */
void central_trim(struct heap *heap, unsigned class);
