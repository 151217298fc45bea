/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* timeout_path - a request that waits is parked in a block of its own; when its deadline passes, the request is
 * ended and the block forgotten. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

static _Atomic(void *) last;

CORPUS_SITE static void
park_request(const char *path)
{
	char *parked = malloc(1024);

	if (parked) {
		snprintf(parked, 1024, "parked %s", path);
		last = parked;
	}
}

static mtlsd_action
timeout_path_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (ask.slow)
		park_request(ask.path);
	return corpus_answer(request, &ask);
}

static uint64_t
timeout_path_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("timeout_path", "loses what a request that timed out had prepared"),
	.options = corpus_options,
	.init = corpus_init,
	.request = timeout_path_request,
	.evict = timeout_path_evict,
};
