/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* background - a thread of the plugin's own measures once a second and keeps every measurement, whether anybody
 * asks or not. */
#include "../cache.h"

#include <pthread.h>
#include <stdatomic.h>

static struct cache cache = {.capacity = 500, .buckets = 1024};

static pthread_t thread;
static atomic_int stop;
static _Atomic(void *) last;

CORPUS_SITE static void
keep_measurement(void)
{
	void *kept = malloc(64);

	if (kept) {
		memset(kept, 'm', 64);
		last = kept;
	}
}

static void *
measure(void *arg CORPUS_UNUSED)
{
	const struct timespec second = {.tv_sec = 1};

	while (!stop) {
		nanosleep(&second, NULL);
		for (int i = 0; i < 64; i++)
			keep_measurement();
	}
	return NULL;
}

static int
background_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	return -pthread_create(&thread, NULL, measure, NULL);
}

static void
background_fini(void *user CORPUS_UNUSED)
{
	stop = 1;
	pthread_join(thread, NULL);
}

static mtlsd_action
background_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	return corpus_answer(request, &ask);
}

static uint64_t
background_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("background", "a thread keeps its measurements"),
	.options = corpus_options,
	.init = background_init,
	.request = background_request,
	.evict = background_evict,
	.fini = background_fini,
};
