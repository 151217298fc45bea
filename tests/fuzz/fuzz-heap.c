/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sequences of allocator calls against a model that knows what must be live, with what contents, and what must fault.
 */
#include "alloc.h"
#include "cleanup.h"
#include "scope-internal.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BLOCKS = 64,
	HARD = 4 << 20,
	SITE = 0x10000,
};

struct block {
	unsigned char *p;
	size_t size;
	unsigned char fill;
	bool booked, arena;
	int64_t grown; /* under the booking, of a block from before it */
};

struct model {
	struct heap *foreign;
	struct scope_space *space;
	struct scope_booking *booking;
	struct block blocks[BLOCKS];
	uint64_t faults;
	unsigned char next_fill;
};

struct input {
	const uint8_t *data;
	size_t size;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool fine, const char *what)
{
	if (fine)
		return;
	(void) fprintf(stderr, "fuzz-heap: %s\n", what);
	abort();
}

static unsigned
take(struct input *input, unsigned bytes)
{
	unsigned value = 0;

	while (bytes-- > 0) {
		value = value << 8 | (input->size > 0 ? *input->data : 0);
		if (input->size > 0) {
			input->data++;
			input->size--;
		}
	}
	return value;
}

/* Small sizes often, each magnitude sometimes. */
static size_t
take_size(struct input *input)
{
	unsigned raw = take(input, 3);

	return (raw & 0x3ffff) >> (raw >> 18) % 16;
}

static void
check(const struct block *block)
{
	/* First, last and some between: all of a large block each time would be slow. */
	for (size_t i = 0; i < block->size; i += block->size / 61 + 1)
		require(block->p[i] == block->fill, "contents changed");
	require(block->size == 0 || block->p[block->size - 1] == block->fill, "last byte changed");
}

static void
forget(struct block *block)
{
	*block = (struct block){0};
}

static void
fill(struct model *model, struct block *block, void *p, size_t size)
{
	block->p = p;
	block->size = size;
	block->fill = ++model->next_fill;
	memset(p, block->fill, size);
	require(alloc_usable(p) >= size, "smaller than asked for");
}

static void
make(struct model *model, struct input *input, struct block *block)
{
	size_t size = take_size(input);
	unsigned how = take(input, 1);
	size_t align = how & 1 ? 16UL << (how >> 4) % 14 : 0;
	unsigned flags = (how & 2 ? ALLOC_ZERO : 0) | ((how & 12) == 12 ? ALLOC_ARENA : 0);
	unsigned char *p = alloc_block(scope_space_own(model->space), size, align, flags, SITE + how);

	if (p == NULL)
		return; /* the limit; checked by account() */
	require((uintptr_t) p % (align != 0 ? align : 16) == 0, "misaligned");
	if (flags & ALLOC_ZERO && size > 0)
		require(p[0] == 0 && memcmp(p, p + 1, size - 1) == 0, "not zero");
	block->arena = flags & ALLOC_ARENA;
	block->booked = model->booking != NULL && !block->arena;
	fill(model, block, p, size);
}

static void
resize(struct model *model, struct input *input, struct block *block)
{
	size_t size = take_size(input);
	void *old = block->p;
	size_t before = alloc_usable(old);
	unsigned char *p = alloc_resize(old, size, SITE);

	if (p == NULL)
		return;
	for (size_t i = 0, kept = size < block->size ? size : block->size; i < kept; i += kept / 61 + 1)
		require(p[i] == block->fill, "contents lost in a move");
	/* One made under this booking stays on it; one of before comes onto it by its growth alone. */
	fill(model, block, p, size);
	if (model->booking != NULL && !block->booked && !block->arena)
		block->grown += (int64_t) alloc_usable(p) - (int64_t) before;
}

/* Bad pointers of every kind must be found out and change nothing. */
static void
abuse(struct model *model, struct input *input, const struct block *block)
{
	unsigned how = take(input, 2);
	unsigned char *p = block->p + 1 + how;

	if (how % 4 == 0) {
		void *freed = alloc_block(scope_space_own(model->space), 1 + how / 4, 0, 0, SITE);
		if (freed == NULL)
			return;
		alloc_free(freed, SITE);
		p = freed;
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		if (model->blocks[i].p == p)
			return; /* by chance a good one */
	model->faults++;
	alloc_free(p, SITE);
}

static void
account(struct model *model)
{
	struct heap_usage usage;
	uint64_t bytes = 0, objects = 0, arenas = 0;

	for (unsigned i = 0; i < BLOCKS; i++) {
		if (model->blocks[i].p == NULL)
			continue;
		size_t usable = alloc_usable(model->blocks[i].p);
		bytes += usable;
		arenas += model->blocks[i].arena ? usable : 0;
		objects++;
	}
	heap_usage(scope_space_own(model->space), &usage);
	require(usage.live_bytes == bytes, "live bytes");
	require(usage.live_objects == objects, "live objects");
	require(usage.arena_bytes == arenas, "arena bytes");
	require(usage.faults == model->faults, "faults");
	require(usage.peak_bytes >= usage.live_bytes, "peak below live");
	require(usage.live_bytes <= HARD, "beyond the limit");
}

static void
profile(struct model *model)
{
	struct heap_profile *taken CLEANUP(heap_profile_free) = NULL;
	struct heap_usage usage;
	uint64_t bytes = 0, objects = 0, ages = 0;

	if (heap_profile_take(scope_space_own(model->space), 0, &taken) < 0)
		return;
	heap_usage(scope_space_own(model->space), &usage);
	for (size_t i = 0; i < taken->count; i++) {
		bytes += taken->sites[i].bytes;
		objects += taken->sites[i].objects;
	}
	for (unsigned i = 0; i < ARRAY_LENGTH(taken->age_bytes); i++)
		ages += taken->age_bytes[i];
	require(bytes == usage.live_bytes && objects == usage.live_objects && ages == bytes, "the profile's sums");
}

static void
settle(struct model *model)
{
	uint64_t bytes, blocks, expected_bytes = 0, expected_blocks = 0;

	if (model->booking == NULL) {
		require(scope_booking_open(model->space, &model->booking) == 0, "no booking");
		journal_switch(&model->booking->journal);
		return;
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		struct block *block = &model->blocks[i];
		if (block->booked) {
			expected_blocks++;
			expected_bytes += alloc_usable(block->p);
		} else if (block->grown > 0) {
			expected_bytes += (uint64_t) block->grown;
		}
		block->booked = false;
		block->grown = 0;
	}
	journal_switch(NULL);
	scope_booking_close(&model->booking, 1, 2, &bytes, &blocks);
	require(bytes == expected_bytes && blocks == expected_blocks, "escapes");
}

static void
step(struct model *model, struct input *input)
{
	unsigned what = take(input, 1);
	struct block *block = &model->blocks[take(input, 1) % BLOCKS];

	switch (what % 16) {
	case 10:
		settle(model);
		return;
	case 11:
		(void) heap_decay(what, what & 16 ? 0 : 1);
		return;
	case 12:
		(void) heap_trim(scope_space_own(model->space));
		return;
	case 13:
		profile(model);
		return;
	case 14:
		account(model);
		return;
	default:
		break;
	}
	if (block->p == NULL) {
		make(model, input, block);
		return;
	}
	check(block);
	if (what % 16 == 15)
		abuse(model, input, block);
	else if (what % 4 == 3)
		resize(model, input, block);
	else {
		alloc_free(block->p, SITE);
		forget(block);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	static struct heap *foreign;
	struct heap_limits limits = {.hard = HARD};
	struct model model = {0};

	if (foreign == NULL) {
		require(heap_reserve(16, 1 << 26) == 0, "no range");
		require(heap_new("fuzz/foreign", NULL, false, &foreign) == 0, "no heap");
	}
	model.foreign = foreign;
	require(scope_space_new("fuzz", 1, foreign, &limits, &model.space) == 0, "no space");
	while (input.size > 0)
		step(&model, &input);
	account(&model);
	profile(&model);
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (model.blocks[i].p == NULL)
			continue;
		check(&model.blocks[i]);
		alloc_free(model.blocks[i].p, SITE);
		forget(&model.blocks[i]);
	}
	if (model.booking != NULL)
		settle(&model);
	account(&model);
	(void) heap_trim(scope_space_own(model.space));
	struct heap_usage usage;
	heap_usage(scope_space_own(model.space), &usage);
	require(usage.resident_bytes == 0, "pages kept by an empty heap");
	scope_space_free(&model.space);
	return 0;
}
