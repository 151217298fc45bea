/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* run.h - a heap's slot in runs of 64 KiB granules: taken best fit, coalesced when freed, given back to the kernel by
 * age.
 *
 * Every granule has one `struct span`. A run in use is described by its first granule's entry (a span of small blocks
 * or one large block); a free run by the entries of its first and last granule. Pages stay with the heap when a run is
 * freed (retained) until run_purge finds them old enough; they go with madvise, which splits no mapping.
 *
 * Threads: any; the pool's lock guards free runs and page counts. Owns: the pages of the slot.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	RUN_GRANULE = 65536,
	RUN_SHIFT = 16,
	RUN_PAGE = 4096,
	RUN_PAGES = RUN_GRANULE / RUN_PAGE,
	RUN_LISTS = 128,
};

/* One granule. The first half is what malloc and free read; the second belongs to a lock. A walk without locks reads
 * `sequence` (odd: in use), then the first half and the side words, then `sequence` again. */
struct span {
	uint64_t *side; /* one word a block; for a large block &word */
	uint32_t magic;
	uint16_t size;
	uint16_t bin; /* where its class's bin lies in a bin_set, bytes; 0: not a span of small blocks */
	uint8_t class;
	uint8_t shard; /* whose blocks these are (central's lock) */
	bool edge;     /* first or last granule of a free run (pool's lock) */
	uint32_t sequence;
	uint32_t granules;       /* the run's length; also in the last entry of a free run */
	uint16_t used;           /* blocks handed out (central's lock) */
	uint16_t fresh;          /* blocks ever handed out (central's lock) */
	uint16_t free_head;      /* 1 + index of the first free block (central's lock) */
	uint8_t dirty;           /* pages of this granule the heap holds (pool's lock) */
	bool zeroed;             /* the kernel's zeroes are still there (set by run_take in the first entry) */
	uint32_t next, previous; /* 1 + granule: central's list of spans, or the pool's list of free runs */
	uint32_t freed_at;       /* pool's clock when this granule became free (pool's lock) */
	uint64_t bytes;          /* of a large block */
	uint64_t word;           /* side word of a large block */
};

struct run_pool {
	pthread_mutex_t lock;
	uintptr_t base;
	struct span *spans;
	uint32_t limit, top, committed; /* granules: of the slot, ever used, readable */
	uint32_t list[RUN_LISTS];       /* 1 + granule of the first run; 0: empty */
	uint64_t bitmap[RUN_LISTS / 64];
	uint64_t resident_pages, retained_pages;
	uint32_t clock; /* seconds, moved by run_purge */
};

void run_setup(struct run_pool *pool, uintptr_t base, struct span *spans, uint64_t bytes);
/* A run of so many granules, its first one a multiple of `align` granules from the slot's start. touched: pages of it
 * that will be used, counted as resident. 1 + granule, or 0 when addresses or memory are used up. */
uint32_t run_take(struct run_pool *pool, uint32_t granules, uint32_t align, uint64_t touched);
void run_give(struct run_pool *pool, uint32_t granule, uint32_t granules);
/* Lengthens a run in place into the free run behind it. False: there is none long enough. */
bool run_extend(struct run_pool *pool, uint32_t granule, uint32_t granules, uint32_t wanted, uint64_t touched);
/* Says that the first `pages` pages of a run in use have been touched. */
void run_touch(struct run_pool *pool, uint32_t granule, uint64_t pages);
/* Gives back the pages past `pages` of a run in use. */
void run_drop_tail(struct run_pool *pool, uint32_t granule, uint32_t granules, uint64_t pages);
/* Moves the clock to `now` and gives back what has been free for `age` seconds; returns bytes. */
uint64_t run_purge(struct run_pool *pool, uint32_t now, uint32_t age);
