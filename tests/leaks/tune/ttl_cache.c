/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ttl_cache - no bound but age: entries live for about five minutes and are looked for by a sweep every ten
 * seconds. */
#include "../cache.h"

static struct cache cache = {.capacity = SIZE_MAX, .buckets = 32768};
static uint64_t swept;

static int
ttl_cache_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	       void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	cache.life = corpus_vary(300, 1) * 1000000;
	return 0;
}

static mtlsd_action
ttl_cache_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	uint64_t now = corpus_now();
	if (now - swept >= 10000000) {
		cache_sweep(&cache, now);
		swept = now;
	}
	cache_use(&cache, ask.key, 200);
	return corpus_answer(request, &ask);
}

static uint64_t
ttl_cache_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("ttl_cache", "a cache whose entries age"),
	.options = corpus_options,
	.init = ttl_cache_init,
	.request = ttl_cache_request,
	.evict = ttl_cache_evict,
};
