/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The walk over a heap's live blocks.
 *
 * No lock: a span's sequence is read before and after its side words, and what was read in between counts only if the
 * span stayed the same. A span that changed had no block that lived through the walk. Each address is looked at once,
 * so no block counts twice. */
#include "heap-internal.h"

#include "cleanup.h"
#include "pace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	PROFILE_FIRST_ROWS = 64,
	PROFILE_BLOCKS = CLASS_SPAN_BYTES / 16, /* the most a span has */
	PROFILE_STRETCH = 512,                  /* blocks counted between two looks at the clock: microseconds */
};

struct profile_walk {
	const struct heap *heap;
	struct heap_profile *profile;
	size_t room;
	uint32_t min_age;
	uint32_t *row_of; /* 1 + row, by site and arena bit */
	uint64_t words[PROFILE_BLOCKS];
};

static void
profile_walk_free(struct profile_walk **walk)
{
	if (*walk != NULL)
		free((*walk)->row_of);
	free(*walk);
	*walk = NULL;
}

void
heap_profile_free(struct heap_profile **profile)
{
	if (*profile != NULL)
		free((*profile)->sites);
	free(*profile);
	*profile = NULL;
}

static struct heap_site_usage *
profile_row(struct profile_walk *walk, uint64_t word)
{
	struct heap_profile *profile = walk->profile;
	bool arena = word & SIDE_ARENA;
	uint32_t *row = &walk->row_of[side_site(word) * 2U + arena];

	if (*row != 0)
		return &profile->sites[*row - 1];
	if (profile->count == walk->room) {
		size_t room = walk->room != 0 ? walk->room * 2 : PROFILE_FIRST_ROWS;
		struct heap_site_usage *larger = realloc(profile->sites, room * sizeof(*larger));
		if (larger == NULL)
			return NULL;
		profile->sites = larger;
		walk->room = room;
	}
	struct heap_site_usage *new = &profile->sites[profile->count++];
	*new = (struct heap_site_usage){.site = site_address(&walk->heap->sites, side_site(word)), .arena = arena};
	new->first_epoch = new->last_epoch = side_epoch(word);
	*row = (uint32_t) profile->count;
	return new;
}

/* Counts blocks of equal words: neighbours made by the same call for the same request, as most are. */
static int
profile_count(struct profile_walk *walk, uint64_t word, uint64_t bytes, unsigned objects)
{
	struct heap_profile *profile = walk->profile;
	/* A block born while we walk is from after "now": its age is none. */
	uint32_t age = profile->epoch - side_epoch(word);

	if (age > UINT32_MAX / 2 && side_epoch(word) - profile->epoch < UINT16_MAX)
		age = 0;
	if (age < walk->min_age)
		return 0;
	struct heap_site_usage *row = profile_row(walk, word);
	if (row == NULL)
		return -ENOMEM;
	if (profile->epoch - row->first_epoch < age)
		row->first_epoch = side_epoch(word);
	if (profile->epoch - row->last_epoch > age)
		row->last_epoch = side_epoch(word);
	row->bytes += objects * bytes;
	row->objects += objects;
	unsigned column = age == 0 ? 0 : 32 - __builtin_clz(age) < 31 ? 32 - __builtin_clz(age) : 31;
	row->age_bytes[column] += objects * bytes;
	row->age_objects[column] += objects;
	profile->age_bytes[column] += objects * bytes;
	return 0;
}

/* Counts the words that were copied from a span. */
static int
profile_count_span(struct profile_walk *walk, unsigned blocks, uint64_t bytes)
{
	unsigned run;

	for (unsigned i = 0; i < blocks; i += run) {
		uint64_t word = walk->words[i];
		for (run = 1; run < PROFILE_STRETCH && i + run < blocks && walk->words[i + run] == word;)
			run++;
		if (word & SIDE_LIVE) {
			int r = profile_count(walk, word, bytes, run);
			if (r < 0)
				return r;
		}
		if ((i + run) / PROFILE_STRETCH != i / PROFILE_STRETCH)
			pace();
	}
	return 0;
}

/* Copies a span's side words. Returns how many, 0 if the span is not in use or changed meanwhile. */
static unsigned
profile_read_span(struct profile_walk *walk, const struct span *span, uint64_t *ret_bytes)
{
	uint32_t sequence = __atomic_load_n(&span->sequence, __ATOMIC_ACQUIRE);

	if (sequence % 2 == 0)
		return 0;
	unsigned class = __atomic_load_n(&span->class, __ATOMIC_ACQUIRE);
	const uint64_t *side = __atomic_load_n(&span->side, __ATOMIC_ACQUIRE);
	unsigned blocks = 1;
	uint64_t bytes;
	if (class == CLASS_LARGE) {
		side = &span->word;
		bytes = __atomic_load_n(&span->bytes, __ATOMIC_ACQUIRE);
	} else {
		if (class == 0)
			return 0;
		blocks = class_rows[class].blocks;
		bytes = class_rows[class].size;
		/* Class and table may be of two lives of the span: a table of more words than this one has is read
		 * then. */
		if (__atomic_load_n(&span->sequence, __ATOMIC_RELAXED) != sequence)
			return 0;
	}
	for (unsigned i = 0; i < blocks; i++)
		walk->words[i] = __atomic_load_n(&side[i], __ATOMIC_ACQUIRE);
	if (__atomic_load_n(&span->sequence, __ATOMIC_RELAXED) != sequence)
		return 0;
	*ret_bytes = bytes;
	return blocks;
}

uint64_t
heap_largest(const struct heap *heap)
{
	uint64_t largest = 0;
	uint32_t top = __atomic_load_n(&heap->runs.top, __ATOMIC_ACQUIRE);

	for (uint32_t granule = 0; granule < top; granule++) {
		const struct span *span = &heap->spans[granule];
		pace();
		if (__atomic_load_n(&span->class, __ATOMIC_ACQUIRE) != CLASS_LARGE)
			continue;
		uint64_t bytes = __atomic_load_n(&span->bytes, __ATOMIC_RELAXED);
		largest = bytes > largest ? bytes : largest;
	}
	return largest;
}

static int
profile_compare(const void *a, const void *b)
{
	const struct heap_site_usage *left = a, *right = b;

	if (left->bytes != right->bytes)
		return left->bytes < right->bytes ? 1 : -1;
	return left->site < right->site ? -1 : left->site > right->site;
}

int
heap_profile_take(const struct heap *heap, uint32_t min_age, struct heap_profile **ret)
{
	struct profile_walk *walk CLEANUP(profile_walk_free) = calloc(1, sizeof(*walk));
	struct heap_profile *profile CLEANUP(heap_profile_free) = calloc(1, sizeof(*profile));

	if (walk == NULL || profile == NULL)
		return -ENOMEM;
	/* Untouched pages of this large table cost nothing. */
	walk->row_of = calloc(2UL * SIDE_SITES, sizeof(*walk->row_of));
	if (walk->row_of == NULL)
		return -ENOMEM;
	walk->heap = heap;
	walk->profile = profile;
	walk->min_age = min_age;
	profile->epoch = __atomic_load_n(heap->clock, __ATOMIC_RELAXED);
	uint32_t top = __atomic_load_n(&heap->runs.top, __ATOMIC_ACQUIRE);
	for (uint32_t granule = 0; granule < top; granule++) {
		uint64_t bytes = 0;
		pace();
		unsigned blocks = profile_read_span(walk, &heap->spans[granule], &bytes);
		int r = profile_count_span(walk, blocks, bytes);
		if (r < 0)
			return r;
	}
	if (profile->count != 0) {
		qsort(profile->sites, profile->count, sizeof(*profile->sites), profile_compare);
		/* Profiles may be kept: no room for rows that never came. */
		struct heap_site_usage *fit = realloc(profile->sites, profile->count * sizeof(*fit));
		if (fit != NULL)
			profile->sites = fit;
	}
	*ret = STEAL(profile);
	return 0;
}
