/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* chain-cache.h - a bounded memory of verified chains, so that a client that comes again costs no signature check.
 *
 * Eviction is SIEVE (Zhang et al., NSDI 2024): one bit an entry, one hand; a crowd of strangers passes through without
 * pushing out those who return. A cache belongs to one set of authorities and revocation lists and dies with it, so
 * that nothing in it can be older than the policy.
 *
 * Threads: any; one lock, held for a look-up. Owns: references of its chains.
 */
#include "chain.h"

struct chain_cache;

struct chain_cache_counts {
	uint64_t hits, misses, evicted;
	size_t entries, room, bytes;
};

/* room: how many chains at most; 0: it keeps none. */
int chain_cache_new(size_t room, struct chain_cache **ret);
/* A reference, or NULL: not there, or no longer (or not yet) valid at `now`. */
struct chain *chain_cache_find(struct chain_cache *cache, const unsigned char digest[static CHAIN_DIGEST], time_t now);
/* Replaces an entry of the same digest. Running out of memory costs the entry only. */
void chain_cache_add(struct chain_cache *cache, struct chain *chain);
/* Every chain, the oldest first. The visit must not use the cache. */
void chain_cache_visit(struct chain_cache *cache, void (*visit)(const struct chain *chain, void *arg), void *arg);
void chain_cache_counts(struct chain_cache *cache, struct chain_cache_counts *ret);
void chain_cache_free(struct chain_cache **cache);
