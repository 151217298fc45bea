/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* bin.h - a thread's stock of free blocks of one heap, and the few instructions of malloc and free that use nothing
 * else.
 *
 * A bin is a stack of free blocks with their side words. It starts small and doubles while it is used (slow start).
 * How malloc's call sites lead to bins and to their numbers is remembered together (routes): one look-up answers both.
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
	BIN_ROUTES_LOG = 8,
	BIN_ROUTES = 1 << BIN_ROUTES_LOG, /* call sites of malloc that a thread knows by heart, a space */
	BIN_SITES_LOG = 7,
	BIN_SITES = 1 << BIN_SITES_LOG, /* and of realloc, a heap */
	BIN_HEAPS = 2048,               /* most heaps a process can have: 47 bits of addresses hold no more */
};

struct bin {
	uint64_t state;          /* lower half: top, one past the youngest block; upper half: see bin_served */
	uint32_t floor, ceiling; /* empty there, full there; the ceiling rises up to the class's bound */
};                               /* places are bytes from the set's start */

struct bin_site {
	uintptr_t address;
	uint64_t bits; /* its number, where the side word has it */
};

/* Where a call of malloc leads: whose bins, under which number. In the own heap's set, for both heaps of the space. */
struct bin_route {
	uintptr_t address;
	uint64_t bits;
	struct bin_set *set;
	uint64_t unused; /* a power of two is quicker to find */
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
	struct bin bins[CLASS_COUNT + 1]; /* up to the sites, all of it fits into one page */
	uint64_t served[CLASS_COUNT + 1]; /* see bin_served */
	struct bin_site sites[BIN_SITES];
	struct bin_route routes[BIN_ROUTES];
	struct bin_entry entries[];
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
	struct scope_space *space; /* NULL: the daemon's own memory */
	struct bin_set *own;       /* of the space's own heap; bin_no_set: no space, not made yet, not to be used */
	struct bin_slot *slots;
	void **journal_next, **journal_end; /* where the booking's next block is noted */
	struct journal *journal;            /* NULL: no booking */
	uint64_t tag;                       /* side word bits of the booking */
	unsigned *counted;                  /* counter this thread is in, down by one at its end; NULL: none */
	unsigned rounds;                    /* of destructors at the thread's end */
	bool ended;                         /* the thread's bins are gone: straight to the stock */
	struct heap *desperate;             /* refused memory in this scope: its reserve may be used */
	const uintptr_t *called_at; /* where the call of malloc under way has its return address; NULL: not known */
};
/* Empty bins, known sites none: whoever looks into it has to take the slow way. */
extern struct bin_set bin_no_set;
extern _Thread_local struct bin_thread bin_self __attribute__((tls_model("local-exec"), aligned(64)));

/* The calling thread's bins of a heap, made at first use. NULL when there is no memory or the thread is ending. */
struct bin_set *bin_set_of(struct heap *heap);
/* The long way out of a bin and into one. ret_sampled: the block is to be sampled. False with errno when heap or
 * machine have no block. */
bool bin_take(struct bin_set *set, unsigned class, uintptr_t site, struct bin_entry *ret, bool *ret_sampled);
void bin_put(struct bin_set *set, unsigned class, const struct bin_entry *entry);
/* Sets out for the next sample of large blocks. */
void bin_next_large_sample(struct bin_set *set);
/* Gives every block of the calling thread's bins of the heap back to the stock. */
void bin_flush_all(struct bin_set *set);
/* Gives up all bins of the calling thread. Runs at its end. */
void bin_thread_end(void);
/* From now on malloc knows that calls from `site` in the own heap's space are served by `set`. Both are the thread's.
 */
void bin_learn(struct bin_set *own, struct bin_set *set, uintptr_t site);
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

static inline struct bin_route *
bin_route_place(struct bin_set *own, uintptr_t site)
{
	return &own->routes[(uint32_t) site * 0x9e3779b1U >> (32 - BIN_ROUTES_LOG)];
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

static inline struct bin_entry *
bin_entry_at(struct bin_set *set, uint32_t place)
{
	return (struct bin_entry *) ((char *) set + place);
}

/* For the bin's thread alone. */
static inline uint32_t
bin_top(const struct bin *bin)
{
	return (uint32_t) bin->state;
}

static inline uint32_t
bin_count(const struct bin *bin)
{
	return ((uint32_t) __atomic_load_n(&bin->state, __ATOMIC_RELAXED) - bin->floor) / sizeof(struct bin_entry);
}

/* Blocks a bin has handed out, ever; for any thread. The upper half of its state counts up and comes to 0 with the
 * block that is to be sampled; `served` has what the whole will be by then, twice, and is odd while the two do not
 * belong together. So taking a block and counting it is one addition. */
uint64_t bin_served(const struct bin_set *set, unsigned class);

/* What handing out a block adds to a state: an entry less in the lower half, which is never below one, and 1 above. */
static const uint64_t BIN_POP = (1ULL << 32) - sizeof(struct bin_entry);

/* The bin of a request's class by its size, 0 .. CLASS_TABLE_BYTES. */
extern uint16_t bin_places[CLASS_TABLE_BYTES / 16 + 1];

/* A block out of a bin; NULL if there is more to do than that. bits: of its site. */
static inline void *
bin_pop_from(struct bin_set *set, struct bin *bin, uint64_t bits, const uint32_t *clock)
{
	struct bin_thread *self = &bin_self;
	uint64_t state = bin->state, after;

	if (__builtin_expect((uint32_t) state == bin->floor, 0) ||
	    __builtin_expect(__builtin_add_overflow(state, BIN_POP, &after), 0))
		return NULL;
	const struct bin_entry *entry = bin_entry_at(set, (uint32_t) state) - 1;
	void *block = entry->block;
	if (block == NULL)
		__builtin_unreachable(); /* spares the caller to ask again */
	if (self->journal != NULL) {
		if (__builtin_expect(self->journal_next == self->journal_end, 0))
			return NULL;
		*self->journal_next++ = block;
		bits |= self->tag;
	} else
		bits |= __atomic_load_n(clock, __ATOMIC_RELAXED);
	side_store(entry->side, bits);
	__atomic_store_n(&bin->state, after, __ATOMIC_RELAXED);
	return block;
}

/* A block for a call from `site` the short way, its bin at `place`; NULL if it takes the long one. */
static inline void *
bin_pop_at(size_t place, uintptr_t site)
{
	struct bin_set *own = bin_self.own;
	const struct bin_route *route = bin_route_place(own, site);

	if (__builtin_expect(route->address != site, 0))
		return NULL;
	return bin_pop_from(route->set, bin_at(route->set, place), route->bits, own->clock);
}

/* The same for any size. */
static inline void *
bin_pop(size_t size, uintptr_t site)
{
	if (__builtin_expect(size <= CLASS_TABLE_BYTES, 1))
		return bin_pop_at(bin_places[(size + 15) / 16], site);
	return size <= CLASS_MAX_BYTES ? bin_pop_at(bin_place(class_compute(size)), site) : NULL;
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
	uint64_t state = bin->state;
	if (__builtin_expect((uint32_t) state == bin->ceiling || !side_is_plain(side_load(side)), 0))
		return false;
	struct bin_entry *entry = bin_entry_at(set, (uint32_t) state);
	entry->block = p;
	entry->side = side;
	side_store(side, 0);
	__atomic_store_n(&bin->state, state + sizeof(struct bin_entry), __ATOMIC_RELAXED);
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

	return __builtin_expect(inside < set->bytes, 1) && bin_push_to(set, &set->spans[inside >> RUN_SHIFT], p);
}
