/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "central.h"

#include "class.h"
#include "heap-internal.h"
#include "side.h"

enum {
	CENTRAL_LOOKS = 16, /* at the spans of another shard */
};

void
central_setup(struct central *central)
{
	*central = (struct central){0};
	pthread_mutex_init(&central->lock, NULL);
}

static void
central_link(struct heap *heap, struct central *central, uint32_t granule)
{
	struct span *span = &heap->spans[granule];
	struct central_shard *shard = &central->shards[span->shard];

	span->previous = 0;
	span->next = shard->partial;
	if (span->next != 0)
		heap->spans[span->next - 1].previous = granule + 1;
	shard->partial = granule + 1;
}

static void
central_unlink(struct heap *heap, struct central *central, uint32_t granule)
{
	struct span *span = &heap->spans[granule];

	if (span->next != 0)
		heap->spans[span->next - 1].previous = span->previous;
	if (span->previous != 0)
		heap->spans[span->previous - 1].next = span->next;
	else
		central->shards[span->shard].partial = span->next;
	span->next = span->previous = 0;
}

/* Idle side tables keep the address of the next one in their first word; addresses have no SIDE_LIVE. */
static uint64_t *
central_side(struct heap *heap, struct central *central, const struct class_row *row)
{
	uint64_t *side = central->idle_side;

	if (side == NULL)
		return meta_take(&heap->meta, row->blocks * sizeof(*side));
	central->idle_side = (uint64_t *) (uintptr_t) side_load(side);
	side_store(side, 0);
	return side;
}

static bool
central_open(struct heap *heap, unsigned class, unsigned shard)
{
	struct central *central = &heap->central[class];
	const struct class_row *row = &class_rows[class];
	uint64_t *side = central_side(heap, central, row);

	if (side == NULL)
		return false;
	uint32_t taken = run_take(&heap->runs, 1, 1, 0);
	if (taken == 0) {
		side_store(side, (uintptr_t) central->idle_side);
		central->idle_side = side;
		return false;
	}
	struct span *span = &heap->spans[taken - 1];
	span->used = span->fresh = span->free_head = 0;
	span->shard = (uint8_t) shard;
	span_open(span, (uint8_t) class, row->size, row->magic, (uint16_t) bin_place(class), side);
	central_link(heap, central, taken - 1);
	return true;
}

static void
central_release(struct heap *heap, struct central *central, uint32_t granule)
{
	struct span *span = &heap->spans[granule];
	uint64_t *side = span->side;

	central_unlink(heap, central, granule);
	central->shards[span->shard].idle -= span->fresh;
	span_close(span);
	side_store(side, (uintptr_t) central->idle_side);
	central->idle_side = side;
	run_give(&heap->runs, granule, 1);
}

static unsigned
central_take_from(struct heap *heap, struct span *span, uint32_t granule, struct bin_entry *entries, unsigned want)
{
	uintptr_t start = heap->base + ((uintptr_t) granule << RUN_SHIFT);
	unsigned got = 0, blocks = class_rows[span->class].blocks;

	for (; got < want && span->free_head != 0; got++) {
		unsigned at = span->free_head - 1U;
		span->free_head = (uint16_t) side_load(&span->side[at]);
		side_store(&span->side[at], 0);
		entries[got] = (struct bin_entry){(void *) (start + (uintptr_t) at * span->size), &span->side[at]};
	}
	unsigned fresh = want - got;
	if (fresh > blocks - span->fresh)
		fresh = blocks - span->fresh;
	if (fresh != 0) {
		/* Backwards, so that the bin, a stack, hands them out in the order of their addresses. */
		for (unsigned i = 0; i < fresh; i++, got++) {
			unsigned at = span->fresh + fresh - 1 - i;
			side_store(&span->side[at], 0);
			entries[got] =
				(struct bin_entry){(void *) (start + (uintptr_t) at * span->size), &span->side[at]};
		}
		span->fresh = (uint16_t) (span->fresh + fresh);
		unsigned pages = (span->fresh * span->size + RUN_PAGE - 1) / RUN_PAGE;
		if (pages > span->dirty)
			run_touch(&heap->runs, granule, pages);
	}
	span->used = (uint16_t) (span->used + got);
	return got;
}

/* A span of another shard changes hands: of its first ones that with most idle blocks. */
static bool
central_take_over(struct heap *heap, struct central *central, unsigned from, unsigned shard)
{
	uint32_t found = 0;
	unsigned most = 0, looks = CENTRAL_LOOKS;

	for (uint32_t at = central->shards[from].partial; at != 0 && looks-- > 0; at = heap->spans[at - 1].next) {
		const struct span *span = &heap->spans[at - 1];
		unsigned idle = span->fresh - span->used;
		if (found != 0 && idle <= most)
			continue;
		most = idle;
		found = at;
	}
	if (found == 0)
		return false;
	central_unlink(heap, central, found - 1);
	central->shards[from].idle -= most;
	central->shards[shard].idle += most;
	heap->spans[found - 1].shard = (uint8_t) shard;
	central_link(heap, central, found - 1);
	return true;
}

/* A span with a free block for a shard that has none. */
static bool
central_supply(struct heap *heap, unsigned class, unsigned shard)
{
	struct central *central = &heap->central[class];

	for (unsigned i = 0; i < CENTRAL_SHARDS; i++)
		if (i != shard && central->shards[i].idle >= class_rows[class].blocks &&
		    central_take_over(heap, central, i, shard))
			return true;
	if (central_open(heap, class, shard))
		return true;
	/* Nothing more to be had: then from whoever has it. */
	for (unsigned i = 0; i < CENTRAL_SHARDS; i++)
		if (i != shard && central_take_over(heap, central, i, shard))
			return true;
	return false;
}

unsigned
central_take(struct heap *heap, unsigned class, unsigned shard, struct bin_entry *entries, unsigned want)
{
	struct central *central = &heap->central[class];
	struct central_shard *mine = &central->shards[shard];
	unsigned got = 0;

	pthread_mutex_lock(&central->lock);
	while (got < want) {
		if (mine->partial == 0 && (got != 0 || !central_supply(heap, class, shard)))
			break;
		uint32_t granule = mine->partial - 1;
		struct span *span = &heap->spans[granule];
		unsigned idle = span->fresh - span->used;
		got += central_take_from(heap, span, granule, entries + got, want - got);
		mine->idle -= idle - (unsigned) (span->fresh - span->used);
		if (span->used == class_rows[class].blocks)
			central_unlink(heap, central, granule);
	}
	__atomic_store_n(&central->out, central->out + got, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&central->lock);
	return got;
}

void
central_put(struct heap *heap, unsigned class, const struct bin_entry *entries, unsigned count)
{
	struct central *central = &heap->central[class];

	pthread_mutex_lock(&central->lock);
	for (unsigned i = 0; i < count; i++) {
		uint32_t granule = (uint32_t) (((uintptr_t) entries[i].block - heap->base) >> RUN_SHIFT);
		struct span *span = &heap->spans[granule];

		side_store(entries[i].side, span->free_head);
		span->free_head = (uint16_t) (entries[i].side - span->side + 1);
		if (span->used-- == class_rows[class].blocks)
			central_link(heap, central, granule);
		central->shards[span->shard].idle++;
		/* One empty span stays as long as it is the only one with room: a block on the edge must not cost a
		 * span. */
		if (span->used == 0 && (span->next != 0 || span->previous != 0))
			central_release(heap, central, granule);
	}
	__atomic_store_n(&central->out, central->out - count, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&central->lock);
}

void
central_trim(struct heap *heap, unsigned class)
{
	struct central *central = &heap->central[class];

	pthread_mutex_lock(&central->lock);
	for (unsigned i = 0; i < CENTRAL_SHARDS; i++)
		for (uint32_t at = central->shards[i].partial, next; at != 0; at = next) {
			next = heap->spans[at - 1].next;
			if (heap->spans[at - 1].used == 0)
				central_release(heap, central, at - 1);
		}
	pthread_mutex_unlock(&central->lock);
}
