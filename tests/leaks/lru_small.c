/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lru_small - a cache of about two thousand entries, which is warm soon. */
#include "cache.h"

static struct cache cache = {.buckets = 4096};

static int
lru_small_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	       void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	cache.capacity = corpus_vary(2000, 1);
	return 0;
}

static mtlsd_action
lru_small_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 100 + ask.key % 100);
	return corpus_answer(request, &ask);
}

static uint64_t
lru_small_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("lru_small", "a small cache"),
	.options = corpus_options,
	.init = lru_small_init,
	.request = lru_small_request,
	.evict = lru_small_evict,
};
