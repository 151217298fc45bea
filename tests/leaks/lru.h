/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* lru.h - a plugin that is nothing but a cache; the family says how large.
 *
 * Threads: one at a time. Owns: its cache.
 */
#include "cache.h"

static const uint64_t lru_capacity; /* entries, on average over seeds */
static struct cache lru_cache;      /* with as many buckets as suit it */

static int
lru_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	lru_cache.capacity = corpus_vary(lru_capacity, 1);
	return 0;
}

static mtlsd_action
lru_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&lru_cache, ask.key, 100 + ask.key % 100);
	return corpus_answer(request, &ask);
}

static uint64_t
lru_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&lru_cache, target);
}

static void
lru_fini(void *user CORPUS_UNUSED)
{
	(void) cache_evict(&lru_cache, UINT64_MAX);
}

#define LRU_PLUGIN(plugin_name, plugin_summary)                                                                        \
	CORPUS_PLUGIN(plugin_name, plugin_summary), .options = corpus_options, .init = lru_init,                       \
						    .request = lru_request, .evict = lru_evict, .fini = lru_fini
