/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* diurnal - sessions live for about ten minutes, so that what is held follows the load: up in the morning, down at
 * night. */
#include "../cache.h"

static struct cache cache = {.capacity = SIZE_MAX, .buckets = 16384};
static uint64_t number, swept;

static int
diurnal_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	     void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	cache.life = corpus_vary(600, 1) * 1000000;
	return 0;
}

static mtlsd_action
diurnal_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	uint64_t now = corpus_now();
	if (now - swept >= 1000000) {
		cache_sweep(&cache, now);
		swept = now;
	}
	if (corpus_below(10) == 0)
		(void) cache_put(&cache, ++number, 256, now);
	return corpus_answer(request, &ask);
}

static uint64_t
diurnal_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("diurnal", "holds what the last minutes brought"),
	.options = corpus_options,
	.init = diurnal_init,
	.request = diurnal_request,
	.evict = diurnal_evict,
};
