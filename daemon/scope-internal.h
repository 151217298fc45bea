/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* scope-internal.h - what a space and a booking are made of; for scope, booking, arena and the interposed functions.
 *
 * Threads: see scope.h. Owns: nothing.
 */
#include "bin.h"
#include "journal.h"
#include "scope.h"

#include <pthread.h>

struct scope_row {
	struct scope_escape escape;
	uint32_t last_epoch; /* of the booking counted last */
};

struct scope_space {
	struct heap *own, *foreign; /* foreign: the own heap if the plugin has none */
	struct heap *given_foreign;
	unsigned own_slot, foreign_slot;
	uintptr_t image_start, image_bytes; /* 0 bytes: not known yet */
	bool slow;        /* every allocation goes the slow way: the image is not known, or one is to fail */
	uint64_t fail_in; /* allocations of the own heap until one fails; 0: none is to */
	unsigned threads;
	uint32_t *clock;
	pthread_mutex_t escapes_lock; /* guards the rows */
	struct scope_row *rows;       /* open hash, made at the first escape; [0] is what found no room */
	unsigned rows_used;
};

struct scope_booking {
	struct scope_space *space;
	struct journal journal;
};

/* The thread's bins of a slot, the empty ones if it has none that are current. */
static inline struct bin_set *
scope_set_of(const struct bin_thread *self, unsigned slot)
{
	const struct bin_slot *mine = &self->slots[slot];

	return mine->generation == __atomic_load_n(&bin_range.generation[slot], __ATOMIC_RELAXED) ? mine->set
												  : &bin_no_set;
}

/* Puts the calling thread into the space; NULL: the daemon's memory. */
static inline void
scope_switch(struct scope_space *space)
{
	struct bin_thread *self = &bin_self;

	self->space = space;
	if (space == NULL) {
		self->own = &bin_no_set; /* free looks into it */
		return;
	}
	self->own = space->slow ? &bin_no_set : scope_set_of(self, space->own_slot);
}

/* The slow way: picks the heap, makes the bins, allocates. Only inside a space. */
void *scope_alloc(size_t size, size_t align, unsigned flags, uintptr_t site) __attribute__((cold));
void *scope_resize(void *p, size_t size, uintptr_t site) __attribute__((cold));
/* Counts down to the allocation a test wants to fail; true: this one. */
bool scope_is_to_fail(struct scope_space *space);
/* A thread started inside the space is about to begin, has begun (in it), could not begin. It counts until it ends. */
void scope_thread_announce(struct scope_space *space);
void scope_thread_begin(struct scope_space *space);
void scope_thread_revoke(struct scope_space *space);
