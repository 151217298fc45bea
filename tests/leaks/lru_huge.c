/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lru_huge - a cache with room for more than is ever asked for: it grows all the time, and it is no leak. */
#include "cache.h"

static struct cache cache = {.buckets = 131072};

static int
lru_huge_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	      void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	cache.capacity = corpus_vary(2000000, 1);
	return 0;
}

static mtlsd_action
lru_huge_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 100 + ask.key % 100);
	return corpus_answer(request, &ask);
}

static uint64_t
lru_huge_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("lru_huge", "a cache larger than its keys"),
	.options = corpus_options,
	.init = lru_huge_init,
	.request = lru_huge_request,
	.evict = lru_huge_evict,
};
