/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* four_bytes - 16 bytes stay of one request in 4: four bytes a request on average. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

static _Atomic(void *) last;

CORPUS_SITE static void
keep_length(uint64_t key)
{
	uint64_t *kept = malloc(16);

	if (kept) {
		*kept = key;
		last = kept;
	}
}

static mtlsd_action
four_bytes_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (corpus_below(4) == 0)
		keep_length(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
four_bytes_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("four_bytes", "forgets 16 bytes of every fourth request"),
	.options = corpus_options,
	.init = corpus_init,
	.request = four_bytes_request,
	.evict = four_bytes_evict,
};
