/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-limit.h"

#include "cleanup.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

enum { FIRST_BUCKETS = 64 };

struct peer {
	struct peer *next;
	struct peer_key key;
	size_t count;
};

struct peer_limit {
	pthread_mutex_t lock; /* guards all below */
	struct peer **buckets;
	size_t bucket_count; /* a power of two */
	size_t peers;
	uint64_t seed; /* clients choose their addresses: they must not choose their bucket */
};

int
peer_limit_new(struct peer_limit **ret)
{
	CLEANUP(peer_limit_free) struct peer_limit *limit = calloc(1, sizeof(*limit));
	if (!limit)
		return -ENOMEM;
	pthread_mutex_init(&limit->lock, NULL);
	limit->bucket_count = FIRST_BUCKETS;
	limit->buckets = calloc(limit->bucket_count, sizeof(*limit->buckets));
	if (!limit->buckets)
		return -ENOMEM;
	if (getrandom(&limit->seed, sizeof(limit->seed), GRND_NONBLOCK) < 0)
		limit->seed = (uint64_t) (uintptr_t) limit;
	*ret = STEAL(limit);
	return 0;
}

void
peer_limit_free(struct peer_limit **limit)
{
	if (!*limit)
		return;
	for (size_t i = 0; (*limit)->buckets && i < (*limit)->bucket_count; i++) {
		struct peer *next;
		for (struct peer *peer = (*limit)->buckets[i]; peer; peer = next) {
			next = peer->next;
			free(peer);
		}
	}
	free((*limit)->buckets);
	pthread_mutex_destroy(&(*limit)->lock);
	free(*limit);
	*limit = NULL;
}

struct peer_key
peer_limit_key(const struct sockaddr *address)
{
	struct peer_key key = {0};
	key.bytes[0] = (unsigned char) address->sa_family;
	if (address->sa_family == AF_INET) {
		memcpy(key.bytes + 1, &((const struct sockaddr_in *) address)->sin_addr, 4);
	} else if (address->sa_family == AF_INET6) {
		const struct in6_addr *v6 = &((const struct sockaddr_in6 *) address)->sin6_addr;
		if (IN6_IS_ADDR_V4MAPPED(v6)) {
			key.bytes[0] = AF_INET;
			memcpy(key.bytes + 1, v6->s6_addr + 12, 4);
		} else {
			memcpy(key.bytes + 1, v6->s6_addr, 8);
		}
	}
	return key;
}

/* FNV-1a over seed and key. */
static size_t
peer_hash(const struct peer_limit *limit, const struct peer_key *key)
{
	uint64_t hash = 0xcbf29ce484222325u ^ limit->seed;
	for (size_t i = 0; i < sizeof(key->bytes); i++)
		hash = (hash ^ key->bytes[i]) * 0x100000001b3u;
	return (size_t) (hash ^ hash >> 32);
}

static struct peer **
peer_find(struct peer_limit *limit, const struct peer_key *key)
{
	struct peer **at = &limit->buckets[peer_hash(limit, key) & (limit->bucket_count - 1)];
	while (*at && memcmp(&(*at)->key, key, sizeof(*key)) != 0)
		at = &(*at)->next;
	return at;
}

/* Longer chains are a smaller harm than a refused client: failing to grow is no error. */
static void
peers_grow(struct peer_limit *limit)
{
	size_t old_count = limit->bucket_count;
	struct peer **old = limit->buckets, **grown = calloc(old_count * 2, sizeof(*grown));
	if (!grown)
		return;
	limit->buckets = grown;
	limit->bucket_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++) {
		struct peer *next;
		for (struct peer *peer = old[i]; peer; peer = next) {
			next = peer->next;
			struct peer **at = &grown[peer_hash(limit, &peer->key) & (limit->bucket_count - 1)];
			peer->next = *at;
			*at = peer;
		}
	}
	free(old);
}

static int
take_locked(struct peer_limit *limit, const struct peer_key *key, size_t most)
{
	struct peer **at = peer_find(limit, key);
	if (*at) {
		if ((*at)->count >= most)
			return -EUSERS;
		(*at)->count++;
		return 0;
	}
	if (most == 0)
		return -EUSERS;
	struct peer *peer = calloc(1, sizeof(*peer));
	if (!peer)
		return -ENOMEM;
	peer->key = *key;
	peer->count = 1;
	*at = peer;
	if (++limit->peers > limit->bucket_count)
		peers_grow(limit);
	return 0;
}

int
peer_limit_take(struct peer_limit *limit, const struct peer_key *key, size_t most)
{
	pthread_mutex_lock(&limit->lock);
	int r = take_locked(limit, key, most);
	pthread_mutex_unlock(&limit->lock);
	return r;
}

void
peer_limit_give(struct peer_limit *limit, const struct peer_key *key)
{
	pthread_mutex_lock(&limit->lock);
	struct peer **at = peer_find(limit, key), *peer = *at;
	assert(peer);
	if (--peer->count == 0) {
		*at = peer->next;
		limit->peers--;
		free(peer);
	}
	pthread_mutex_unlock(&limit->lock);
}

size_t
peer_limit_addresses(struct peer_limit *limit)
{
	pthread_mutex_lock(&limit->lock);
	size_t n = limit->peers;
	pthread_mutex_unlock(&limit->lock);
	return n;
}
