/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chain-cache.h"

#include "cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

struct entry {
	struct entry *newer, *older; /* by insertion */
	struct entry *next;          /* in its bucket */
	struct chain *chain;
	bool visited;
};

struct chain_cache {
	pthread_mutex_t lock; /* guards all below */
	struct entry **buckets;
	size_t mask;
	struct entry *newest, *oldest, *hand;
	struct chain_cache_counts counts;
};

int
chain_cache_new(size_t room, struct chain_cache **ret)
{
	struct chain_cache *cache = calloc(1, sizeof(*cache));
	if (!cache)
		return -ENOMEM;
	size_t buckets = 1;
	while (buckets < room)
		buckets *= 2;
	cache->buckets = calloc(buckets, sizeof(struct entry *)); /* untouched pages cost nothing */
	if (!cache->buckets) {
		free(cache);
		return -ENOMEM;
	}
	cache->mask = buckets - 1;
	cache->counts.room = room;
	pthread_mutex_init(&cache->lock, NULL);
	*ret = cache;
	return 0;
}

/* The digest is as good as random: a client can choose its own, but not without finding collisions of SHA-256. Those
 * who would fill one bucket on purpose need authorities that sign them a certificate for each. */
static struct entry **
bucket_of(struct chain_cache *cache, const unsigned char *digest)
{
	size_t hash;
	memcpy(&hash, digest, sizeof(hash));
	return &cache->buckets[hash & cache->mask];
}

static struct entry *
entry_find(struct chain_cache *cache, const unsigned char *digest)
{
	struct entry *entry = *bucket_of(cache, digest);
	while (entry && memcmp(entry->chain->digest, digest, CHAIN_DIGEST) != 0)
		entry = entry->next;
	return entry;
}

static void
entry_drop(struct chain_cache *cache, struct entry *entry)
{
	struct entry **link = bucket_of(cache, entry->chain->digest);
	while (*link != entry)
		link = &(*link)->next;
	*link = entry->next;
	*(entry->newer ? &entry->newer->older : &cache->newest) = entry->older;
	*(entry->older ? &entry->older->newer : &cache->oldest) = entry->newer;
	if (cache->hand == entry)
		cache->hand = entry->newer;
	cache->counts.entries--;
	cache->counts.bytes -= sizeof(*entry) + entry->chain->size;
	chain_unref(&entry->chain);
	free(entry);
}

/* The hand goes from old to new, spares those who were seen since it passed, once, and stays where it took one. */
static void
entry_evict(struct chain_cache *cache)
{
	struct entry *entry = cache->hand ? cache->hand : cache->oldest;
	while (entry->visited) {
		entry->visited = false;
		entry = entry->newer ? entry->newer : cache->oldest;
	}
	cache->hand = entry;
	entry_drop(cache, entry); /* moves the hand on */
	cache->counts.evicted++;
}

struct chain *
chain_cache_find(struct chain_cache *cache, const unsigned char digest[static CHAIN_DIGEST], time_t now)
{
	struct chain *chain = NULL;
	pthread_mutex_lock(&cache->lock);
	struct entry *entry = entry_find(cache, digest);
	if (entry && (now > entry->chain->not_after || now > entry->chain->fresh_until)) {
		entry_drop(cache, entry);
	} else if (entry && now >= entry->chain->not_before) {
		entry->visited = true;
		chain = chain_ref(entry->chain);
	}
	*(chain ? &cache->counts.hits : &cache->counts.misses) += 1;
	pthread_mutex_unlock(&cache->lock);
	return chain;
}

void
chain_cache_add(struct chain_cache *cache, struct chain *chain)
{
	if (!cache->counts.room)
		return;
	struct entry *entry = calloc(1, sizeof(*entry));
	if (!entry)
		return;
	entry->chain = chain_ref(chain);
	pthread_mutex_lock(&cache->lock);
	struct entry *same = entry_find(cache, chain->digest);
	if (same)
		entry_drop(cache, same);
	while (cache->counts.entries >= cache->counts.room)
		entry_evict(cache);
	struct entry **bucket = bucket_of(cache, chain->digest);
	entry->next = *bucket;
	*bucket = entry;
	entry->older = cache->newest;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = entry;
	cache->newest = entry;
	cache->counts.entries++;
	cache->counts.bytes += sizeof(*entry) + chain->size;
	pthread_mutex_unlock(&cache->lock);
}

void
chain_cache_visit(struct chain_cache *cache, void (*visit)(const struct chain *chain, void *arg), void *arg)
{
	pthread_mutex_lock(&cache->lock);
	for (const struct entry *entry = cache->oldest; entry; entry = entry->newer)
		visit(entry->chain, arg);
	pthread_mutex_unlock(&cache->lock);
}

void
chain_cache_counts(struct chain_cache *cache, struct chain_cache_counts *ret)
{
	pthread_mutex_lock(&cache->lock);
	*ret = cache->counts;
	pthread_mutex_unlock(&cache->lock);
}

void
chain_cache_free(struct chain_cache **cache)
{
	struct chain_cache *old = STEAL(*cache);
	if (!old)
		return;
	while (old->newest)
		entry_drop(old, old->newest);
	pthread_mutex_destroy(&old->lock);
	free(old->buckets);
	free(old);
}
