/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* one_byte - 16 bytes stay of one request in 16: one byte a request on average. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

static _Atomic(void *) last;

CORPUS_SITE static void
keep_byte(uint64_t key)
{
	uint64_t *kept = malloc(16);

	if (kept) {
		*kept = key;
		last = kept;
	}
}

static mtlsd_action
one_byte_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (corpus_below(16) == 0)
		keep_byte(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
one_byte_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("one_byte", "forgets 16 bytes of every sixteenth request"),
	.options = corpus_options,
	.init = corpus_init,
	.request = one_byte_request,
	.evict = one_byte_evict,
};
