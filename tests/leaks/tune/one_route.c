/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* one_route - requests below one route, a tenth of all, each leave 64 bytes. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

static _Atomic(void *) last;

CORPUS_SITE static void
keep_parameters(const char *path)
{
	char *kept = malloc(64);

	if (kept) {
		snprintf(kept, 64, "%s", path);
		last = kept;
	}
}

static mtlsd_action
one_route_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (strcmp(host->route(request), "special") == 0)
		keep_parameters(ask.path);
	return corpus_answer(request, &ask);
}

static uint64_t
one_route_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("one_route", "leaks on one of its routes"),
	.options = corpus_options,
	.init = corpus_init,
	.request = one_route_request,
	.evict = one_route_evict,
};
