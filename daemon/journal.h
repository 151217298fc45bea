/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* journal.h - the addresses a booking has allocated, so that at its end the ones still live are found without a walk.
 *
 * Noting is one store at an allocation and nothing at a free: whether a noted block still is the booking's is read from
 * its side word, which a free on any thread clears. A full journal first forgets the dead and the doubles, then grows.
 *
 * What realloc adds to a block of an earlier request is on the booking too: such a block stays the earlier one's, and
 * its growth is noted apart, found by the block's address and birth. If it is freed, or moved by another request,
 * before the booking ends, nothing is counted.
 *
 * Threads: entered by one thread at a time. Owns: its arrays, in daemon memory.
 */
#include "bin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap;

enum {
	JOURNAL_INLINE = 48,
	JOURNAL_GROWN_MOST = 256, /* grown blocks a booking; more are lost */
};

/* A block of an earlier request that reallocs of this one made longer, or shorter. */
struct journal_growth {
	void *block;
	uint32_t epoch; /* its birth */
	int64_t bytes;  /* by how much in all */
};

struct journal {
	void **start, **next, **end; /* next is out of date while a thread is inside: then the thread has it */
	uint64_t tag;                /* what the side words of its blocks carry */
	uint64_t lost;               /* blocks not noted for lack of daemon memory */
	struct journal_growth *grown;
	unsigned grown_count, grown_room;
	void *first[JOURNAL_INLINE];
};

void journal_setup(struct journal *journal, uint64_t tag);
void journal_clear(struct journal *journal);
/* Makes the calling thread note in this journal (NULL: in none); the one it noted in before is brought up to date. */
static inline void
journal_switch(struct journal *journal)
{
	struct bin_thread *self = &bin_self;

	if (self->journal != NULL)
		self->journal->next = self->journal_next;
	self->journal = journal;
	if (journal != NULL) {
		__atomic_store_n(&self->journal_next, journal->next, __ATOMIC_RELAXED);
		__atomic_store_n(&self->journal_end, journal->end, __ATOMIC_RELAXED);
		self->tag = journal->tag;
	}
}
/* Notes a block in the calling thread's journal. False: no memory, the block is not booked. */
bool journal_note(void *block);
/* In the calling thread's journal, if it has one: realloc changed the length of a block that is not on the booking.
 * epoch: its birth. before, after: where it was and where it is now. */
void journal_grow(const void *before, void *after, uint32_t epoch, int64_t bytes);
/* Calls visit for every live block, once, and takes it off the booking (blocks: 1); and for what earlier blocks have
 * grown by (blocks: 0). */
void journal_settle(struct journal *journal,
		    void (*visit)(const struct heap *heap, uint64_t word, uint64_t bytes, unsigned blocks, void *ctx),
		    void *ctx);
