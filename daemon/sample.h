/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* sample.h - whole call stacks of a few live blocks of a heap: one about every so many allocated bytes.
 *
 * The side words know each block's caller exactly; a wrapper around malloc hides who called it. A sampled block carries
 * SIDE_SAMPLED and stands for as many bytes as lie between two samples (or its own, if they are more).
 *
 * Threads: any. Owns: its tables, in daemon memory, bounded.
 */
#include "heap.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sample_stack;
struct sample_block;
struct sample_memo;

struct sample_table {
	pthread_mutex_t lock;         /* guards all but the interval */
	uint64_t interval;            /* bytes between samples, on average; 0: none are taken */
	struct sample_stack **stacks; /* open hash */
	struct sample_block *blocks;  /* open hash by address */
	struct sample_memo *memos;    /* stacks that came last, by site */
	unsigned stacks_used, blocks_used;
};

/* Loads what backtrace needs, which allocates: once, early, outside of any plugin. */
void sample_setup(void);
void sample_init(struct sample_table *table, uint64_t interval);
void sample_clear(struct sample_table *table);
/* Blocks of that size, or bytes of blocks of different sizes, until one is sampled. The first is 1 .. 65,535, also when
 * none are: sample_record knows. */
uint64_t sample_next(const struct sample_table *table, uint32_t size, const void *salt);
int64_t sample_next_bytes(const struct sample_table *table, const void *salt);
/* Records the calling thread's stack from `site` upwards for a new block. False: no samples are taken, or no room. */
bool sample_record(struct sample_table *table, const void *block, uint64_t bytes, uintptr_t site);
/* A sampled block goes. */
void sample_forget(struct sample_table *table, const void *block);
/* Every stack ever sampled, most live bytes first. */
int sample_collect(struct sample_table *table, struct heap_stack_usage **ret, size_t *ret_count);
