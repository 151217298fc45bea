/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "places.h"

#include "cleanup.h"
#include "pace.h"
#include "symbol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PLACES_REMEMBERED = 4096, /* a plugin: 2 MiB at most */
	PLACES_FIRST_SEEN = 128,  /* a power of two */
};

/* Where an address stands among the seen ones, or would. */
static uintptr_t *
places_slot(uintptr_t *seen, size_t room, uintptr_t address)
{
	size_t at = (address * 0x9e3779b97f4a7c15ULL >> 20) % room;

	while (seen[at] != 0 && seen[at] != address)
		at = (at + 1) % room;
	return &seen[at];
}

/* True: it was added before. Stacks share most of their frames, and a place is half a kilobyte. */
static bool
places_have(struct places *places, uintptr_t address)
{
	if (places->count * 2 >= places->seen_room) {
		size_t room = places->seen_room != 0 ? places->seen_room * 2 : PLACES_FIRST_SEEN;
		uintptr_t *seen = calloc(room, sizeof(*seen));
		for (size_t i = 0; seen != NULL && i < places->count; i++)
			*places_slot(seen, room, places->all[i].address) = places->all[i].address;
		if (seen == NULL)
			return false; /* twice is no harm: places_unify */
		free(places->seen);
		places->seen = seen;
		places->seen_room = room;
	}
	uintptr_t *slot = places_slot(places->seen, places->seen_room, address);
	if (address == 0 || *slot == address)
		return address != 0;
	*slot = address;
	return false;
}

int
places_add(struct places *places, uintptr_t address)
{
	pace();
	if (places_have(places, address))
		return 0;
	if (places->count == places->room) {
		size_t room = places->room != 0 ? places->room * 2 : 64;
		struct supervisor_place *grown = reallocarray(places->all, room, sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		places->all = grown;
		places->room = room;
	}
	places->all[places->count++] = (struct supervisor_place){.address = address};
	return 0;
}

static int
by_address(const void *a, const void *b)
{
	const struct supervisor_place *x = a, *y = b;
	return x->address < y->address ? -1 : x->address > y->address;
}

/* A place that has been resolved has a module, if only "?". */
static bool
is_resolved(const struct supervisor_place *place)
{
	return place->module[0] != '\0';
}

/* By address, each once; of two of one address the resolved one stays. */
static void
places_unify(struct places *places)
{
	size_t kept = 0;

	if (places->count != 0)
		qsort(places->all, places->count, sizeof(*places->all), by_address);
	for (size_t i = 0; i < places->count; i++)
		if (kept == 0 || places->all[kept - 1].address != places->all[i].address)
			places->all[kept++] = places->all[i];
		else if (!is_resolved(&places->all[kept - 1]))
			places->all[kept - 1] = places->all[i];
	places->count = kept;
}

static struct supervisor_place *
find(const struct places *places, uintptr_t address)
{
	struct supervisor_place key = {.address = address};

	if (places->count == 0)
		return NULL;
	return bsearch(&key, places->all, places->count, sizeof(*places->all), by_address);
}

uint32_t
places_find(const struct places *places, uintptr_t address)
{
	return (uint32_t) (find(places, address) - places->all);
}

static void
place_resolve(struct symbol_resolver *resolver, const struct image_mapping *mapping, struct supervisor_place *place)
{
	struct symbol symbol;

	symbol_resolve(resolver, place->address, &symbol);
	place->line = symbol.line;
	place->offset = symbol.offset;
	place->inside = place->address > mapping->start && place->address <= mapping->end;
	snprintf(place->function, sizeof(place->function), "%s", symbol.function != NULL ? symbol.function : "");
	snprintf(place->file, sizeof(place->file), "%s", symbol.file != NULL ? symbol.file : "");
	snprintf(place->module, sizeof(place->module), "%s", symbol.module);
	snprintf(place->build_id, sizeof(place->build_id), "%s", symbol.build_id != NULL ? symbol.build_id : "");
}

/* Fills in what is known. Returns how many places are not. */
static size_t
places_recall(struct places *places, uint64_t instance, struct places_memory *memory)
{
	size_t missing = 0;

	pthread_mutex_lock(&memory->lock);
	for (size_t i = 0; i < places->count; i++) {
		const struct supervisor_place *known =
			memory->instance == instance ? find(&memory->known, places->all[i].address) : NULL;
		if (known != NULL)
			places->all[i] = *known;
		else
			missing++;
	}
	pthread_mutex_unlock(&memory->lock);
	return missing;
}

/* Keeps a copy of what was resolved: beside what is known of that instance, or instead of it when it became too much.
 * Without memory for it, the names are looked up again next time. */
static void
places_remember(const struct places *places, uint64_t instance, struct places_memory *memory)
{
	pthread_mutex_lock(&memory->lock);
	struct places *known = &memory->known;
	bool fits = memory->instance == instance && known->count + places->count <= PLACES_REMEMBERED;
	size_t old = fits ? known->count : 0;
	if (instance >= memory->instance && places->count <= PLACES_REMEMBERED) {
		struct supervisor_place *all = reallocarray(known->all, old + places->count, sizeof(*all));
		if (all != NULL) {
			memcpy(all + old, places->all, places->count * sizeof(*all));
			*known = (struct places){.count = old + places->count, .room = old + places->count, .all = all};
			memory->instance = instance;
			places_unify(known);
		}
	}
	pthread_mutex_unlock(&memory->lock);
}

int
places_resolve(struct places *places, const struct image_mapping *mapping, uint64_t instance,
	       struct places_memory *memory)
{
	CLEANUP(symbol_resolver_free) struct symbol_resolver *resolver = NULL;
	const char *base = strrchr(image_path(mapping->image), '/');

	places_unify(places);
	if (places_recall(places, instance, memory) == 0)
		return 0;
	int r = symbol_resolver_new(image_fd(mapping->image), mapping->start, mapping->end,
				    base != NULL ? base + 1 : image_path(mapping->image), &resolver);
	if (r < 0)
		return r;
	for (size_t i = 0; i < places->count; i++)
		if (!is_resolved(&places->all[i])) {
			place_resolve(resolver, mapping, &places->all[i]);
			pace();
		}
	places_remember(places, instance, memory);
	return 0;
}

void
places_clear(struct places *places)
{
	free(places->all);
	free(places->seen);
	*places = (struct places){0};
}

void
places_memory_clear(struct places_memory *memory)
{
	places_clear(&memory->known);
	memory->instance = 0;
}
