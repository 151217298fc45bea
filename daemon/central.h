/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* central.h - the shared stock of one size class of one heap: spans with free blocks, handed out and taken back in
 * batches.
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

struct central {
	pthread_mutex_t lock;
	uint32_t partial;    /* 1 + granule of the first span with a free block */
	uint64_t out;        /* blocks; read without the lock by usage */
	uint64_t *idle_side; /* side tables of released spans, linked through their first word's place */
} __attribute__((aligned(64)));

void central_setup(struct central *central);
/* Up to `want` blocks into entries; returns how many, 0 when addresses or memory are used up. */
unsigned central_take(struct heap *heap, unsigned class, struct bin_entry *entries, unsigned want);
void central_put(struct heap *heap, unsigned class, const struct bin_entry *entries, unsigned count);
/* Releases the spans kept although empty. */
void central_trim(struct heap *heap, unsigned class);
