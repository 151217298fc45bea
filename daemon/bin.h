/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* bin.h - a thread's stock of free blocks of one heap, and the few instructions of malloc and free that use nothing
 * else.
 *
 * A bin is a stack of free blocks with their side words. It starts small and doubles while it is used (slow start).
 * Bins are written by their thread alone; others read the counts, which is what makes live bytes exact without a shared
 * write: out of the stock less what lies in bins.
 *
 * Threads: each thread uses its own; counts may be read by any. Owns: the blocks in it, until flushed to the stock.
 */
#include "central.h"
#include "class.h"
#include "side.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap;
struct journal;
struct scope_space;

enum {
	BIN_SITES_LOG = 8,
	BIN_SITES = 1 << BIN_SITES_LOG, /* call sites a thread knows by heart, a heap */
	BIN_HEAPS = 2048,               /* most heaps a process can have: 47 bits of addresses hold no more */
};

struct bin {
	struct bin_entry *top;             /* one past the youngest block */
	struct bin_entry *floor, *ceiling; /* empty there, full there; the ceiling rises up to the class's bound */
	uint64_t tally;                    /* see bin_served: one counter down to the next sample and up for ever */
};

struct bin_site {
	uintptr_t address;
	uint64_t bits; /* its number, where the side word has it */
};

/* What does not pass through a bin; sums of all threads are exact. */
struct bin_counts {
	uint64_t objects, bytes; /* allocated, ever */
	uint64_t arena_bytes;    /* live; one thread's may be "negative" */
};

struct bin_set {
	uintptr_t base, bytes; /* of the heap's slot; 0 bytes: bin_no_set */
	struct span *spans;
	uint32_t *clock;
	struct heap *heap;
	struct bin_set *next;     /* in heap->sets, for ever */
	bool idle;                /* its thread ended (heap's sets_lock) */
	uint8_t shard;            /* of the stock that its bins draw on */
	uint64_t sample_interval; /* the heap's, when the tallies were set */
	int64_t until_sample;     /* bytes, of large blocks */
	struct bin_counts counts;
	struct bin_site sites[BIN_SITES];
	struct bin bins[CLASS_COUNT + 1];
};

/* A thread's set of one slot's heap; stale unless the generation is the slot's. */
struct bin_slot {
	struct bin_set *set;
	uint64_t generation;
};

/* The reserved address range. Written once, before the first heap. */
struct bin_range {
	uintptr_t base;
	struct span *spans; /* of all slots, one a granule */
	uint64_t bytes;     /* 0: nothing is reserved, no pointer is ours */
	unsigned shift;     /* of a slot's size */
	unsigned slots;
	uint64_t generation[BIN_HEAPS]; /* never 0; moved when a slot's heap comes and when it goes */
};
extern struct bin_range bin_range;

/* What malloc and free know about the calling thread: one cache line, and then some. */
struct bin_thread {
	struct scope_space *space;     /* NULL: the daemon's own memory */
	struct bin_set *own, *foreign; /* of the space; bin_no_set: not made yet, image not known yet, own: no space */
	uintptr_t image_start, image_bytes;
	struct bin_slot *slots;
	void **journal_next, **journal_end; /* where the booking's next block is noted */
	struct journal *journal;            /* NULL: no booking */
	uint64_t tag;                       /* side word bits of the booking */
	unsigned *counted;                  /* counter this thread is in, down by one at its end; NULL: none */
	unsigned rounds;                    /* of destructors at the thread's end */
	bool ended;                         /* the thread's bins are gone: straight to the stock */
	struct heap *desperate;             /* refused memory in this scope: its reserve may be used */
};
/* Empty bins, known sites none: whoever looks into it has to take the slow way. */
extern struct bin_set bin_no_set;
extern _Thread_local struct bin_thread bin_self __attribute__((tls_model("local-exec"), aligned(64)));

/* The calling thread's bins of a heap, made at first use. NULL when there is no memory or the thread is ending. */
struct bin_set *bin_set_of(struct heap *heap);
/* One more block at least into an empty bin. False with errno when heap or machine have none. */
bool bin_refill(struct bin_set *set, unsigned class, uintptr_t site);
/* Sets out for the next sample: of a class's blocks, of large blocks. */
void bin_next_sample(struct bin_set *set, unsigned class);
void bin_next_large_sample(struct bin_set *set);
/* Makes room in a full bin. */
void bin_flush(struct bin_set *set, unsigned class);
/* Gives every block of the calling thread's bins of the heap back to the stock. */
void bin_flush_all(struct bin_set *set);
/* Gives up all bins of the calling thread. Runs at its end. */
void bin_thread_end(void);
/* The number of a site in side word position, through the set's cache. */
uint64_t bin_site_bits(struct bin_set *set, uintptr_t site);
/* Runs `end` at every thread's end that has touched bin_thread_arm. */
int bin_setup(void);
void bin_thread_arm(void);

/* Turns to the daemon's memory and back, for the layer's own needs. The barriers are for the compiler, which knows
 * malloc and believes that it looks at no variable of ours. */
static inline struct scope_space *
bin_pause(void)
{
	struct scope_space *space = bin_self.space;

	bin_self.space = NULL;
	__asm__ volatile("" ::: "memory");
	return space;
}

static inline void
bin_resume(struct scope_space *space)
{
	__asm__ volatile("" ::: "memory");
	bin_self.space = space;
}

static inline struct bin_site *
bin_site_place(struct bin_set *set, uintptr_t site)
{
	return &set->sites[(uint32_t) site * 0x9e3779b1U >> (32 - BIN_SITES_LOG)];
}

/* Where a class's bin lies in a set. */
static inline size_t
bin_place(unsigned class)
{
	return offsetof(struct bin_set, bins) + class * sizeof(struct bin);
}

static inline struct bin *
bin_at(struct bin_set *set, size_t place)
{
	return (struct bin *) ((char *) set + place);
}

static inline void
bin_move_top(struct bin *bin, struct bin_entry *top)
{
	__atomic_store_n(&bin->top, top, __ATOMIC_RELAXED);
}

static inline uint32_t
bin_count(const struct bin *bin)
{
	return (uint32_t) (__atomic_load_n(&bin->top, __ATOMIC_RELAXED) - bin->floor);
}

/* Blocks a bin has handed out, ever. Its tally has in its low 16 bits how many are left until one is sampled, and above
 * them what the whole will be by then: handing one out takes one off, which counts both at the price of one. */
static inline uint64_t
bin_served(const struct bin *bin)
{
	uint64_t tally = __atomic_load_n(&bin->tally, __ATOMIC_RELAXED);

	return (tally >> 16) - (uint16_t) tally;
}

/* The bin of a request's class by its size, 0 .. CLASS_TABLE_BYTES. */
extern uint16_t bin_places[CLASS_TABLE_BYTES / 16 + 1];

/* A block out of a bin; NULL if there is more to do than that. */
static inline void *
bin_pop_from(struct bin_set *set, struct bin *bin, uintptr_t site)
{
	struct bin_thread *self = &bin_self;
	const struct bin_site *known = bin_site_place(set, site);
	struct bin_entry *top = bin->top;
	uint64_t tally = bin->tally;

	if (__builtin_expect(top == bin->floor, 0) || __builtin_expect(known->address != site, 0) ||
	    __builtin_expect((uint16_t) tally == 0, 0))
		return NULL;
	void *block = top[-1].block;
	if (block == NULL)
		__builtin_unreachable(); /* spares the caller to ask again */
	uint64_t word = known->bits;
	if (self->journal != NULL) {
		if (__builtin_expect(self->journal_next == self->journal_end, 0))
			return NULL;
		*self->journal_next++ = block;
		word |= self->tag;
	} else
		word |= __atomic_load_n(set->clock, __ATOMIC_RELAXED);
	side_store(top[-1].side, word);
	bin_move_top(bin, top - 1);
	__atomic_store_n(&bin->tally, tally - 1, __ATOMIC_RELAXED);
	return block;
}

/* A block the short way; NULL if it takes the long one. */
static inline void *
bin_pop(struct bin_set *set, size_t size, uintptr_t site)
{
	if (__builtin_expect(size <= CLASS_TABLE_BYTES, 1))
		return bin_pop_from(set, bin_at(set, bin_places[(size + 15) / 16]), site);
	if (size <= CLASS_MAX_BYTES)
		return bin_pop_from(set, &set->bins[class_compute(size)], site);
	return NULL;
}

/* Frees a block of the set's heap into its bin. */
static inline bool
bin_push_to(struct bin_set *set, const struct span *span, void *p)
{
	uint32_t magic = span->magic;
	/* What is left below 2^32 is less than magic exactly if the offset is a multiple of the size. Where there are
	 * no small blocks magic is 0. */
	uint64_t product = (uint64_t) ((uintptr_t) p & (RUN_GRANULE - 1)) * magic;
	if (__builtin_expect((uint32_t) product >= magic, 0))
		return false;
	uint64_t *side = &span->side[product >> 32];
	struct bin *bin = bin_at(set, span->bin);
	struct bin_entry *top = bin->top;
	if (__builtin_expect(top == bin->ceiling || !side_is_plain(side_load(side)), 0))
		return false;
	top->block = p;
	top->side = side;
	side_store(side, 0);
	bin_move_top(bin, top + 1);
	return true;
}

/* Frees the short way; false if it takes the long one. offset: from the range's start, inside the range. */
static inline bool
bin_push(void *p, uintptr_t offset)
{
	unsigned slot = (unsigned) (offset >> bin_range.shift);
	const struct bin_slot *mine = &bin_self.slots[slot];

	if (__builtin_expect(mine->generation != __atomic_load_n(&bin_range.generation[slot], __ATOMIC_RELAXED), 0))
		return false;
	return bin_push_to(mine->set, &bin_range.spans[offset >> RUN_SHIFT], p);
}

/* Frees a block of the heap that the calling thread is in. False: it is another's, or it takes a longer way. */
static inline bool
bin_push_own(void *p)
{
	struct bin_set *set = bin_self.own;
	uintptr_t inside = (uintptr_t) p - set->base;

	return inside < set->bytes && bin_push_to(set, &set->spans[inside >> RUN_SHIFT], p);
}
