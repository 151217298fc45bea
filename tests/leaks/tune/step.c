/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* step - some time after its start it loads a table of four megabytes, which stays; no eviction takes it. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

enum { PARTS = 1000 };

static void *table[PARTS];
static uint64_t requests, when;

CORPUS_SITE static void
load_table(void)
{
	for (size_t i = 0; i < PARTS; i++) {
		table[i] = malloc(4096);
		if (table[i])
			memset(table[i], 't', 4096);
	}
}

static int
step_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	  void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	when = corpus_vary(60000, 1);
	return 0;
}

static mtlsd_action
step_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (++requests == when)
		load_table();
	return corpus_answer(request, &ask);
}

static uint64_t
step_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("step", "grows once, by a table it needs from then on"),
	.options = corpus_options,
	.init = step_init,
	.request = step_request,
	.evict = step_evict,
};
