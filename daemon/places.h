/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* places.h - call addresses with their names: gathered, resolved each once, found by address.
 *
 * Debug information is slow to read (milliseconds for a library's), so what was resolved of an instance is remembered
 * as long as it serves: the same names are asked for by every dump.
 *
 * Threads: struct places by one at a time; struct places_memory by any. Owns: places what it gathered, until
 * places_clear; a memory its copies, until places_memory_clear.
 */
#include "image.h"
#include "supervisor.h"

#include <pthread.h>

struct places {
	size_t count, room;
	struct supervisor_place *all; /* once resolved: by address, each once */
	uintptr_t *seen;              /* while they are gathered: a hash of the addresses, 0: free */
	size_t seen_room;
};

struct places_memory {
	pthread_mutex_t lock; /* guards the rest */
	uint64_t instance;    /* whose addresses they are */
	struct places known;
};

/* -ENOMEM. */
int places_add(struct places *places, uintptr_t address);
/* Names all that was added. mapping: of the instance of that number, which must stay mapped meanwhile; memory: its
 * plugin's. What has no name gets module and offset. -ENOMEM. */
int places_resolve(struct places *places, const struct image_mapping *mapping, uint64_t instance,
		   struct places_memory *memory);
/* The index of an address that was added; after places_resolve. */
uint32_t places_find(const struct places *places, uintptr_t address);
void places_clear(struct places *places);
void places_memory_clear(struct places_memory *memory);
