/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* heap.h - one supervised heap: an address range of its own, exact counts, a limit, a destroy in one stroke.
 *
 * Every heap lies in its own slot of one reserved range, so the owner of a pointer is arithmetic. Metadata (spans, side
 * tables) lies outside the slot. Each live block's side-table entry names its site (call address) and its birth epoch.
 * Bytes are class bytes: what a block costs, not what was asked for.
 *
 * Threads: any, for all calls but heap_free. Owns: a heap owns its slot until heap_free, which quarantines it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap;

struct heap_limits {
	uint64_t soft; /* bytes; above it the supervisor evicts; 0: none */
	uint64_t hard; /* bytes; above it allocations fail with ENOMEM (own heaps; foreign heaps count, never refuse);
			  0: none. Asked when a bin is refilled and counting live bytes only: threads at work may
			  pass it by what they had lying free in their bins */
};

struct heap_usage {
	uint64_t live_bytes, live_objects; /* exact: handed out and not freed, arenas included */
	uint64_t arena_bytes;              /* the part of live_bytes that lies in request arenas */
	uint64_t peak_bytes;               /* highest live_bytes seen at a refill or sample */
	uint64_t resident_bytes;           /* pages the heap holds from the kernel (spans in use and retained) */
	uint64_t retained_bytes;           /* the part of resident_bytes in free spans, not yet given back */
	uint64_t side_bytes;               /* side tables and span metadata, outside the limit */
	uint64_t allocated_bytes, allocated_objects; /* cumulative */
	uint64_t refused;                            /* allocations refused at the hard limit */
	uintptr_t refused_site;                      /* call address of the last refusal, 0: none */
	uint64_t faults;                             /* double, interior and foreign frees detected */
	uint32_t epoch;                              /* the request clock */
};

/* Reserves the address range for at most `heaps` heaps of `slot_bytes` each (a power of two). Called once, before any
 * heap_new; 0 for a default fit for the machine. -ENOMEM names RLIMIT_AS as the likely cause in the caller's message.
 */
int heap_reserve(unsigned heaps, uint64_t slot_bytes);

/* name: "plugin#7" or "plugin/foreign", copied (at most 63 bytes). refuses: false for foreign heaps. */
int heap_new(const char *name, const struct heap_limits *limits, bool refuses, struct heap **ret);
void heap_set_limits(struct heap *heap, const struct heap_limits *limits);
const char *heap_name(const struct heap *heap);
void heap_usage(const struct heap *heap, struct heap_usage *ret);
/* The part of heap_usage that moves with every request, without a lock: some 150 ns for each thread that uses the heap.
 */
struct heap_live {
	uint64_t bytes, objects, arena_bytes;
};
void heap_live(const struct heap *heap, struct heap_live *ret);
/* Bytes of the largest live block among those that have pages of their own; 0: there is none. A look at every 64 KiB of
 * the heap, without a lock. */
uint64_t heap_largest(const struct heap *heap);
/* Core dumps leave out what lies in it, from now on. */
int heap_hide(struct heap *heap);
/* Gives the free pages back to the kernel at once; returns how many bytes went. */
uint64_t heap_trim(struct heap *heap);
/* Gives back, in all heaps, what has been free for `age` seconds; now: any clock in seconds that moves on. Called about
 * once a second by the main loop. Returns bytes. */
uint64_t heap_decay(uint32_t now, uint32_t age);
/* The heap whose slot holds p, NULL for memory that is not ours. */
struct heap *heap_of(const void *p);
/* Never for a foreign heap that has served: libraries, the dynamic linker first of all, keep what they made in it.
 * Destroys the heap: every block dies, pages go back, later access to the range faults and later frees are reported.
 * No thread may allocate in it any more. Clears *heap; accepts NULL. */
void heap_free(struct heap **heap);

/* What was detected instead of corrupting memory. */
enum heap_fault_kind {
	HEAP_FAULT_DOUBLE_FREE,   /* freed twice */
	HEAP_FAULT_INTERIOR_FREE, /* not the start of a block */
	HEAP_FAULT_FOREIGN_FREE,  /* never allocated, or of a span not in use */
	HEAP_FAULT_STALE_FREE,    /* block of a destroyed heap */
};
struct heap_fault {
	enum heap_fault_kind kind;
	const char *heap;  /* name of the heap the pointer belongs to, or belonged to */
	const void *block; /* the pointer given */
	uintptr_t site;    /* who called free */
};
/* handler runs on the faulting thread, in daemon memory, possibly inside a plugin's call: it must be short.
 * The bad call itself is ignored. */
void heap_on_fault(void (*handler)(const struct heap_fault *, void *ctx), void *ctx);

/* One group of live blocks: same site, same scope, same heap. */
struct heap_site_usage {
	uintptr_t site; /* return address of the allocating call; for arenas the caller of mtlsd_alloc's plugin code */
	bool arena;
	uint64_t bytes, objects;
	uint32_t first_epoch, last_epoch;        /* births of the oldest and youngest block */
	uint64_t age_bytes[32], age_objects[32]; /* by log2 of age, as below */
};
struct heap_profile {
	uint32_t epoch; /* now */
	size_t count;
	struct heap_site_usage *sites; /* most bytes first */
	uint64_t age_bytes[32];        /* live bytes by log2 of age in epochs: [0] age 0, [k] age in [2^(k-1), 2^k) */
};
/* Walks the live blocks without stopping anybody and without a lock an allocation takes. A block that is not touched
 * during the walk is counted exactly once. One that realloc moves meanwhile is, as for everybody else, a block that is
 * freed and another that is made: the walk may meet both, either or neither, so that it is off by at most one block for
 * each such move; and by as much as a block in the free and malloc of others. *ret is freed with
 * heap_profile_free (daemon memory). min_age: only blocks at least that many epochs old. */
int heap_profile_take(const struct heap *heap, uint32_t min_age, struct heap_profile **ret);
void heap_profile_free(struct heap_profile **profile);

/* One call stack of live blocks, from samples: exact in its frames, an estimate in its numbers. */
enum {
	HEAP_STACK_FRAMES = 32,
};
struct heap_stack_usage {
	uint64_t bytes, objects;
	uint64_t allocated_bytes, allocated_objects; /* the same of all blocks since the heap was made, live or not */
	unsigned depth;
	uintptr_t frames[HEAP_STACK_FRAMES]; /* return addresses, the allocating call's (a site) first */
};
/* A sample about every `interval` bytes allocated (2 MiB if never set); 0: none. Threads follow at their
 * next refill.
 */
void heap_set_sampling(struct heap *heap, uint64_t interval);
/* Copies the stacks that have live samples, most bytes first; *ret is the caller's to free, also when empty. */
int heap_stacks_take(const struct heap *heap, struct heap_stack_usage **ret, size_t *ret_count);
/* The same with the stacks that have no live sample any more, last. */
int heap_stacks_ever(const struct heap *heap, struct heap_stack_usage **ret, size_t *ret_count);
