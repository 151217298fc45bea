/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "alloc.h"

#include "heap-internal.h"
#include "journal.h"

#include <errno.h>
#include <string.h>

/* A pointer taken apart. */
struct alloc_place {
	struct heap *heap;
	unsigned slot;
	uint32_t granule, at;
	struct span *span;
	unsigned class;
	uint64_t *side;
};

bool
alloc_is_ours(const void *p)
{
	return (uintptr_t) p - bin_range.base < bin_range.bytes;
}

/* Finds the block that starts at p. Returns 0, or what is wrong with p as 1 + heap_fault_kind. */
static int
alloc_locate(const void *p, struct alloc_place *ret)
{
	uintptr_t offset = (uintptr_t) p - bin_range.base;
	struct alloc_place place = {.slot = (unsigned) (offset >> bin_range.shift)};

	ret->slot = place.slot;
	place.heap = heap_in_slot(place.slot);
	if (place.heap == NULL)
		return 1 + HEAP_FAULT_STALE_FREE;
	uintptr_t inside = (uintptr_t) p - place.heap->base;
	place.granule = (uint32_t) (inside >> RUN_SHIFT);
	place.at = inside & (RUN_GRANULE - 1);
	if (place.granule >= __atomic_load_n(&place.heap->runs.top, __ATOMIC_ACQUIRE))
		return 1 + HEAP_FAULT_FOREIGN_FREE;
	place.span = &place.heap->spans[place.granule];
	uint32_t sequence = __atomic_load_n(&place.span->sequence, __ATOMIC_ACQUIRE);
	place.class = __atomic_load_n(&place.span->class, __ATOMIC_RELAXED);
	if (place.class == 0) {
		/* Inside a large block? Its first granule is the next one before this that is in use. */
		for (uint32_t g = place.granule; g-- > 0;) {
			const struct span *span = &place.heap->spans[g];
			unsigned class = __atomic_load_n(&span->class, __ATOMIC_RELAXED);
			if (class == CLASS_LARGE && g + span->granules > place.granule)
				return 1 + HEAP_FAULT_INTERIOR_FREE;
			if (class != 0)
				break;
		}
		/* A granule that was in use before: most likely a block of it is freed again. */
		return 1 + (place.span->sequence != 0 ? HEAP_FAULT_DOUBLE_FREE : HEAP_FAULT_FOREIGN_FREE);
	}
	if (place.class == CLASS_LARGE) {
		if (place.at != 0)
			return 1 + HEAP_FAULT_INTERIOR_FREE;
		place.side = place.span->side;
	} else {
		const struct class_row *row = &class_rows[place.class];
		uint32_t index = (uint32_t) ((uint64_t) place.at * row->magic >> 32);
		if (index * row->size != place.at)
			return 1 + (index < row->blocks ? HEAP_FAULT_INTERIOR_FREE : HEAP_FAULT_FOREIGN_FREE);
		if (index >= row->blocks)
			return 1 + HEAP_FAULT_FOREIGN_FREE;
		place.side = &__atomic_load_n(&place.span->side, __ATOMIC_ACQUIRE)[index];
		/* A booking's end may ask for a block whose span has just become another class's. */
		if (__atomic_load_n(&place.span->sequence, __ATOMIC_RELAXED) != sequence)
			return 1 + HEAP_FAULT_DOUBLE_FREE;
		if (!(side_load(place.side) & SIDE_LIVE) && index >= place.span->fresh)
			return 1 + HEAP_FAULT_FOREIGN_FREE;
	}
	if (!(side_load(place.side) & SIDE_LIVE))
		return 1 + HEAP_FAULT_DOUBLE_FREE;
	*ret = place;
	return 0;
}

static uint64_t
alloc_place_bytes(const struct alloc_place *place)
{
	return place->class == CLASS_LARGE ? place->span->bytes : class_rows[place->class].size;
}

/* What a block is made for: who asks, and whose place it takes. */
struct alloc_wish {
	uintptr_t site;
	unsigned flags;
	uint64_t old; /* side word of the block that moves here; 0: it is a new one */
};

/* The side word of a block. A moved block keeps its birth. One that was on a booking's account goes to that of the
 * booking which moves it, since the other's journal has the old address; moved outside of any it is on none. */
static uint64_t
alloc_word(struct heap *heap, struct bin_set *set, void *block, const struct alloc_wish *wish)
{
	uint64_t word = SIDE_LIVE, old = wish->old;

	word |= set != NULL ? bin_site_bits(set, wish->site) : side_site_bits(site_number(&heap->sites, wish->site));
	if (wish->flags & ALLOC_ARENA)
		return word | SIDE_ARENA |
		       (old != 0 ? side_epoch(old) : __atomic_load_n(heap->clock, __ATOMIC_RELAXED));
	if (bin_self.journal != NULL && (old == 0 || old & SIDE_BOOKED) && journal_note(block))
		return word | bin_self.tag;
	return word | (old != 0 ? side_epoch(old) : __atomic_load_n(heap->clock, __ATOMIC_RELAXED));
}

/* SIDE_SAMPLED if the block's stack could be put on record. */
static uint64_t
alloc_sample(struct heap *heap, const void *block, uint64_t bytes, const struct alloc_wish *wish)
{
	if (wish->flags & ALLOC_ARENA)
		return 0;
	return sample_record(&heap->samples, block, bytes, wish->site) ? SIDE_SAMPLED : 0;
}

/* Counts what passes by the bins: into the thread's own counts, or the heap's when it has none. */
static void
alloc_count(struct heap *heap, struct bin_set *set, uint64_t objects, uint64_t bytes, uint64_t arena_bytes)
{
	struct bin_counts *counts = set != NULL ? &set->counts : &heap->retired;

	if (set == NULL)
		pthread_mutex_lock(&heap->sets_lock);
	__atomic_store_n(&counts->objects, counts->objects + objects, __ATOMIC_RELAXED);
	__atomic_store_n(&counts->bytes, counts->bytes + bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&counts->arena_bytes, counts->arena_bytes + arena_bytes, __ATOMIC_RELAXED);
	if (set == NULL)
		pthread_mutex_unlock(&heap->sets_lock);
}

static void *
alloc_small(struct heap *heap, unsigned class, const struct alloc_wish *wish)
{
	struct bin_set *set = bin_set_of(heap);
	uint32_t size = class_rows[class].size;
	struct bin_entry entry;
	bool is_sampled = false;

	if (set != NULL) {
		if (!bin_take(set, class, wish->site, &entry, &is_sampled))
			return NULL;
	} else {
		if (!heap_charge(heap, size))
			return heap_refuse(heap, wish->site);
		if (central_take(heap, class, 0, &entry, 1) == 0) {
			heap_uncharge(heap, size);
			return heap_refuse(heap, wish->site);
		}
		alloc_count(heap, NULL, 1, size, 0);
	}
	if (wish->flags & ALLOC_ARENA)
		alloc_count(heap, set, 0, 0, size);
	if (wish->flags & ALLOC_ZERO)
		memset(entry.block, 0, size);
	uint64_t sampled = is_sampled ? alloc_sample(heap, entry.block, size, wish) : 0;
	side_store(entry.side, alloc_word(heap, set, entry.block, wish) | sampled);
	return entry.block;
}

static void *
alloc_large(struct heap *heap, size_t size, size_t align, const struct alloc_wish *wish)
{
	uint64_t bytes = (size + RUN_PAGE - 1) & ~(uint64_t) (RUN_PAGE - 1);
	uint64_t granules = (bytes + RUN_GRANULE - 1) >> RUN_SHIFT;
	uint64_t align_granules = align > RUN_GRANULE ? align >> RUN_SHIFT : 1;

	if (granules > heap->runs.limit || align_granules > heap->runs.limit) {
		errno = ENOMEM;
		return NULL;
	}
	if (!heap_charge(heap, bytes))
		return heap_refuse(heap, wish->site);
	uint32_t taken = run_take(&heap->runs, (uint32_t) granules, (uint32_t) align_granules, bytes / RUN_PAGE);
	if (taken == 0) {
		heap_uncharge(heap, bytes);
		return heap_refuse(heap, wish->site);
	}
	struct span *span = &heap->spans[taken - 1];
	void *block = (void *) (heap->base + ((uintptr_t) (taken - 1) << RUN_SHIFT));
	if (wish->flags & ALLOC_ZERO && !span->zeroed)
		memset(block, 0, size);
	__atomic_store_n(&span->bytes, bytes, __ATOMIC_RELAXED);
	side_store(&span->word, 0);
	span_open(span, CLASS_LARGE, 0, 0, 0, &span->word);
	__atomic_fetch_add(&heap->large_objects, 1, __ATOMIC_RELAXED);
	struct bin_set *set = bin_set_of(heap);
	alloc_count(heap, set, 1, bytes, wish->flags & ALLOC_ARENA ? bytes : 0);
	uint64_t sampled = 0;
	if (set != NULL && (set->until_sample -= (int64_t) bytes) < 0) {
		bin_next_large_sample(set);
		sampled = alloc_sample(heap, block, bytes, wish);
	}
	side_store(&span->word, alloc_word(heap, set, block, wish) | sampled);
	return block;
}

static void *
alloc_fulfil(struct heap *heap, size_t size, size_t align, const struct alloc_wish *wish)
{
	if (size > PTRDIFF_MAX || align > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	if (align <= 16) {
		if (size <= CLASS_MAX_BYTES)
			return alloc_small(heap, class_of(size), wish);
		return alloc_large(heap, size, 0, wish);
	}
	/* Spans start on 64 KiB, so a block is aligned if its class's size is a multiple of the alignment. */
	if (size <= CLASS_MAX_BYTES && align <= CLASS_MAX_BYTES)
		for (unsigned class = class_of(size < align ? align : size); class <= CLASS_COUNT; class ++)
			if (class_rows[class].size % align == 0)
				return alloc_small(heap, class, wish);
	return alloc_large(heap, size == 0 ? 1 : size, align, wish);
}

void *
alloc_block(struct heap *heap, size_t size, size_t align, unsigned flags, uintptr_t site)
{
	struct alloc_wish wish = {.site = site, .flags = flags};

	return alloc_fulfil(heap, size, align, &wish);
}

static void
alloc_free_small(const struct alloc_place *place, void *p)
{
	struct bin_set *set = bin_set_of(place->heap);
	struct bin_entry entry = {p, place->side};

	if (side_load(place->side) & SIDE_SAMPLED)
		sample_forget(&place->heap->samples, p);
	if (side_load(place->side) & SIDE_ARENA)
		alloc_count(place->heap, set, 0, 0, 0 - (uint64_t) class_rows[place->class].size);
	side_store(place->side, 0);
	if (set == NULL) {
		central_put(place->heap, place->class, &entry, 1);
		heap_uncharge(place->heap, class_rows[place->class].size);
		return;
	}
	bin_put(set, place->class, &entry);
}

static void
alloc_free_large(const struct alloc_place *place, const void *p)
{
	struct span *span = place->span;
	uint64_t bytes = span->bytes;

	if (side_load(&span->word) & SIDE_SAMPLED)
		sample_forget(&place->heap->samples, p);
	if (side_load(&span->word) & SIDE_ARENA)
		alloc_count(place->heap, bin_set_of(place->heap), 0, 0, 0 - bytes);
	side_store(&span->word, 0);
	span_close(span);
	run_give(&place->heap->runs, place->granule, span->granules);
	__atomic_fetch_sub(&place->heap->large_objects, 1, __ATOMIC_RELAXED);
	heap_uncharge(place->heap, bytes);
}

void
alloc_free(void *p, uintptr_t site)
{
	struct alloc_place place = {0};
	int saved = errno; /* free keeps it */
	int wrong = alloc_locate(p, &place);

	if (wrong != 0)
		heap_fault(place.slot, (enum heap_fault_kind)(wrong - 1), p, site);
	else if (place.class == CLASS_LARGE)
		alloc_free_large(&place, p);
	else
		alloc_free_small(&place, p);
	errno = saved;
}

/* A block that stays an earlier request's is on this one's account by what it grew. */
static inline void
alloc_note_growth(uint64_t word, const void *before, void *after, int64_t bytes)
{
	if (bin_self.journal != NULL && !(word & (SIDE_BOOKED | SIDE_ARENA)))
		journal_grow(before, after, side_epoch(word), bytes);
}

/* A large block to a new length where it lies. */
static bool
alloc_resize_large(const struct alloc_place *place, void *p, size_t size)
{
	struct heap *heap = place->heap;
	struct span *span = place->span;
	uint64_t old = span->bytes, bytes = (size + RUN_PAGE - 1) & ~(uint64_t) (RUN_PAGE - 1);
	uint64_t granules = (bytes + RUN_GRANULE - 1) >> RUN_SHIFT;
	bool arena = side_load(&span->word) & SIDE_ARENA;

	if (granules > heap->runs.limit)
		return false;
	if (bytes > old) {
		if (!heap_charge(heap, bytes - old))
			return false;
		if (granules > span->granules &&
		    !run_extend(&heap->runs, place->granule, span->granules, (uint32_t) granules, bytes / RUN_PAGE)) {
			heap_uncharge(heap, bytes - old);
			return false;
		}
		run_touch(&heap->runs, place->granule, bytes / RUN_PAGE);
	} else if (bytes < old) {
		run_drop_tail(&heap->runs, place->granule, span->granules, bytes / RUN_PAGE);
		heap_uncharge(heap, old - bytes);
	}
	__atomic_store_n(&span->bytes, bytes, __ATOMIC_RELAXED);
	alloc_note_growth(place->span->word, p, p, (int64_t) (bytes - old));
	alloc_count(heap, bin_set_of(heap), 0, bytes > old ? bytes - old : 0, arena ? bytes - old : 0);
	return true;
}

/* The common case: a small block of a heap this thread has bins of, to another small one. NULL: the long way. */
static inline void *
alloc_resize_small(void *p, size_t size, uintptr_t site)
{
	uintptr_t offset = (uintptr_t) p - bin_range.base;
	const struct bin_slot *mine = &bin_self.slots[offset >> bin_range.shift];
	const struct span *span = &bin_range.spans[offset >> RUN_SHIFT];

	if (mine->generation != __atomic_load_n(&bin_range.generation[offset >> bin_range.shift], __ATOMIC_RELAXED) ||
	    size > CLASS_MAX_BYTES || span->bin == 0)
		return NULL;
	uint64_t product = (uint64_t) (offset & (RUN_GRANULE - 1)) * span->magic;
	uint64_t old = side_load(&span->side[product >> 32]);
	if ((uint32_t) product >= span->magic || !side_is_plain(old))
		return NULL;
	if (size <= span->size && size >= span->size / 2)
		return p;
	struct bin *bin = &mine->set->bins[class_of(size)];
	const struct bin_site *known = bin_site_place(mine->set, site);
	void *moved = known->address == site ? bin_pop_from(mine->set, bin, known->bits, mine->set->clock) : NULL;
	if (moved == NULL)
		return NULL;
	/* The entry just popped still lies behind the top. As alloc_word would: the birth goes along. */
	uint64_t *side = bin_entry_at(mine->set, bin_top(bin))->side, word = side_load(side);
	if (bin_self.journal == NULL || !(old & SIDE_BOOKED))
		side_store(side, (word & ~(SIDE_BOOKED | (uint64_t) UINT32_MAX)) | side_epoch(old));
	memcpy(moved, p, size < span->size ? size : span->size);
	alloc_note_growth(old, p, moved, (int64_t) class_rows[class_of(size)].size - span->size);
	if (!bin_push(p, offset))
		alloc_free(p, site);
	return moved;
}

void *
alloc_resize(void *p, size_t size, uintptr_t site)
{
	void *done = alloc_resize_small(p, size, site);

	if (done != NULL)
		return done;
	struct alloc_place place = {0};
	int wrong = alloc_locate(p, &place);

	if (wrong != 0) {
		heap_fault(place.slot, (enum heap_fault_kind)(wrong - 1), p, site);
		errno = ENOMEM;
		return NULL;
	}
	if (size > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	uint64_t old = alloc_place_bytes(&place), word = side_load(place.side);
	if (place.class == CLASS_LARGE) {
		if (size > CLASS_MAX_BYTES && alloc_resize_large(&place, p, size))
			return p;
	} else if (size <= old && size >= old / 2)
		return p;
	struct alloc_wish wish = {.site = site, .flags = word & SIDE_ARENA ? ALLOC_ARENA : 0, .old = word};
	void *moved = alloc_fulfil(place.heap, size, 0, &wish);
	if (moved == NULL)
		return size <= old ? p : NULL; /* a block that cannot shrink stays as it is */
	memcpy(moved, p, size < old ? size : old);
	if (bin_self.journal != NULL)
		alloc_note_growth(word, p, moved, (int64_t) alloc_usable(moved) - (int64_t) old);
	if (place.class == CLASS_LARGE)
		alloc_free_large(&place, p);
	else
		alloc_free_small(&place, p);
	return moved;
}

size_t
alloc_usable(const void *p)
{
	struct alloc_place place;

	return alloc_locate(p, &place) == 0 ? (size_t) alloc_place_bytes(&place) : 0;
}

bool
alloc_find(const void *p, const struct heap **ret_heap, uint64_t **ret_side, uint64_t *ret_bytes)
{
	struct alloc_place place;

	if (alloc_locate(p, &place) != 0)
		return false;
	*ret_heap = place.heap;
	*ret_side = place.side;
	*ret_bytes = alloc_place_bytes(&place);
	return true;
}
