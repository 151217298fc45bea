/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heap.h"

#include "heap-internal.h"
#include "layer.h"
#include "quarantine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	HEAP_RESERVE_MOST = 256 << 10, /* bytes beyond the hard limit for the error path of who was refused */
	HEAP_RESERVE_SHARE = 64,
	HEAP_PEAK_STEP = 64 << 10,
	HEAP_SAMPLE_INTERVAL =
		2 << 20, /* a stack walk is 2 us: at 512 KiB they would be a fifth of all malloc and free */
};

static struct {
	void (*handler)(const struct heap_fault *, void *);
	void *ctx;
} heap_fault_hook;

static uint64_t
heap_load(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void
heap_add(uint64_t *counter, uint64_t value)
{
	__atomic_fetch_add(counter, value, __ATOMIC_RELAXED);
}

void
heap_set_limits(struct heap *heap, const struct heap_limits *limits)
{
	uint64_t soft = limits != NULL ? limits->soft : 0, hard = limits != NULL ? limits->hard : 0;
	uint64_t reserve = hard / HEAP_RESERVE_SHARE;

	if (reserve > HEAP_RESERVE_MOST)
		reserve = HEAP_RESERVE_MOST;
	__atomic_store_n(&heap->soft, soft, __ATOMIC_RELAXED);
	__atomic_store_n(&heap->reserve, reserve, __ATOMIC_RELAXED);
	__atomic_store_n(&heap->hard, hard, __ATOMIC_RELAXED);
}

const char *
heap_name(const struct heap *heap)
{
	return heap->name;
}

/* Bytes and blocks that lie in bins. The list of sets only grows, at its head: no lock. */
static uint64_t
heap_binned(const struct heap *heap, uint64_t *ret_blocks)
{
	uint64_t bytes = 0, blocks = 0;

	for (const struct bin_set *set = __atomic_load_n(&heap->sets, __ATOMIC_ACQUIRE); set != NULL; set = set->next)
		for (unsigned class = 1; class <= CLASS_COUNT; class ++) {
			uint64_t count = bin_count(&set->bins[class]);
			blocks += count;
			bytes += count * class_rows[class].size;
		}
	*ret_blocks = blocks;
	return bytes;
}

uint64_t
heap_live_bytes(const struct heap *heap)
{
	uint64_t blocks, binned = heap_binned(heap, &blocks), out = heap_load(&heap->out_bytes);

	/* The two are read one after the other: while threads are at work the difference may be off by what they move.
	 */
	return out > binned ? out - binned : 0;
}

static void
heap_note_peak(struct heap *heap, uint64_t live)
{
	uint64_t peak = heap_load(&heap->peak_bytes);

	while (live > peak &&
	       !__atomic_compare_exchange_n(&heap->peak_bytes, &peak, live, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

bool
heap_charge(struct heap *heap, uint64_t bytes)
{
	uint64_t out = __atomic_add_fetch(&heap->out_bytes, bytes, __ATOMIC_RELAXED), hard = heap_load(&heap->hard);

	if (__builtin_expect(hard != 0 && heap->refuses && out > hard, 0)) {
		/* What other threads' bins hold is not in use: only what is live counts. */
		uint64_t most = hard + (bin_self.desperate == heap ? heap_load(&heap->reserve) : 0);
		if (heap_live_bytes(heap) > most) {
			heap_uncharge(heap, bytes);
			return false;
		}
	}
	if (out > heap_load(&heap->peak_next)) {
		__atomic_store_n(&heap->peak_next, out + HEAP_PEAK_STEP + out / 64, __ATOMIC_RELAXED);
		heap_note_peak(heap, heap_live_bytes(heap));
	}
	return true;
}

void
heap_uncharge(struct heap *heap, uint64_t bytes)
{
	__atomic_fetch_sub(&heap->out_bytes, bytes, __ATOMIC_RELAXED);
}

void *
heap_refuse(struct heap *heap, uintptr_t site)
{
	heap_add(&heap->refused, 1);
	__atomic_store_n(&heap->refused_site, site, __ATOMIC_RELAXED);
	if (bin_self.space != NULL)
		bin_self.desperate = heap;
	errno = ENOMEM;
	return NULL;
}

void
heap_live(const struct heap *heap, struct heap_live *ret)
{
	uint64_t binned_blocks, binned = heap_binned(heap, &binned_blocks), blocks = heap_load(&heap->large_objects);
	struct heap_live live = {.bytes = heap_load(&heap->out_bytes),
				 .arena_bytes = heap_load(&heap->retired.arena_bytes)};

	live.bytes -= binned < live.bytes ? binned : live.bytes;
	for (unsigned class = 1; class <= CLASS_COUNT; class ++)
		blocks += heap_load(&heap->central[class].out);
	live.objects = blocks > binned_blocks ? blocks - binned_blocks : 0;
	for (const struct bin_set *set = __atomic_load_n(&heap->sets, __ATOMIC_ACQUIRE); set != NULL; set = set->next)
		live.arena_bytes += heap_load(&set->counts.arena_bytes);
	*ret = live;
}

void
heap_usage(const struct heap *heap, struct heap_usage *ret)
{
	struct heap_usage usage = {0};
	struct heap *writable = (struct heap *) heap; /* for its locks and its high-water mark only */
	struct heap_live live;

	heap_live(heap, &live);
	usage.live_bytes = live.bytes;
	usage.live_objects = live.objects;
	usage.arena_bytes = live.arena_bytes;
	heap_note_peak(writable, usage.live_bytes);
	usage.peak_bytes = heap_load(&heap->peak_bytes);

	usage.allocated_bytes = heap_load(&heap->retired.bytes);
	usage.allocated_objects = heap_load(&heap->retired.objects);
	for (const struct bin_set *set = __atomic_load_n(&heap->sets, __ATOMIC_ACQUIRE); set != NULL; set = set->next) {
		usage.allocated_bytes += heap_load(&set->counts.bytes);
		usage.allocated_objects += heap_load(&set->counts.objects);
		for (unsigned class = 1; class <= CLASS_COUNT; class ++) {
			uint64_t served = bin_served(set, class);
			usage.allocated_objects += served;
			usage.allocated_bytes += served * class_rows[class].size;
		}
	}
	pthread_mutex_lock(&writable->runs.lock);
	usage.resident_bytes = heap->runs.resident_pages * RUN_PAGE;
	usage.retained_bytes = heap->runs.retained_pages * RUN_PAGE;
	usage.side_bytes = meta_bytes(&heap->meta) + heap->runs.top * sizeof(struct span);
	pthread_mutex_unlock(&writable->runs.lock);
	usage.side_bytes += __atomic_load_n(&heap->sites.used, __ATOMIC_RELAXED) * sizeof(uintptr_t);
	usage.refused = heap_load(&heap->refused);
	usage.refused_site = __atomic_load_n(&heap->refused_site, __ATOMIC_RELAXED);
	usage.faults = heap_load(&heap->faults);
	usage.epoch = __atomic_load_n(heap->clock, __ATOMIC_RELAXED);
	*ret = usage;
}

static uint64_t
heap_purge(struct heap *heap, uint32_t now, uint32_t age)
{
	for (unsigned class = 1; class <= CLASS_COUNT; class ++)
		central_trim(heap, class);
	return run_purge(&heap->runs, now, age);
}

/* All of the slot, so that pages which are taken into use later are hidden too. */
int
heap_hide(struct heap *heap)
{
	return madvise((void *) heap->base, quarantine_slot_bytes(), MADV_DONTDUMP) < 0 ? -errno : 0;
}

uint64_t
heap_trim(struct heap *heap)
{
	struct bin_set *set = bin_set_of(heap);

	if (set != NULL)
		bin_flush_all(set);
	return heap_purge(heap, heap->runs.clock, 0);
}

/* Keeps a heap that heap_decay looks at from ending meanwhile. */
static pthread_mutex_t heap_decay_lock = PTHREAD_MUTEX_INITIALIZER;

uint64_t
heap_decay(uint32_t now, uint32_t age)
{
	uint64_t bytes = 0;

	pthread_mutex_lock(&heap_decay_lock);
	for (unsigned slot = 0; slot < bin_range.slots; slot++) {
		struct heap *heap = heap_in_slot(slot);
		if (heap != NULL)
			bytes += heap_purge(heap, now, age);
	}
	pthread_mutex_unlock(&heap_decay_lock);
	return bytes;
}

void
heap_set_sampling(struct heap *heap, uint64_t interval)
{
	__atomic_store_n(&heap->samples.interval, interval, __ATOMIC_RELAXED);
}

int
heap_stacks_take(const struct heap *heap, struct heap_stack_usage **ret, size_t *ret_count)
{
	int r = heap_stacks_ever(heap, ret, ret_count);

	while (r == 0 && *ret_count != 0 && (*ret)[*ret_count - 1].objects == 0)
		(*ret_count)--;
	return r;
}

int
heap_stacks_ever(const struct heap *heap, struct heap_stack_usage **ret, size_t *ret_count)
{
	return sample_collect((struct sample_table *) &heap->samples, ret, ret_count); /* for its lock only */
}

void
heap_on_fault(void (*handler)(const struct heap_fault *, void *ctx), void *ctx)
{
	heap_fault_hook.ctx = ctx;
	heap_fault_hook.handler = handler;
}

void
heap_fault(unsigned slot, enum heap_fault_kind kind, const void *block, uintptr_t site)
{
	struct heap_fault fault = {kind, quarantine_name(slot), block, site};
	struct heap *heap = heap_in_slot(slot);

	if (heap != NULL)
		heap_add(&heap->faults, 1);
	if (heap_fault_hook.handler == NULL)
		return;
	struct scope_space *space = bin_pause();
	heap_fault_hook.handler(&fault, heap_fault_hook.ctx);
	bin_resume(space);
}

/* The heap's bookkeeping: its part of the span table; in its range the site table, then pieces. */
static int
heap_setup_meta(struct heap *heap, uintptr_t meta)
{
	size_t sites = SIDE_SITES * sizeof(uintptr_t), spans = quarantine_slot_bytes() / RUN_GRANULE;

	heap->spans = bin_range.spans + heap->slot * spans;
	if (mprotect((void *) meta, sites, PROT_READ | PROT_WRITE) < 0 ||
	    mprotect(heap->spans, spans * sizeof(struct span), PROT_READ | PROT_WRITE) < 0)
		return -errno;
	heap->sites.address = (uintptr_t *) meta;
	meta_setup(&heap->meta, meta + sites, meta + quarantine_meta_bytes());
	return 0;
}

int
heap_new(const char *name, const struct heap_limits *limits, bool refuses, struct heap **ret)
{
	uintptr_t base, meta;
	unsigned slot;
	int r = quarantine_take(&slot, &base, &meta);

	if (r < 0)
		return r;
	struct heap *heap = aligned_alloc(64, sizeof(*heap));
	if (heap == NULL) {
		quarantine_give(slot, 0, 0);
		return -ENOMEM;
	}
	memset(heap, 0, sizeof(*heap));
	(void) snprintf(heap->name, sizeof(heap->name), "%s", name);
	heap->slot = slot;
	heap->base = base;
	heap->refuses = refuses;
	heap->own_clock = 1; /* so that nothing is as old as "never" */
	heap->clock = &heap->own_clock;
	heap_set_limits(heap, limits);
	sample_init(&heap->samples, HEAP_SAMPLE_INTERVAL);
	r = heap_setup_meta(heap, meta);
	if (r < 0) {
		quarantine_give(slot, 0, 0);
		free(heap);
		return r;
	}
	pthread_mutex_init(&heap->sets_lock, NULL);
	run_setup(&heap->runs, base, heap->spans, quarantine_slot_bytes());
	for (unsigned class = 1; class <= CLASS_COUNT; class ++)
		central_setup(&heap->central[class]);
	quarantine_publish(slot, heap, heap->name);
	*ret = heap;
	return 0;
}

void
heap_free(struct heap **heap)
{
	struct heap *dead = *heap;

	if (dead == NULL)
		return;
	*heap = NULL;
	pthread_mutex_lock(&heap_decay_lock);
	quarantine_withdraw(dead->slot);
	pthread_mutex_unlock(&heap_decay_lock);
	quarantine_give(dead->slot, (size_t) dead->runs.committed << RUN_SHIFT,
			dead->meta.committed - (uintptr_t) dead->sites.address);
	sample_clear(&dead->samples);
	free(dead);
}

/* All locks of a heap, in the order in which the code takes them. */
static void
heap_lock_all(struct heap *heap)
{
	pthread_mutex_lock(&heap->sets_lock);
	for (unsigned class = 1; class <= CLASS_COUNT; class ++)
		pthread_mutex_lock(&heap->central[class].lock);
	pthread_mutex_lock(&heap->runs.lock);
	pthread_mutex_lock(&heap->meta.lock);
	pthread_mutex_lock(&heap->samples.lock);
}

static void
heap_unlock_all(struct heap *heap)
{
	pthread_mutex_unlock(&heap->samples.lock);
	pthread_mutex_unlock(&heap->meta.lock);
	pthread_mutex_unlock(&heap->runs.lock);
	for (unsigned class = CLASS_COUNT; class >= 1; class --)
		pthread_mutex_unlock(&heap->central[class].lock);
	pthread_mutex_unlock(&heap->sets_lock);
}

void
heap_fork_prepare(void)
{
	quarantine_lock();
	for (unsigned slot = 0; slot < bin_range.slots; slot++)
		if (heap_in_slot(slot) != NULL)
			heap_lock_all(heap_in_slot(slot));
}

void
heap_fork_done(void)
{
	for (unsigned slot = bin_range.slots; slot-- > 0;)
		if (heap_in_slot(slot) != NULL)
			heap_unlock_all(heap_in_slot(slot));
	quarantine_unlock();
}
