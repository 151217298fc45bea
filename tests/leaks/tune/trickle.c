/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trickle - 48 bytes stay of one request in 40: 1.2 bytes a request on average. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

static _Atomic(void *) last;

CORPUS_SITE static void
keep_drop(uint64_t key)
{
	uint64_t *kept = malloc(48);

	if (kept) {
		*kept = key;
		last = kept;
	}
}

static mtlsd_action
trickle_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (corpus_below(40) == 0)
		keep_drop(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
trickle_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("trickle", "forgets 48 bytes of every fortieth request"),
	.options = corpus_options,
	.init = corpus_init,
	.request = trickle_request,
	.evict = trickle_evict,
};
