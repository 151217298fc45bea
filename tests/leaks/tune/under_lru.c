/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* under_lru - a cache of some ten thousand entries fills; beside it 16 bytes stay of every other request. */
#include "../cache.h"

static struct cache cache = {.buckets = 32768};
static _Atomic(void *) last;

CORPUS_SITE static void
keep_tag(uint64_t key)
{
	uint64_t *tag = malloc(16);

	if (tag) {
		*tag = key;
		last = tag;
	}
}

static int
under_lru_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	       void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	cache.capacity = corpus_vary(30000, 1);
	return 0;
}

static mtlsd_action
under_lru_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (corpus_below(2) == 0)
		keep_tag(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
under_lru_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("under_lru", "leaks while its cache warms up"),
	.options = corpus_options,
	.init = under_lru_init,
	.request = under_lru_request,
	.evict = under_lru_evict,
};
