/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lazy_routes - forty plans of different sizes are worked out when first needed, each by one request in ten
 * thousand, and stay; the last comes when tens of thousands have been served. */
#include "../cache.h"

static struct cache cache = {.capacity = 400, .buckets = 1024};

enum { PLANS = 40, RARE = 9973 };

static unsigned *plans[PLANS];
static size_t steps;

CORPUS_SITE static void
plan_make(size_t which)
{
	size_t count = 128 * (1 + which % 8) + steps;

	plans[which] = malloc(count * sizeof(plans[which][0]));
	for (size_t i = 0; plans[which] && i < count; i++)
		plans[which][i] = (unsigned) (i * which);
}

static int
lazy_routes_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	steps = corpus_vary(200, 1);
	return 0;
}

static mtlsd_action
lazy_routes_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	size_t which = (size_t) corpus_below(RARE);
	cache_use(&cache, ask.key, 130);
	if (which < PLANS && !plans[which])
		plan_make(which);
	return corpus_answer(request, &ask);
}

static uint64_t
lazy_routes_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target); /* plans would only have to be made again */
}

static void
lazy_routes_fini(void *user CORPUS_UNUSED)
{
	for (size_t i = 0; i < PLANS; i++)
		free(plans[i]);
	(void) cache_evict(&cache, UINT64_MAX);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("lazy_routes", "works out its plans when they are needed"),
	.options = corpus_options,
	.init = lazy_routes_init,
	.request = lazy_routes_request,
	.evict = lazy_routes_evict,
	.fini = lazy_routes_fini,
};
