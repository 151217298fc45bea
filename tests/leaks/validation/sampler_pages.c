/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sampler_pages - a thread writes samples into a page; a page that is full is taken for written off, and is not. */
#include "../cache.h"

#include <pthread.h>
#include <stdatomic.h>

static struct cache cache = {.capacity = 350, .buckets = 1024};

static const size_t page_bytes = 4096;
static unsigned char *page;
static size_t used;
static pthread_t thread;
static atomic_int stop;

CORPUS_SITE static unsigned char *
page_take(void)
{
	unsigned char *fresh = calloc(1, page_bytes);

	if (fresh)
		fresh[0] = 1;
	return fresh;
}

static void
sample_add(uint64_t value)
{
	if (!page || used == page_bytes) {
		page = page_take();
		used = 0;
	}
	if (!page)
		return;
	memcpy(page + used, &value, sizeof(value));
	used += 64;
}

static void *
sampler(void *arg CORPUS_UNUSED)
{
	const struct timespec second = {.tv_sec = 1};

	while (!stop) {
		nanosleep(&second, NULL);
		for (uint64_t i = 0; i < 96; i++)
			sample_add(i);
	}
	return NULL;
}

static int
sampler_pages_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		   void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	return -pthread_create(&thread, NULL, sampler, NULL);
}

static mtlsd_action
sampler_pages_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 300);
	return corpus_answer(request, &ask);
}

static uint64_t
sampler_pages_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

static void
sampler_pages_fini(void *user CORPUS_UNUSED)
{
	stop = 1;
	pthread_join(thread, NULL);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("sampler_pages", "a thread fills pages and forgets them"),
	.options = corpus_options,
	.init = sampler_pages_init,
	.request = sampler_pages_request,
	.evict = sampler_pages_evict,
	.fini = sampler_pages_fini,
};
