/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scope.h"

#include "alloc.h"
#include "heap-internal.h"
#include "layer.h"
#include "scope-internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
scope_active(void)
{
	return MTLSD_HEAP_LAYER;
}

int
scope_space_new(const char *plugin, uint64_t instance, struct heap *foreign, const struct heap_limits *limits,
		struct scope_space **ret)
{
	char name[HEAP_NAME_BYTES];
	struct scope_space *space = calloc(1, sizeof(*space));

	if (space == NULL)
		return -ENOMEM;
	(void) snprintf(name, sizeof(name), "%.40s#%llu", plugin, (unsigned long long) instance);
	int r = heap_new(name, limits, true, &space->own);
	if (r < 0) {
		free(space);
		return r;
	}
	space->slow = true;
	space->given_foreign = foreign;
	space->foreign = foreign != NULL ? foreign : space->own;
	space->own_slot = space->own->slot;
	space->foreign_slot = space->foreign->slot;
	/* All instances of a plugin live by one clock, the foreign heap's, so that ages there mean the same to each. */
	space->own->clock = space->clock = space->foreign->clock;
	pthread_mutex_init(&space->escapes_lock, NULL);
	*ret = space;
	return 0;
}

void
scope_space_set_image(struct scope_space *space, uintptr_t start, uintptr_t end)
{
	space->image_start = start;
	space->image_bytes = end - start;
	space->slow = space->image_bytes == 0 || space->fail_in != 0;
	if (bin_self.space == space)
		scope_switch(space);
}

void
scope_space_fail_nth(struct scope_space *space, uint64_t nth)
{
	__atomic_store_n(&space->fail_in, nth, __ATOMIC_RELAXED);
	space->slow = space->image_bytes == 0 || nth != 0;
	if (bin_self.space == space)
		scope_switch(space);
}

bool
scope_space_fail_pending(const struct scope_space *space)
{
	return __atomic_load_n(&space->fail_in, __ATOMIC_RELAXED) != 0;
}

void
scope_space_set_limits(struct scope_space *space, const struct heap_limits *limits)
{
	heap_set_limits(space->own, limits);
}

struct heap *
scope_space_own(const struct scope_space *space)
{
	return space->own;
}

struct heap *
scope_space_foreign(const struct scope_space *space)
{
	return space->given_foreign;
}

unsigned
scope_space_threads(const struct scope_space *space)
{
	return __atomic_load_n(&space->threads, __ATOMIC_ACQUIRE);
}

void
scope_space_free(struct scope_space **space)
{
	struct scope_space *dead = *space;

	if (dead == NULL)
		return;
	*space = NULL;
	heap_free(&dead->own);
	pthread_mutex_destroy(&dead->escapes_lock);
	free(dead->rows);
	free(dead);
}

/* The thread's state is read and written in single words, here and in scope_switch: left alone, the compiler merges
 * neighbours, and a wide load right after two narrow stores waits for them, which costs more than all the rest. */
static inline void
scope_save(struct scope_frame *frame)
{
	frame->saved[0] = __atomic_load_n(&bin_self.space, __ATOMIC_RELAXED);
	frame->saved[1] = __atomic_load_n(&bin_self.journal, __ATOMIC_RELAXED);
	frame->saved[2] = __atomic_load_n(&bin_self.desperate, __ATOMIC_RELAXED);
}

void
scope_enter(struct scope_frame *frame, struct scope_space *space, struct scope_booking *booking)
{
	scope_save(frame);
	journal_switch(booking != NULL ? &booking->journal : NULL);
	bin_self.desperate = NULL;
	scope_switch(space);
}

void
scope_enter_daemon(struct scope_frame *frame)
{
	scope_save(frame);
	journal_switch(NULL);
	scope_switch(NULL);
}

void
scope_leave(struct scope_frame *frame)
{
	journal_switch(__atomic_load_n(&frame->saved[1], __ATOMIC_RELAXED));
	bin_self.desperate = __atomic_load_n(&frame->saved[2], __ATOMIC_RELAXED);
	scope_switch(__atomic_load_n(&frame->saved[0], __ATOMIC_RELAXED));
}

/* Whose call is it while the image's range is unknown, that is in constructors run by dlopen? Objects of the system's
 * library folders, the C library among them, work on behalf of the plugin; anything else is the plugin or its own. */
static bool
scope_is_system(uintptr_t site)
{
	struct dl_find_object found;

	if (_dl_find_object((void *) site, &found) != 0)
		return true;
	const char *name = found.dlfo_link_map->l_name;
	return name == NULL || name[0] == '\0' || strncmp(name, "/lib", 4) == 0 || strncmp(name, "/usr/lib", 8) == 0;
}

bool
scope_is_to_fail(struct scope_space *space)
{
	uint64_t left = __atomic_load_n(&space->fail_in, __ATOMIC_RELAXED);

	while (left != 0)
		if (__atomic_compare_exchange_n(&space->fail_in, &left, left - 1, 0, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return left == 1;
	return false;
}

void *
scope_alloc(size_t size, size_t align, unsigned flags, uintptr_t site)
{
	struct bin_thread *self = &bin_self;
	struct scope_space *space = self->space;
	bool own = space->image_bytes != 0 ? site - space->image_start < space->image_bytes : !scope_is_system(site);
	struct heap *heap = own ? space->own : space->foreign;

	if (own && scope_is_to_fail(space)) {
		errno = ENOMEM;
		return NULL;
	}
	/* From the next call on it goes the short way. */
	struct bin_set *set = space->slow ? NULL : bin_set_of(heap),
		       *mine = space->slow ? NULL : bin_set_of(space->own);
	if (set != NULL && mine != NULL) {
		self->own = mine;
		bin_learn(mine, set, site);
	}
	/* Where malloc came here by a jump, its return address is this function's. */
	const uintptr_t *slot = (const uintptr_t *) __builtin_frame_address(0) + 1;
	self->called_at = (uintptr_t) __builtin_return_address(0) == site ? slot : NULL;
	void *block = alloc_block(heap, size, align, flags, site);
	self->called_at = NULL;
	return block;
}

void *
scope_resize(void *p, size_t size, uintptr_t site)
{
	struct scope_space *space = bin_self.space;

	if (heap_of(p) == space->own && scope_is_to_fail(space)) {
		errno = ENOMEM;
		return NULL;
	}
	return alloc_resize(p, size, site);
}

void
scope_thread_announce(struct scope_space *space)
{
	__atomic_fetch_add(&space->threads, 1, __ATOMIC_RELAXED);
}

void
scope_thread_revoke(struct scope_space *space)
{
	__atomic_fetch_sub(&space->threads, 1, __ATOMIC_RELEASE);
}

void
scope_thread_begin(struct scope_space *space)
{
	bin_self.counted = &space->threads;
	bin_thread_arm();
	scope_switch(space);
}
