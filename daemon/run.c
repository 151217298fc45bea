/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run.h"

#include <assert.h>
#include <sys/mman.h>

enum {
	RUN_EXACT = 32,       /* lists of one length each; four a doubling above */
	RUN_SCAN = 32,        /* runs looked at in the list whose lengths may be too short */
	RUN_STEP = 64,        /* granules made readable at a time, at least */
	RUN_PURGE_BATCH = 64, /* runs taken out of the pool while the kernel drops their pages */
};

static_assert(sizeof(struct span) == 64, "a span is one cache line");

static unsigned
run_list_of(uint32_t granules)
{
	if (granules <= RUN_EXACT)
		return granules - 1;
	unsigned log = 31U - (unsigned) __builtin_clz(granules);
	return RUN_EXACT + (log - 5) * 4 + ((granules >> (log - 2)) & 3);
}

void
run_setup(struct run_pool *pool, uintptr_t base, struct span *spans, uint64_t bytes)
{
	*pool = (struct run_pool){.base = base, .spans = spans, .limit = (uint32_t) (bytes >> RUN_SHIFT)};
	pthread_mutex_init(&pool->lock, NULL);
}

static void
run_link(struct run_pool *pool, uint32_t granule, uint32_t granules)
{
	struct span *first = &pool->spans[granule], *last = &pool->spans[granule + granules - 1];
	unsigned list = run_list_of(granules);

	last->edge = true;
	last->granules = granules;
	first->edge = true;
	first->granules = granules;
	first->previous = 0;
	first->next = pool->list[list];
	if (first->next != 0)
		pool->spans[first->next - 1].previous = granule + 1;
	pool->list[list] = granule + 1;
	pool->bitmap[list / 64] |= 1ULL << list % 64;
}

static void
run_unlink(struct run_pool *pool, uint32_t granule)
{
	struct span *first = &pool->spans[granule];
	unsigned list = run_list_of(first->granules);

	if (first->next != 0)
		pool->spans[first->next - 1].previous = first->previous;
	if (first->previous != 0)
		pool->spans[first->previous - 1].next = first->next;
	else
		pool->list[list] = first->next;
	if (pool->list[list] == 0)
		pool->bitmap[list / 64] &= ~(1ULL << list % 64);
	pool->spans[granule + first->granules - 1].edge = false;
	first->edge = false;
	first->next = first->previous = 0;
}

/* Puts a stretch without owner into the lists, merged with its free neighbours. */
static void
run_insert(struct run_pool *pool, uint32_t granule, uint32_t granules)
{
	if (granule > 0 && pool->spans[granule - 1].edge) {
		uint32_t before = pool->spans[granule - 1].granules;
		run_unlink(pool, granule - before);
		granule -= before;
		granules += before;
	}
	if (granule + granules < pool->top && pool->spans[granule + granules].edge) {
		uint32_t behind = pool->spans[granule + granules].granules;
		run_unlink(pool, granule + granules);
		granules += behind;
	}
	run_link(pool, granule, granules);
}

/* How far into the run an aligned start lies. */
static uint32_t
run_skip(uint32_t granule, uint32_t align)
{
	return (align - granule % align) % align;
}

static uint32_t
run_find(const struct run_pool *pool, uint32_t granules, uint32_t align)
{
	uint32_t most = granules + align - 1; /* surely enough, wherever the run starts */
	unsigned list = run_list_of(granules), scanned = 0;

	for (uint32_t at = pool->list[list]; at != 0 && scanned < RUN_SCAN; at = pool->spans[at - 1].next, scanned++)
		if (pool->spans[at - 1].granules >= granules + run_skip(at - 1, align))
			return at;
	list = run_list_of(most) + 1;
	for (unsigned word = list / 64; word < RUN_LISTS / 64; word++) {
		uint64_t bits = pool->bitmap[word];
		if (word == list / 64)
			bits &= ~0ULL << list % 64;
		if (bits != 0)
			return pool->list[word * 64 + (unsigned) __builtin_ctzl(bits)];
	}
	return 0;
}

/* Opens fresh addresses at the top of what was ever used, as a free run. */
static bool
run_grow(struct run_pool *pool, uint32_t granules)
{
	if (granules > pool->limit - pool->top)
		return false;
	if (pool->top + granules > pool->committed) {
		uint32_t step = pool->committed / 4 > RUN_STEP ? pool->committed / 4 : RUN_STEP;
		uint32_t missing = pool->top + granules - pool->committed;
		if (step < missing)
			step = missing;
		if (step > pool->limit - pool->committed)
			step = pool->limit - pool->committed;
		if (mprotect((void *) (pool->base + ((uintptr_t) pool->committed << RUN_SHIFT)),
			     (size_t) step << RUN_SHIFT, PROT_READ | PROT_WRITE) < 0)
			return false;
		pool->committed += step;
	}
	uint32_t at = pool->top;
	__atomic_store_n(&pool->top, pool->top + granules, __ATOMIC_RELEASE);
	run_insert(pool, at, granules);
	return true;
}

/* Marks pages of a run in use as held; they were free or untouched before. */
static void
run_hold(struct run_pool *pool, uint32_t granule, uint64_t from, uint64_t pages)
{
	for (uint64_t page = from / RUN_PAGES * RUN_PAGES; page < pages; page += RUN_PAGES) {
		struct span *span = &pool->spans[granule + page / RUN_PAGES];
		uint64_t held = pages - page < RUN_PAGES ? pages - page : RUN_PAGES;
		if (span->dirty < held) {
			pool->resident_pages += held - span->dirty;
			span->dirty = (uint8_t) held;
		}
	}
}

/* Takes granules of a free run out of the retained count; true if every page still is the kernel's zero page. */
static bool
run_claim(struct run_pool *pool, uint32_t granule, uint32_t granules)
{
	bool zeroed = true;

	for (uint32_t i = granule; i < granule + granules; i++) {
		pool->retained_pages -= pool->spans[i].dirty;
		zeroed &= pool->spans[i].dirty == 0;
	}
	return zeroed;
}

uint32_t
run_take(struct run_pool *pool, uint32_t granules, uint32_t align, uint64_t touched)
{
	uint32_t at = 0;

	pthread_mutex_lock(&pool->lock);
	uint32_t found = run_find(pool, granules, align);
	if (found == 0) {
		uint32_t wanted = granules + run_skip(pool->top, align);
		if (!run_grow(pool, wanted))
			goto out;
		/* The new stretch may have merged with a free run before it. */
		uint32_t head = pool->spans[pool->top - 1].granules;
		found = pool->top - head + 1;
	}
	uint32_t start = found - 1, length = pool->spans[start].granules;
	run_unlink(pool, start);
	uint32_t skip = run_skip(start, align);
	if (skip != 0)
		run_link(pool, start, skip);
	if (length > skip + granules)
		run_link(pool, start + skip + granules, length - skip - granules);
	start += skip;
	struct span *first = &pool->spans[start];
	first->zeroed = run_claim(pool, start, granules);
	first->granules = granules;
	run_hold(pool, start, 0, touched);
	at = start + 1;
out:
	pthread_mutex_unlock(&pool->lock);
	return at;
}

static void
run_release(struct run_pool *pool, uint32_t granule, uint32_t granules)
{
	for (uint32_t i = granule; i < granule + granules; i++) {
		pool->spans[i].freed_at = pool->clock;
		pool->retained_pages += pool->spans[i].dirty;
	}
	pool->spans[granule + granules - 1].edge = false;
	pool->spans[granule].edge = false;
	run_insert(pool, granule, granules);
}

void
run_give(struct run_pool *pool, uint32_t granule, uint32_t granules)
{
	pthread_mutex_lock(&pool->lock);
	run_release(pool, granule, granules);
	pthread_mutex_unlock(&pool->lock);
}

bool
run_extend(struct run_pool *pool, uint32_t granule, uint32_t granules, uint32_t wanted, uint64_t touched)
{
	bool done = false;

	pthread_mutex_lock(&pool->lock);
	uint32_t behind = granule + granules, more = wanted - granules;
	if (behind == pool->top)
		(void) run_grow(pool, more);
	if (behind < pool->top && pool->spans[behind].edge && pool->spans[behind].granules >= more) {
		uint32_t length = pool->spans[behind].granules;
		run_unlink(pool, behind);
		if (length > more)
			run_link(pool, behind + more, length - more);
		(void) run_claim(pool, behind, more);
		pool->spans[granule].granules = wanted;
		run_hold(pool, granule, 0, touched);
		done = true;
	}
	pthread_mutex_unlock(&pool->lock);
	return done;
}

void
run_touch(struct run_pool *pool, uint32_t granule, uint64_t pages)
{
	pthread_mutex_lock(&pool->lock);
	run_hold(pool, granule, 0, pages);
	pthread_mutex_unlock(&pool->lock);
}

void
run_drop_tail(struct run_pool *pool, uint32_t granule, uint32_t granules, uint64_t pages)
{
	uint32_t keep = (uint32_t) ((pages + RUN_PAGES - 1) / RUN_PAGES);

	pthread_mutex_lock(&pool->lock);
	if (pages % RUN_PAGES != 0) {
		/* The granule the block still ends in: its tail pages go at once, they cannot be anyone else's. */
		struct span *last = &pool->spans[granule + keep - 1];
		uint8_t held = (uint8_t) (pages % RUN_PAGES);
		if (last->dirty > held) {
			uintptr_t from = pool->base + ((uintptr_t) (granule + keep - 1) << RUN_SHIFT) +
					 held * (uintptr_t) RUN_PAGE;
			(void) madvise((void *) from, (size_t) (last->dirty - held) * RUN_PAGE, MADV_DONTNEED);
			pool->resident_pages -= last->dirty - held;
			last->dirty = held;
		}
	}
	if (keep < granules) {
		pool->spans[granule].granules = keep;
		for (uint32_t i = granule + keep; i < granule + granules; i++)
			pool->spans[i].edge = false;
		run_release(pool, granule + keep, granules - keep);
	}
	pthread_mutex_unlock(&pool->lock);
}

static bool
run_is_old(const struct run_pool *pool, uint32_t granule, uint32_t now, uint32_t age)
{
	return pool->spans[granule].dirty != 0 && now - pool->spans[granule].freed_at >= age;
}

/* Takes up to a batch of runs with old pages out of the lists. */
static unsigned
run_collect(struct run_pool *pool, uint32_t now, uint32_t age, uint32_t taken[static RUN_PURGE_BATCH])
{
	unsigned count = 0;

	for (unsigned list = 0; list < RUN_LISTS; list++) {
		for (uint32_t at = pool->list[list], next; at != 0 && count < RUN_PURGE_BATCH; at = next) {
			next = pool->spans[at - 1].next;
			uint32_t start = at - 1, end = start + pool->spans[start].granules, i = start;
			while (i < end && !run_is_old(pool, i, now, age))
				i++;
			if (i == end)
				continue;
			run_unlink(pool, start);
			taken[count++] = start;
		}
	}
	return count;
}

/* Drops old pages of a run that is out of the lists; called without the lock, so that allocation goes on. */
static void
run_drop(const struct run_pool *pool, uint32_t start, uint32_t end, uint32_t now, uint32_t age)
{
	for (uint32_t i = start; i < end;) {
		uint32_t from = i;
		while (i < end && run_is_old(pool, i, now, age))
			i++;
		if (i > from)
			(void) madvise((void *) (pool->base + ((uintptr_t) from << RUN_SHIFT)),
				       (size_t) (i - from) << RUN_SHIFT, MADV_DONTNEED);
		else
			i++;
	}
}

uint64_t
run_purge(struct run_pool *pool, uint32_t now, uint32_t age)
{
	uint32_t taken[RUN_PURGE_BATCH];
	uint64_t pages = 0;
	unsigned count;

	pthread_mutex_lock(&pool->lock);
	pool->clock = now;
	while (pool->retained_pages != 0 && (count = run_collect(pool, now, age, taken)) != 0) {
		pthread_mutex_unlock(&pool->lock);
		for (unsigned i = 0; i < count; i++)
			run_drop(pool, taken[i], taken[i] + pool->spans[taken[i]].granules, now, age);
		pthread_mutex_lock(&pool->lock);
		for (unsigned i = 0; i < count; i++) {
			uint32_t granules = pool->spans[taken[i]].granules;
			for (uint32_t g = taken[i]; g < taken[i] + granules; g++) {
				if (!run_is_old(pool, g, now, age))
					continue;
				pages += pool->spans[g].dirty;
				pool->resident_pages -= pool->spans[g].dirty;
				pool->retained_pages -= pool->spans[g].dirty;
				pool->spans[g].dirty = 0;
			}
			run_insert(pool, taken[i], granules);
		}
	}
	pthread_mutex_unlock(&pool->lock);
	return pages * RUN_PAGE;
}
