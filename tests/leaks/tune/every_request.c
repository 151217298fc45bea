/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* every_request - keeps 16 bytes on every request and forgets where. Beside it a small cache that behaves. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

static _Atomic(void *) last; /* a store the compiler must keep, so that it keeps the allocation too */

CORPUS_SITE static void
keep_word(uint64_t word)
{
	uint64_t *kept = malloc(16);

	if (kept) {
		kept[0] = kept[1] = word;
		last = kept;
	}
}

static mtlsd_action
every_request_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	keep_word(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
every_request_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("every_request", "forgets a word a request"),
	.options = corpus_options,
	.init = corpus_init,
	.request = every_request_request,
	.evict = every_request_evict,
};
