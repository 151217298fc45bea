/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bin.h"

#include "cleanup.h"
#include "crash.h"
#include "heap-internal.h"
#include "layer.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	BIN_FIRST_ROOM = 16,
	BIN_LINE = 8, /* side words in a cache line */
	BIN_ROUNDS = MTLSD_HEAP_LAYER ? PTHREAD_DESTRUCTOR_ITERATIONS : PTHREAD_DESTRUCTOR_ITERATIONS - 1,
};

/* What a thread without bins looks into: no generation in it is ever current. */
static struct bin_slot bin_no_slots[BIN_HEAPS];
static pthread_key_t bin_key;
static bool bin_key_made;

struct bin_range bin_range;
uint16_t bin_places[CLASS_TABLE_BYTES / 16 + 1];
struct bin_set bin_no_set;
_Thread_local struct bin_thread bin_self __attribute__((tls_model("local-exec"), aligned(64))) = {
	.slots = bin_no_slots,
	.own = &bin_no_set,
	.foreign = &bin_no_set,
};

/* Other libraries' destructors, the plugin's among them, run in the same rounds and may still allocate: only the last
 * round is the end. Sanitizers, with which the layer is off, end a thread in the last round themselves, before us. */
static void
bin_on_thread_end(void *unused UNUSED)
{
	if (++bin_self.rounds < BIN_ROUNDS) {
		bin_thread_arm();
		return;
	}
	unsigned *counted = bin_self.counted;
	bin_thread_end();
	crash_thread_end();
	bin_self.space = NULL;
	bin_self.counted = NULL;
	if (counted != NULL) /* the last touch: the counter's owner may go when it sees 0 */
		__atomic_fetch_sub(counted, 1, __ATOMIC_RELEASE);
}

int
bin_setup(void)
{
	if (bin_key_made)
		return 0;
	for (unsigned i = 0; i < sizeof(bin_places) / sizeof(bin_places[0]); i++)
		bin_places[i] = (uint16_t) bin_place(class_table[i]);
	int r = pthread_key_create(&bin_key, bin_on_thread_end);
	bin_key_made = r == 0;
	return -r;
}

void
bin_thread_arm(void)
{
	/* Some C libraries allocate for a late key: never in a plugin's heap. */
	struct scope_space *space = bin_pause();

	if (bin_key_made)
		(void) pthread_setspecific(bin_key, &bin_self);
	bin_resume(space);
}

static struct bin_slot *
bin_slots(void)
{
	struct bin_thread *self = &bin_self;

	if (self->slots != bin_no_slots)
		return self->slots;
	struct scope_space *space = bin_pause();
	struct bin_slot *slots = calloc(bin_range.slots, sizeof(*slots));
	bin_resume(space);
	if (slots == NULL)
		return NULL;
	self->slots = slots;
	bin_thread_arm();
	crash_thread_begin();
	return slots;
}

void
bin_next_sample(struct bin_set *set, unsigned class)
{
	struct bin *bin = &set->bins[class];
	uint64_t left = sample_next(&set->heap->samples, class_rows[class].size, bin);

	__atomic_store_n(&bin->tally, (bin_served(bin) + left) << 16 | left, __ATOMIC_RELAXED);
}

void
bin_next_large_sample(struct bin_set *set)
{
	set->until_sample = sample_next_bytes(&set->heap->samples, set);
}

/* At first, and when the heap's interval has changed. */
static void
bin_restart_samples(struct bin_set *set)
{
	set->sample_interval = __atomic_load_n(&set->heap->samples.interval, __ATOMIC_RELAXED);
	for (unsigned class = 1; class <= CLASS_COUNT; class ++)
		bin_next_sample(set, class);
	bin_next_large_sample(set);
}

static struct bin_set *
bin_set_new(struct heap *heap)
{
	size_t entries = 0;

	for (unsigned class = 1; class <= CLASS_COUNT; class ++)
		entries += class_rows[class].cache;
	struct bin_set *set = meta_take(&heap->meta, sizeof(*set) + entries * sizeof(struct bin_entry));
	if (set == NULL)
		return NULL;
	set->heap = heap;
	set->base = heap->base;
	set->bytes = (uint64_t) heap->runs.limit << RUN_SHIFT;
	set->spans = heap->spans;
	set->clock = heap->clock;
	set->shard = (uint8_t) (heap->sets != NULL ? (heap->sets->shard + 1) % CENTRAL_SHARDS : 0);
	struct bin_entry *next = (struct bin_entry *) (set + 1);
	for (unsigned class = 1; class <= CLASS_COUNT; class ++) {
		struct bin *bin = &set->bins[class];
		bin->top = bin->floor = next;
		bin->ceiling =
			next + (class_rows[class].cache < BIN_FIRST_ROOM ? class_rows[class].cache : BIN_FIRST_ROOM);
		next += class_rows[class].cache;
	}
	bin_restart_samples(set);
	return set;
}

struct bin_set *
bin_set_of(struct heap *heap)
{
	uint64_t generation = __atomic_load_n(&bin_range.generation[heap->slot], __ATOMIC_RELAXED);

	if (bin_self.slots[heap->slot].generation == generation)
		return bin_self.slots[heap->slot].set;
	if (bin_self.ended)
		return NULL;
	struct bin_slot *slots = bin_slots();
	if (slots == NULL)
		return NULL;
	pthread_mutex_lock(&heap->sets_lock);
	struct bin_set *set = heap->sets;
	while (set != NULL && !set->idle)
		set = set->next;
	if (set != NULL)
		set->idle = false;
	else if ((set = bin_set_new(heap)) != NULL) {
		set->next = heap->sets;
		__atomic_store_n(&heap->sets, set, __ATOMIC_RELEASE); /* read without the lock */
	}
	pthread_mutex_unlock(&heap->sets_lock);
	if (set == NULL)
		return NULL;
	slots[heap->slot] = (struct bin_slot){set, generation};
	return set;
}

uint64_t
bin_site_bits(struct bin_set *set, uintptr_t site)
{
	struct bin_site *place = bin_site_place(set, site);

	if (place->address != site || site == 0)
		*place = (struct bin_site){site, SIDE_LIVE | side_site_bits(site_number(&set->heap->sites, site))};
	return place->bits;
}

/* Slow start: a bin that is used doubles. */
static void
bin_raise(struct bin *bin, unsigned class)
{
	unsigned room = (unsigned) (bin->ceiling - bin->floor), most = class_rows[class].cache;

	bin->ceiling = bin->floor + (room * 2 < most ? room * 2 : most);
}

bool
bin_refill(struct bin_set *set, unsigned class, uintptr_t site)
{
	struct bin *bin = &set->bins[class];
	uint32_t size = class_rows[class].size;
	unsigned want = (unsigned) (bin->ceiling - bin->floor + 1) / 2;

	/* Whole lines of side words, so that no two threads write to one at every malloc and free. */
	if (want > BIN_LINE)
		want = (want + BIN_LINE - 1) / BIN_LINE * BIN_LINE;

	if (!heap_charge(set->heap, (uint64_t) want * size)) {
		want = 1;
		if (!heap_charge(set->heap, size)) {
			(void) heap_refuse(set->heap, site);
			return false;
		}
	}
	unsigned got = central_take(set->heap, class, set->shard, bin->floor, want);
	if (got < want)
		heap_uncharge(set->heap, (uint64_t) (want - got) * size);
	if (got == 0) {
		(void) heap_refuse(set->heap, site);
		return false;
	}
	if (set->sample_interval != __atomic_load_n(&set->heap->samples.interval, __ATOMIC_RELAXED))
		bin_restart_samples(set);
	bin_move_top(bin, bin->floor + got);
	bin_raise(bin, class);
	return true;
}

static void
bin_flush_part(struct bin_set *set, unsigned class, uint32_t count)
{
	struct bin *bin = &set->bins[class];
	uint32_t rest = bin_count(bin) - count;

	central_put(set->heap, class, bin->floor, count);
	heap_uncharge(set->heap, (uint64_t) count * class_rows[class].size);
	memmove(bin->floor, bin->floor + count, rest * sizeof(*bin->floor));
	bin_move_top(bin, bin->floor + rest);
}

void
bin_flush(struct bin_set *set, unsigned class)
{
	struct bin *bin = &set->bins[class];

	if (bin->ceiling - bin->floor < class_rows[class].cache)
		bin_raise(bin, class);
	else
		bin_flush_part(set, class, (bin_count(bin) + 1) / 2); /* the oldest: the youngest are in the cache */
}

void
bin_flush_all(struct bin_set *set)
{
	for (unsigned class = 1; class <= CLASS_COUNT; class ++)
		if (bin_count(&set->bins[class]) != 0)
			bin_flush_part(set, class, bin_count(&set->bins[class]));
}

void
bin_thread_end(void)
{
	struct bin_thread *self = &bin_self;
	struct bin_slot *slots = self->slots;

	self->ended = true;
	self->own = self->foreign = &bin_no_set;
	if (slots == bin_no_slots)
		return;
	self->slots = bin_no_slots;
	for (unsigned slot = 0; slot < bin_range.slots; slot++) {
		if (slots[slot].set == NULL)
			continue;
		struct heap *heap = heap_hold(slot, slots[slot].generation);
		if (heap == NULL)
			continue;
		struct bin_set *set = slots[slot].set;
		bin_flush_all(set);
		pthread_mutex_lock(&heap->sets_lock);
		set->idle = true;
		pthread_mutex_unlock(&heap->sets_lock);
		heap_drop_hold();
	}
	free(slots);
}
