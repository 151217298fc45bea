/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quarantine.h"

#include "heap-internal.h"
#include "layer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

static const uint64_t QUARANTINE_SLOT_LEAST = 16ULL << 20;
static const uint64_t QUARANTINE_SLOT_MOST = MTLSD_HEAP_LAYER ? 64ULL << 30 : 1ULL << 30;

enum {
	QUARANTINE_SLOTS = MTLSD_HEAP_LAYER ? 128 : 64, /* by default: twice that many heaps are too many plugins */
};

static struct {
	pthread_mutex_t lock; /* guards all of it; heap pointers are read without it */
	uint64_t slot_bytes, meta_bytes;
	uintptr_t meta_base;
	struct heap *heaps[BIN_HEAPS];
	char names[BIN_HEAPS][HEAP_NAME_BYTES];
	uint16_t queue[BIN_HEAPS]; /* free slots, longest free first */
	unsigned queue_first, queue_count;
} quarantine = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t
quarantine_meta_for(uint64_t slot_bytes)
{
	return slot_bytes / 2 + SIDE_SITES * sizeof(uintptr_t);
}

static uint64_t
quarantine_spans_for(uint64_t slot_bytes)
{
	return slot_bytes / RUN_GRANULE * sizeof(struct span);
}

/* The largest slot of which so many fit into half of what the process may map. */
static uint64_t
quarantine_fit(unsigned slots)
{
	struct rlimit limit;
	uint64_t bytes = QUARANTINE_SLOT_MOST;

	if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		while (bytes > QUARANTINE_SLOT_LEAST &&
		       (bytes + quarantine_meta_for(bytes) + quarantine_spans_for(bytes)) * slots > limit.rlim_cur / 2)
			bytes /= 2;
	return bytes;
}

static int
quarantine_reserve(unsigned slots, uint64_t slot_bytes)
{
	if (bin_range.bytes != 0)
		return -EALREADY;
	if (slots == 0)
		slots = QUARANTINE_SLOTS;
	if (slot_bytes == 0) /* without the layer nothing comes to lie in the slots, and checkers cannot map so much */
		slot_bytes = MTLSD_HEAP_LAYER ? quarantine_fit(slots) : QUARANTINE_SLOT_LEAST;
	if (slots > BIN_HEAPS || slot_bytes < QUARANTINE_SLOT_LEAST || slot_bytes & (slot_bytes - 1))
		return -EINVAL;
	uint64_t meta_bytes = quarantine_meta_for(slot_bytes);
	/* A slot more to align the start: spans and large alignments count from there. */
	uint64_t total = slots * (slot_bytes + meta_bytes + quarantine_spans_for(slot_bytes)) + slot_bytes;
	void *range = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (range == MAP_FAILED)
		return -errno;
	class_setup();
	sample_setup();
	int r = bin_setup();
	if (r == 0)
		r = -pthread_atfork(heap_fork_prepare, heap_fork_done, heap_fork_done);
	if (r < 0) {
		(void) munmap(range, total);
		return r;
	}
	uintptr_t base = ((uintptr_t) range + slot_bytes - 1) & ~(uintptr_t) (slot_bytes - 1);
	quarantine.slot_bytes = slot_bytes;
	quarantine.meta_bytes = meta_bytes;
	quarantine.meta_base = base + slots * slot_bytes;
	for (unsigned slot = 0; slot < slots; slot++) {
		quarantine.queue[slot] = (uint16_t) slot;
		bin_range.generation[slot] = 1;
	}
	quarantine.queue_count = slots;
	bin_range.base = base;
	bin_range.spans = (struct span *) (quarantine.meta_base + slots * meta_bytes);
	bin_range.slots = slots;
	bin_range.shift = (unsigned) __builtin_ctzl(slot_bytes);
	bin_range.bytes = slots * slot_bytes;
	return 0;
}

int
heap_reserve(unsigned heaps, uint64_t slot_bytes)
{
	pthread_mutex_lock(&quarantine.lock);
	int r = quarantine_reserve(heaps, slot_bytes);
	pthread_mutex_unlock(&quarantine.lock);
	return r;
}

uint64_t
quarantine_slot_bytes(void)
{
	return quarantine.slot_bytes;
}

uint64_t
quarantine_meta_bytes(void)
{
	return quarantine.meta_bytes;
}

int
quarantine_take(unsigned *ret_slot, uintptr_t *ret_base, uintptr_t *ret_meta)
{
	int r = 0;

	pthread_mutex_lock(&quarantine.lock);
	if (bin_range.bytes == 0)
		r = quarantine_reserve(0, 0);
	if (r == 0 && quarantine.queue_count == 0)
		r = -ENOMEM;
	if (r == 0) {
		unsigned slot = quarantine.queue[quarantine.queue_first];
		quarantine.queue_first = (quarantine.queue_first + 1) % BIN_HEAPS;
		quarantine.queue_count--;
		*ret_slot = slot;
		*ret_base = bin_range.base + slot * quarantine.slot_bytes;
		*ret_meta = quarantine.meta_base + slot * quarantine.meta_bytes;
	}
	pthread_mutex_unlock(&quarantine.lock);
	return r;
}

void
quarantine_publish(unsigned slot, struct heap *heap, const char *name)
{
	pthread_mutex_lock(&quarantine.lock);
	(void) snprintf(quarantine.names[slot], sizeof(quarantine.names[slot]), "%s", name);
	__atomic_fetch_add(&bin_range.generation[slot], 1, __ATOMIC_RELAXED);
	__atomic_store_n(&quarantine.heaps[slot], heap, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&quarantine.lock);
}

void
quarantine_withdraw(unsigned slot)
{
	pthread_mutex_lock(&quarantine.lock);
	__atomic_fetch_add(&bin_range.generation[slot], 1, __ATOMIC_RELAXED);
	__atomic_store_n(&quarantine.heaps[slot], NULL, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&quarantine.lock);
}

/* One call a range, whatever was mapped there: the pages go, the mapping merges with its unreadable neighbours. */
static void
quarantine_wipe(uintptr_t base, size_t used)
{
	if (used == 0)
		return;
	if (mmap((void *) base, used, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) !=
	    MAP_FAILED)
		return;
	/* No mapping to be had: at least the pages go. */
	(void) madvise((void *) base, used, MADV_DONTNEED);
	(void) mprotect((void *) base, used, PROT_NONE);
}

void
quarantine_give(unsigned slot, size_t used, size_t meta_used)
{
	uint64_t spans = quarantine_spans_for(quarantine.slot_bytes);

	quarantine_wipe(bin_range.base + slot * quarantine.slot_bytes, used);
	quarantine_wipe(quarantine.meta_base + slot * quarantine.meta_bytes, meta_used);
	quarantine_wipe((uintptr_t) bin_range.spans + slot * spans, spans);
	pthread_mutex_lock(&quarantine.lock);
	quarantine.queue[(quarantine.queue_first + quarantine.queue_count) % BIN_HEAPS] = (uint16_t) slot;
	quarantine.queue_count++;
	pthread_mutex_unlock(&quarantine.lock);
}

const char *
quarantine_name(unsigned slot)
{
	return slot < BIN_HEAPS && quarantine.names[slot][0] != '\0' ? quarantine.names[slot] : "?";
}

struct heap *
heap_in_slot(unsigned slot)
{
	return slot < bin_range.slots ? __atomic_load_n(&quarantine.heaps[slot], __ATOMIC_ACQUIRE) : NULL;
}

struct heap *
heap_hold(unsigned slot, uint64_t generation)
{
	pthread_mutex_lock(&quarantine.lock);
	if (bin_range.generation[slot] == generation && quarantine.heaps[slot] != NULL)
		return quarantine.heaps[slot];
	pthread_mutex_unlock(&quarantine.lock);
	return NULL;
}

void
heap_drop_hold(void)
{
	pthread_mutex_unlock(&quarantine.lock);
}

void
quarantine_lock(void)
{
	pthread_mutex_lock(&quarantine.lock);
}

void
quarantine_unlock(void)
{
	pthread_mutex_unlock(&quarantine.lock);
}

struct heap *
heap_of(const void *p)
{
	uintptr_t offset = (uintptr_t) p - bin_range.base;

	return offset < bin_range.bytes ? heap_in_slot((unsigned) (offset >> bin_range.shift)) : NULL;
}
