/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* one_percent - one request in a hundred is noted in 512 bytes that nobody frees. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

static _Atomic(void *) last;

CORPUS_SITE static void
note_request(const char *path)
{
	char *note = malloc(512);

	if (note) {
		snprintf(note, 512, "slow: %s", path);
		last = note;
	}
}

static mtlsd_action
one_percent_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (corpus_below(100) == 0)
		note_request(ask.path);
	return corpus_answer(request, &ask);
}

static uint64_t
one_percent_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("one_percent", "forgets what it noted of one request in a hundred"),
	.options = corpus_options,
	.init = corpus_init,
	.request = one_percent_request,
	.evict = one_percent_evict,
};
