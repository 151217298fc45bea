/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* cache.h - a cache as plugins write them: a hash of entries in the order of their last use, bounded in number, entries
 * of an age at will.
 *
 * Threads: one at a time. Owns: its entries, until cache_clear.
 */
#include "corpus.h"

struct cache_entry {
	struct cache_entry *chain;         /* same bucket */
	struct cache_entry *older, *newer; /* all entries by last use */
	uint64_t key, born;                /* born: microseconds */
	size_t bytes;
	char value[];
};

struct cache {
	size_t capacity; /* entries */
	size_t buckets;  /* a power of two */
	uint64_t life;   /* microseconds; 0: for ever */
	struct cache_entry **table;
	struct cache_entry *oldest, *newest;
	size_t count, bytes;
};

static inline struct cache_entry **
cache_bucket(const struct cache *cache, uint64_t key)
{
	return &cache->table[(key * 0x9e3779b97f4a7c15 >> 32) & (cache->buckets - 1)];
}

static inline void
cache_unlink(struct cache *cache, struct cache_entry *entry)
{
	*(entry->older ? &entry->older->newer : &cache->oldest) = entry->newer;
	*(entry->newer ? &entry->newer->older : &cache->newest) = entry->older;
}

static inline void
cache_link(struct cache *cache, struct cache_entry *entry)
{
	entry->older = cache->newest;
	entry->newer = NULL;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = entry;
	cache->newest = entry;
}

static inline void
cache_drop(struct cache *cache, struct cache_entry *entry)
{
	struct cache_entry **place = cache_bucket(cache, entry->key);

	while (*place != entry)
		place = &(*place)->chain;
	*place = entry->chain;
	cache_unlink(cache, entry);
	cache->count--;
	cache->bytes -= entry->bytes;
	free(entry);
}

/* The entry, now the newest, or NULL. */
static inline struct cache_entry *
cache_get(struct cache *cache, uint64_t key, uint64_t now)
{
	struct cache_entry *entry = cache->table ? *cache_bucket(cache, key) : NULL;

	while (entry && entry->key != key)
		entry = entry->chain;
	if (!entry)
		return NULL;
	if (cache->life && now - entry->born > cache->life) {
		cache_drop(cache, entry);
		return NULL;
	}
	cache_unlink(cache, entry);
	cache_link(cache, entry);
	return entry;
}

CORPUS_SITE static int
cache_put(struct cache *cache, uint64_t key, size_t bytes, uint64_t now)
{
	if (!cache->table && !(cache->table = calloc(cache->buckets, sizeof(cache->table[0]))))
		return -1;
	struct cache_entry *entry = malloc(sizeof(*entry) + bytes), **bucket = cache_bucket(cache, key);
	if (!entry)
		return -1; /* a cache that cannot grow still serves */
	memset(entry->value, 'v', bytes < 16 ? bytes : 16);
	entry->key = key;
	entry->born = now;
	entry->bytes = sizeof(*entry) + bytes;
	entry->chain = *bucket;
	*bucket = entry;
	cache_link(cache, entry);
	cache->count++;
	cache->bytes += entry->bytes;
	while (cache->count > cache->capacity)
		cache_drop(cache, cache->oldest);
	return 0;
}

/* Looks the key up, and keeps `bytes` for it if it is not there. */
static inline void
cache_use(struct cache *cache, uint64_t key, size_t bytes)
{
	uint64_t now = cache->life ? corpus_now() : 0;

	if (!cache_get(cache, key, now))
		(void) cache_put(cache, key, bytes, now);
}

/* Entries that have lived their time. */
static inline void
cache_sweep(struct cache *cache, uint64_t now)
{
	struct cache_entry *next;

	for (struct cache_entry *entry = cache->oldest; entry; entry = next) {
		next = entry->newer;
		if (now - entry->born > cache->life)
			cache_drop(cache, entry);
	}
}

/* Frees about `target` bytes, the oldest first; the table goes with the last entry. */
static inline uint64_t
cache_evict(struct cache *cache, uint64_t target)
{
	uint64_t freed = 0;

	while (cache->oldest && freed < target) {
		freed += cache->oldest->bytes;
		cache_drop(cache, cache->oldest);
	}
	if (!cache->oldest && cache->table) {
		freed += cache->buckets * sizeof(cache->table[0]);
		free(cache->table);
		cache->table = NULL;
	}
	return freed;
}
