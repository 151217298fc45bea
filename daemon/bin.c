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
	BIN_TRIES = 1000,
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

uint64_t
bin_served(const struct bin_set *set, unsigned class)
{
	uint64_t ahead = 0, state = 0;

	/* A thread that is in the middle of its change is done in a few instructions; one that a fork has left behind
	 * there never is. */
	for (unsigned tries = 0; tries < BIN_TRIES; tries++) {
		ahead = __atomic_load_n(&set->served[class], __ATOMIC_ACQUIRE);
		state = __atomic_load_n(&set->bins[class].state, __ATOMIC_ACQUIRE);
		if (ahead % 2 == 0 && __atomic_load_n(&set->served[class], __ATOMIC_RELAXED) == ahead)
			break;
	}
	return ahead / 2 - (uint32_t) - (state >> 32);
}

/* Where the bin's top is, its count of what it handed out untouched. */
static void
bin_move_top(struct bin *bin, uint32_t top)
{
	__atomic_store_n(&bin->state, bin->state >> 32 << 32 | top, __ATOMIC_RELAXED);
}

/* The `left`th block from now on is sampled. */
static void
bin_set_sample(struct bin_set *set, unsigned class, uint32_t left)
{
	struct bin *bin = &set->bins[class];
	uint64_t ahead = bin_served(set, class) + left;

	/* Release on the later stores keeps each behind the one before it. */
	__atomic_store_n(&set->served[class], set->served[class] | 1, __ATOMIC_RELAXED);
	__atomic_store_n(&bin->state, (uint64_t) -left << 32 | bin_top(bin), __ATOMIC_RELEASE);
	__atomic_store_n(&set->served[class], ahead * 2, __ATOMIC_RELEASE);
}

static uint32_t
bin_until_sample(struct bin_set *set, unsigned class)
{
	/* One more, since the block in hand is counted after this, or none is in hand. */
	return 1 + (uint32_t) sample_next(&set->heap->samples, class_rows[class].size, &set->bins[class]);
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
		bin_set_sample(set, class, bin_until_sample(set, class));
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
	uint32_t place = offsetof(struct bin_set, entries);
	for (unsigned class = 1; class <= CLASS_COUNT; class ++) {
		struct bin *bin = &set->bins[class];
		uint32_t most = class_rows[class].cache;
		bin->state = bin->floor = place;
		bin->ceiling = place + (most < BIN_FIRST_ROOM ? most : BIN_FIRST_ROOM) * sizeof(struct bin_entry);
		place += most * sizeof(struct bin_entry);
	}
	bin_restart_samples(set);
	return set;
}

/* The routes of the thread that had the set before: they lead to its bins of the other heap. */
static void
bin_forget(struct bin_set *set)
{
	for (unsigned i = 0; i < BIN_ROUTES; i++)
		if (set->routes[i].address != 0) /* writes to no page that was not in use */
			set->routes[i].address = 0;
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
	if (set != NULL) {
		set->idle = false;
		bin_forget(set);
	} else if ((set = bin_set_new(heap)) != NULL) {
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

void
bin_learn(struct bin_set *own, struct bin_set *set, uintptr_t site)
{
	*bin_route_place(own, site) = (struct bin_route){.address = site, .bits = bin_site_bits(set, site), .set = set};
}

static uint32_t
bin_room(const struct bin *bin)
{
	return (bin->ceiling - bin->floor) / sizeof(struct bin_entry);
}

/* Slow start: a bin that is used doubles. */
static void
bin_raise(struct bin *bin, unsigned class)
{
	uint32_t room = bin_room(bin), most = class_rows[class].cache;

	bin->ceiling = bin->floor + (room * 2 < most ? room * 2 : most) * sizeof(struct bin_entry);
}

/* One more block at least into an empty bin. False with errno when heap or machine have none. */
static bool
bin_refill(struct bin_set *set, unsigned class, uintptr_t site)
{
	struct bin *bin = &set->bins[class];
	uint32_t size = class_rows[class].size;
	unsigned want = (bin_room(bin) + 1) / 2;

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
	unsigned got = central_take(set->heap, class, set->shard, bin_entry_at(set, bin->floor), want);
	if (got < want)
		heap_uncharge(set->heap, (uint64_t) (want - got) * size);
	if (got == 0) {
		(void) heap_refuse(set->heap, site);
		return false;
	}
	if (set->sample_interval != __atomic_load_n(&set->heap->samples.interval, __ATOMIC_RELAXED))
		bin_restart_samples(set);
	bin_move_top(bin, bin->floor + got * sizeof(struct bin_entry));
	bin_raise(bin, class);
	return true;
}

bool
bin_take(struct bin_set *set, unsigned class, uintptr_t site, struct bin_entry *ret, bool *ret_sampled)
{
	struct bin *bin = &set->bins[class];

	if (bin_top(bin) == bin->floor && !bin_refill(set, class, site))
		return false;
	bool is_sampled = bin->state >> 32 == UINT32_MAX;
	if (is_sampled)
		bin_set_sample(set, class, bin_until_sample(set, class));
	__atomic_store_n(&bin->state, bin->state + BIN_POP, __ATOMIC_RELAXED);
	*ret = *bin_entry_at(set, bin_top(bin));
	*ret_sampled = is_sampled;
	return true;
}

static void
bin_flush_part(struct bin_set *set, unsigned class, uint32_t count)
{
	struct bin *bin = &set->bins[class];
	struct bin_entry *floor = bin_entry_at(set, bin->floor);
	uint32_t rest = bin_count(bin) - count;

	central_put(set->heap, class, floor, count);
	heap_uncharge(set->heap, (uint64_t) count * class_rows[class].size);
	memmove(floor, floor + count, rest * sizeof(*floor));
	bin_move_top(bin, bin->floor + rest * sizeof(*floor));
}

/* Makes room in a full bin. */
static void
bin_flush(struct bin_set *set, unsigned class)
{
	struct bin *bin = &set->bins[class];

	if (bin_room(bin) < class_rows[class].cache)
		bin_raise(bin, class);
	else
		bin_flush_part(set, class, (bin_count(bin) + 1) / 2); /* the oldest: the youngest are in the cache */
}

void
bin_put(struct bin_set *set, unsigned class, const struct bin_entry *entry)
{
	struct bin *bin = &set->bins[class];

	if (bin_top(bin) == bin->ceiling)
		bin_flush(set, class);
	*bin_entry_at(set, bin_top(bin)) = *entry;
	bin_move_top(bin, bin_top(bin) + sizeof(*entry));
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
	self->own = &bin_no_set;
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
