/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* module_store - requests hand their data to a job of the plugin's; it files the results in a store that is never
 * pruned. */
#include "../cache.h"

#include <pthread.h>
#include <stdatomic.h>

static struct cache cache = {.capacity = 500, .buckets = 1024};

struct result {
	struct result *next;
	uint64_t key;
	char data[80];
};

enum { QUEUE = 4096 };
static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t queue[QUEUE];
static size_t queued;
static struct result *store;
static atomic_int stop;

CORPUS_SITE static void
store_result(uint64_t key)
{
	struct result *result = malloc(sizeof(*result));

	if (!result)
		return;
	result->key = key;
	result->next = store;
	store = result;
}

static void *
work(void *arg CORPUS_UNUSED)
{
	const struct timespec second = {.tv_sec = 1};

	while (!stop) {
		nanosleep(&second, NULL);
		pthread_mutex_lock(&lock);
		while (queued > 0)
			store_result(queue[--queued]);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void
hand_over(uint64_t key)
{
	pthread_mutex_lock(&lock);
	if (queued < QUEUE)
		queue[queued++] = key;
	pthread_mutex_unlock(&lock);
}

static int
module_store_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		  void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	return -pthread_create(&thread, NULL, work, NULL);
}

static void
module_store_fini(void *user CORPUS_UNUSED)
{
	stop = 1;
	pthread_join(thread, NULL);
}

static mtlsd_action
module_store_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (corpus_below(8) == 0)
		hand_over(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
module_store_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("module_store", "a job keeps the data of requests for good"),
	.options = corpus_options,
	.init = module_store_init,
	.request = module_store_request,
	.evict = module_store_evict,
	.fini = module_store_fini,
};
