/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "identity-cache.h"

#include "cleanup.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { DIGEST_LENGTH = 32, WAYS = 8, SETS = IDENTITY_CACHE_ROOM / WAYS };

struct entry {
	unsigned char digest[DIGEST_LENGTH];
	struct identity *identity; /* NULL: free */
	bool asked_for;            /* since the hand passed */
};

struct set {
	struct entry entries[WAYS];
	unsigned hand;
};

struct identity_cache {
	pthread_mutex_t lock; /* guards the sets */
	struct set sets[SETS];
};

int
identity_cache_new(struct identity_cache **ret)
{
	struct identity_cache *cache = calloc(1, sizeof(*cache)); /* its pages come with its entries */
	if (!cache)
		return -ENOMEM;
	pthread_mutex_init(&cache->lock, NULL);
	*ret = cache;
	return 0;
}

void
identity_cache_free(struct identity_cache **cache)
{
	struct identity_cache *old = STEAL(*cache);
	if (!old)
		return;
	for (size_t i = 0; i < SETS; i++)
		for (size_t j = 0; j < WAYS; j++)
			identity_unref(&old->sets[i].entries[j].identity);
	pthread_mutex_destroy(&old->lock);
	free(old);
}

/* Lengths are hashed too: a chain is not the same bytes cut elsewhere. */
static bool
chain_digest(const struct identity_der *chain, size_t count, unsigned char digest[static DIGEST_LENGTH])
{
	gnutls_hash_hd_t hash;
	if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0)
		return false;
	bool good = true;
	for (size_t i = 0; i < count && good; i++)
		good = gnutls_hash(hash, &chain[i].length, sizeof(chain[i].length)) >= 0 &&
		       gnutls_hash(hash, chain[i].data, chain[i].length) >= 0;
	gnutls_hash_deinit(hash, digest);
	return good;
}

static struct set *
find_set(struct identity_cache *cache, const unsigned char *digest)
{
	return &cache->sets[(digest[0] | (size_t) digest[1] << 8) % SETS];
}

static struct identity *
find_identity(struct identity_cache *cache, const unsigned char *digest)
{
	struct set *set = find_set(cache, digest);
	struct identity *found = NULL;
	pthread_mutex_lock(&cache->lock);
	for (size_t i = 0; i < WAYS && !found; i++) {
		struct entry *entry = &set->entries[i];
		if (!entry->identity || memcmp(entry->digest, digest, DIGEST_LENGTH) != 0)
			continue;
		entry->asked_for = true;
		found = identity_ref(entry->identity);
	}
	pthread_mutex_unlock(&cache->lock);
	return found;
}

/* Lock held. At most twice round: the first round takes the marks away. */
static struct entry *
find_victim(struct set *set)
{
	for (;;) {
		struct entry *entry = &set->entries[set->hand];
		set->hand = (set->hand + 1) % WAYS;
		if (!entry->identity || !entry->asked_for)
			return entry;
		entry->asked_for = false;
	}
}

static void
keep_identity(struct identity_cache *cache, const unsigned char *digest, struct identity *identity)
{
	pthread_mutex_lock(&cache->lock);
	struct entry *entry = find_victim(find_set(cache, digest));
	struct identity *old = entry->identity;
	memcpy(entry->digest, digest, DIGEST_LENGTH);
	entry->identity = identity_ref(identity);
	entry->asked_for = false;
	pthread_mutex_unlock(&cache->lock);
	identity_unref(&old);
}

int
identity_cache_read(struct identity_cache *cache, const struct identity_der *chain, size_t count, struct identity **ret,
		    struct error *error)
{
	unsigned char digest[DIGEST_LENGTH];
	bool keyed = chain_digest(chain, count, digest);
	struct identity *identity = keyed ? find_identity(cache, digest) : NULL;
	if (!identity) {
		int r = identity_read_chain(chain, count, &identity, error);
		if (r < 0)
			return r;
		if (keyed)
			keep_identity(cache, digest, identity);
	}
	*ret = identity;
	return 0;
}
