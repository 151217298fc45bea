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
	PROFILE_FIRST_ROWS = 16,
	PROFILE_SLICE = 512, /* blocks read and counted between two looks at the clock: microseconds */
	PROFILE_LEAF = 1024, /* rows a leaf knows */
	PROFILE_LEAVES = 2 * SIDE_SITES / PROFILE_LEAF,
};

struct profile_walk {
	const struct heap *heap;
	struct heap_profile *profile;
	size_t room;
	uint32_t min_age;
	/* 1 + row, by site and arena bit. In leaves, most of which never come: a table of all would be a megabyte to
	 * clear before the first block is counted. */
	uint32_t *leaves[PROFILE_LEAVES];
	uint64_t words[PROFILE_SLICE];
};

/* A span as the walk met it. */
struct profile_span {
	const struct span *span;
	uint32_t sequence;
	const uint64_t *side;
	unsigned blocks;
	uint64_t bytes; /* of each */
};

static void
profile_walk_free(struct profile_walk **walk)
{
	for (unsigned i = 0; *walk != NULL && i < PROFILE_LEAVES; i++)
		free((*walk)->leaves[i]);
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
	uint32_t key = side_site(word) * 2U + arena, **leaf = &walk->leaves[key / PROFILE_LEAF];

	if (*leaf == NULL && (*leaf = calloc(PROFILE_LEAF, sizeof(**leaf))) == NULL)
		return NULL;
	uint32_t *row = &(*leaf)[key % PROFILE_LEAF];
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

/* Counts words that were copied from a span. */
static int
profile_count_words(struct profile_walk *walk, unsigned count, uint64_t bytes)
{
	unsigned run;

	for (unsigned i = 0; i < count; i += run) {
		uint64_t word = walk->words[i];
		for (run = 1; i + run < count && walk->words[i + run] == word;)
			run++;
		if (word & SIDE_LIVE) {
			int r = profile_count(walk, word, bytes, run);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static bool
profile_span_stands(const struct profile_span *met)
{
	return __atomic_load_n(&met->span->sequence, __ATOMIC_RELAXED) == met->sequence;
}

/* False: the span is not in use, or changed meanwhile. */
static bool
profile_meet(const struct span *span, struct profile_span *ret)
{
	struct profile_span met = {.span = span, .sequence = __atomic_load_n(&span->sequence, __ATOMIC_ACQUIRE)};

	if (met.sequence % 2 == 0)
		return false;
	unsigned class = __atomic_load_n(&span->class, __ATOMIC_ACQUIRE);
	if (class == 0)
		return false;
	if (class == CLASS_LARGE) {
		met.side = &span->word;
		met.blocks = 1;
		met.bytes = __atomic_load_n(&span->bytes, __ATOMIC_ACQUIRE);
	} else {
		met.side = __atomic_load_n(&span->side, __ATOMIC_ACQUIRE);
		met.blocks = class_rows[class].blocks;
		met.bytes = class_rows[class].size;
	}
	/* Class and table may be of two lives of the span: a table of more words than this one has would be read. */
	if (!profile_span_stands(&met))
		return false;
	*ret = met;
	return true;
}

/* Reads and counts a span by slices, up to where it changed: what comes after had no block that lived through the walk,
 * and what came before was alive when it was read. */
static int
profile_read_span(struct profile_walk *walk, const struct profile_span *met)
{
	for (unsigned from = 0; from < met->blocks; from += PROFILE_SLICE) {
		unsigned count = met->blocks - from < PROFILE_SLICE ? met->blocks - from : PROFILE_SLICE;
		pace();
		for (unsigned i = 0; i < count; i++)
			walk->words[i] = __atomic_load_n(&met->side[from + i], __ATOMIC_ACQUIRE);
		if (!profile_span_stands(met))
			break;
		int r = profile_count_words(walk, count, met->bytes);
		if (r < 0)
			return r;
	}
	return 0;
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
	walk->heap = heap;
	walk->profile = profile;
	walk->min_age = min_age;
	profile->epoch = __atomic_load_n(heap->clock, __ATOMIC_RELAXED);
	uint32_t top = __atomic_load_n(&heap->runs.top, __ATOMIC_ACQUIRE);
	for (uint32_t granule = 0; granule < top; granule++) {
		struct profile_span met;
		pace();
		int r = profile_meet(&heap->spans[granule], &met) ? profile_read_span(walk, &met) : 0;
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
