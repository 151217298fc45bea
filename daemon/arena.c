/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The request arena: chunks of the instance's own heap, listed in daemon memory where a plugin's overrun cannot reach.
 */
#include "alloc.h"
#include "heap-internal.h"
#include "scope-internal.h"

#include <errno.h>
#include <stdlib.h>

enum {
	ARENA_ALIGN = 16,
	ARENA_FIRST = 4096,
	ARENA_MOST = 32768, /* chunks double up to this; what is larger gets a chunk of its own */
	ARENA_CHUNKS = 8,
};

struct scope_arena {
	struct scope_space *space;
	uintptr_t next, end;
	size_t chunk; /* size of the next one */
	size_t count, room;
	void **chunks;
	void *first[ARENA_CHUNKS];
};

static bool
arena_room(struct scope_arena *arena)
{
	if (arena->count < arena->room)
		return true;
	void **larger = malloc(arena->room * 2 * sizeof(*larger));
	if (larger == NULL)
		return false;
	for (size_t i = 0; i < arena->count; i++)
		larger[i] = arena->chunks[i];
	if (arena->chunks != arena->first)
		free(arena->chunks);
	arena->chunks = larger;
	arena->room *= 2;
	return true;
}

static struct scope_arena *
arena_new(struct scope_space *space)
{
	struct scope_arena *arena = malloc(sizeof(*arena));

	if (arena == NULL)
		return NULL;
	*arena = (struct scope_arena){.space = space, .chunk = ARENA_FIRST, .room = ARENA_CHUNKS};
	arena->chunks = arena->first;
	return arena;
}

/* Without the layer chunks come from the C library, where a sanitizer sees them. */
static void *
arena_chunk(struct scope_arena *arena, size_t size, uintptr_t site)
{
	if (!arena_room(arena))
		return NULL;
	void *chunk = scope_active() ? alloc_block(arena->space->own, size, 0, ALLOC_ARENA, site) : malloc(size);
	if (chunk != NULL)
		arena->chunks[arena->count++] = chunk;
	return chunk;
}

static void *
arena_take(struct scope_arena **arena, struct scope_space *space, size_t size, uintptr_t site)
{
	if (*arena == NULL)
		*arena = arena_new(space);
	struct scope_arena *this = *arena;
	if (this == NULL || size > PTRDIFF_MAX - ARENA_ALIGN)
		return NULL;
	size = (size + ARENA_ALIGN - 1) & ~(size_t) (ARENA_ALIGN - 1);
	if (size == 0)
		size = ARENA_ALIGN; /* every piece has an address of its own */
	if (size > this->end - this->next) {
		if (size > ARENA_MOST / 4)
			return arena_chunk(this, size, site);
		while (this->chunk < size)
			this->chunk *= 2;
		void *chunk = arena_chunk(this, this->chunk, site);
		if (chunk == NULL)
			return NULL;
		this->next = (uintptr_t) chunk;
		this->end = this->next + this->chunk;
		if (this->chunk < ARENA_MOST)
			this->chunk *= 2;
	}
	void *piece = (void *) this->next;
	this->next += size;
	return piece;
}

void *
scope_arena_alloc_at(struct scope_arena **arena, struct scope_space *space, size_t size, uintptr_t site)
{
	struct scope_frame frame;

	scope_enter_daemon(&frame);
	void *piece = scope_is_to_fail(space) ? NULL : arena_take(arena, space, size, site);
	scope_leave(&frame);
	if (piece == NULL)
		errno = ENOMEM;
	return piece;
}

void *
scope_arena_alloc(struct scope_arena **arena, struct scope_space *space, size_t size)
{
	return scope_arena_alloc_at(arena, space, size, (uintptr_t) __builtin_return_address(0));
}

void
scope_arena_free(struct scope_arena **arena)
{
	struct scope_arena *dead = *arena;
	struct scope_frame frame;

	if (dead == NULL)
		return;
	*arena = NULL;
	scope_enter_daemon(&frame);
	for (size_t i = 0; i < dead->count; i++)
		if (scope_active())
			alloc_free(dead->chunks[i], (uintptr_t) __builtin_return_address(0));
		else
			free(dead->chunks[i]);
	if (dead->chunks != dead->first)
		free(dead->chunks);
	free(dead);
	scope_leave(&frame);
}
