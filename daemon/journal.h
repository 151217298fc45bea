/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* journal.h - the addresses a booking has allocated, so that at its end the ones still live are found without a walk.
 *
 * Noting is one store at an allocation and nothing at a free: whether a noted block still is the booking's is read from
 * its side word, which a free on any thread clears. A full journal first forgets the dead and the doubles, then grows.
 *
 * Threads: entered by one thread at a time. Owns: its array, in daemon memory.
 */
#include "bin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap;

enum {
	JOURNAL_INLINE = 48,
};

struct journal {
	void **start, **next, **end; /* next is out of date while a thread is inside: then the thread has it */
	uint64_t tag;                /* what the side words of its blocks carry */
	uint64_t lost;               /* blocks not noted for lack of daemon memory */
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
/* Calls visit for every live block, once, and takes it off the booking. */
void journal_settle(struct journal *journal,
		    void (*visit)(const struct heap *heap, uint64_t word, uint64_t bytes, void *ctx), void *ctx);
