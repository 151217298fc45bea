/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* heap-internal.h - what a heap is made of; for the heap layer's own files only.
 *
 * Threads: see each part. Owns: nothing.
 */
#include "bin.h"
#include "central.h"
#include "class.h"
#include "heap.h"
#include "meta.h"
#include "run.h"
#include "sample.h"
#include "site.h"

enum {
	HEAP_NAME_BYTES = 64,
};

struct heap {
	char name[HEAP_NAME_BYTES];
	unsigned slot;
	bool refuses;
	uintptr_t base;
	struct span *spans;
	uint32_t *clock; /* the plugin's request clock: own_clock, or the foreign heap's */
	uint32_t own_clock;

	/* Bytes given to bins and large blocks; moved once a batch. The limit is checked against it. */
	uint64_t out_bytes __attribute__((aligned(64)));
	uint64_t soft, hard, reserve;
	uint64_t peak_bytes,
		peak_next; /* the highest exact count; out_bytes from which on it is worth counting again */
	uint64_t refused, faults;
	uintptr_t refused_site;
	uint64_t large_objects;

	pthread_mutex_t sets_lock; /* guards sets and the retired counts */
	struct bin_set *sets;      /* of all threads, in use or idle */
	struct bin_counts retired; /* of threads that have ended, and of those that have no bins any more */

	struct sample_table samples;
	struct site_table sites;
	struct meta meta;
	struct run_pool runs;
	struct central central[CLASS_COUNT + 1];
};

/* Opens and closes a span for walks without locks: what lies between two equal odd sequences belongs together. */
static inline void
span_open(struct span *span, uint8_t class, uint32_t size, uint32_t magic, uint16_t bin, uint64_t *side)
{
	__atomic_store_n(&span->side, side, __ATOMIC_RELAXED);
	__atomic_store_n(&span->magic, magic, __ATOMIC_RELAXED);
	__atomic_store_n(&span->size, (uint16_t) size, __ATOMIC_RELAXED);
	__atomic_store_n(&span->bin, bin, __ATOMIC_RELAXED);
	__atomic_store_n(&span->class, class, __ATOMIC_RELAXED);
	__atomic_store_n(&span->sequence, span->sequence + 1, __ATOMIC_RELEASE);
}

static inline void
span_close(struct span *span)
{
	/* Release on the later stores keeps them behind the sequence, which is what a walk checks last. */
	__atomic_store_n(&span->sequence, span->sequence + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&span->class, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&span->bin, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&span->magic, 0, __ATOMIC_RELAXED);
}

/* Accounts for bytes about to leave the stock. False: the hard limit says no. */
bool heap_charge(struct heap *heap, uint64_t bytes);
void heap_uncharge(struct heap *heap, uint64_t bytes);
/* Counts a refusal and sets errno. Always NULL. */
void *heap_refuse(struct heap *heap, uintptr_t site);
/* The exact live count: what is out less what lies in bins. */
uint64_t heap_live_bytes(const struct heap *heap);
/* The heap in a slot, NULL if there is none now. */
struct heap *heap_in_slot(unsigned slot);
/* The heap of that generation, kept from being destroyed until heap_drop_hold; NULL (and no hold): it is gone. */
struct heap *heap_hold(unsigned slot, uint64_t generation);
void heap_drop_hold(void);
/* Around fork: all locks of all heaps, so that the child finds none taken by a thread it does not have. */
void heap_fork_prepare(void);
void heap_fork_done(void);
/* Reports a bad pointer whose slot is known; sets nothing right. */
void heap_fault(unsigned slot, enum heap_fault_kind kind, const void *block, uintptr_t site);
