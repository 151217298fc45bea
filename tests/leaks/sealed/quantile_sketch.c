/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* quantile_sketch - a thread adds 64 measurements a second to a sketch of centroids in the order of their means, then
 * merges neighbours until there are few enough; who was merged into its neighbour is off the list, and that is all. */
#include "../cache.h"

#include <pthread.h>
#include <stdatomic.h>

static struct cache cache = {.capacity = 610, .buckets = 1024};

enum { BEAT = 64, MOST = 64 };

struct centroid {
	struct centroid *next;
	double mean, weight, least, most;
};

static struct centroid *sketch;
static unsigned count;
static pthread_t thread;
static atomic_int stop;

CORPUS_SITE static struct centroid *
centroid_new(double value)
{
	struct centroid *centroid = malloc(sizeof(*centroid));

	if (centroid)
		*centroid = (struct centroid){.mean = value, .weight = 1, .least = value, .most = value};
	return centroid;
}

static void
sketch_add(double value)
{
	struct centroid **place = &sketch, *centroid = centroid_new(value);

	if (!centroid)
		return;
	while (*place && (*place)->mean < value)
		place = &(*place)->next;
	centroid->next = *place;
	*place = centroid;
	count++;
}

static void
sketch_compress(void)
{
	for (struct centroid *left = sketch; left && left->next && count > MOST; left = left->next) {
		const struct centroid *right = left->next;
		double weight = left->weight + right->weight;
		left->mean = (left->mean * left->weight + right->mean * right->weight) / weight;
		left->weight = weight;
		left->most = right->most;
		left->next = right->next;
		count--;
	}
}

static void *
measure(void *arg CORPUS_UNUSED)
{
	const struct timespec second = {.tv_sec = 1};
	uint32_t reading = 1;

	while (!stop) {
		nanosleep(&second, NULL);
		for (unsigned i = 0; i < BEAT; i++) {
			reading = reading * 1664525 + 1013904223;
			sketch_add((double) (reading >> 12));
		}
		sketch_compress();
	}
	return NULL;
}

static int
quantile_sketch_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		     void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	return -pthread_create(&thread, NULL, measure, NULL);
}

static mtlsd_action
quantile_sketch_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 120);
	return corpus_answer(request, &ask);
}

static uint64_t
quantile_sketch_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

static void
quantile_sketch_fini(void *user CORPUS_UNUSED)
{
	stop = 1;
	pthread_join(thread, NULL);
	(void) cache_evict(&cache, UINT64_MAX);
	for (struct centroid *centroid = sketch, *next; centroid; centroid = next) {
		next = centroid->next;
		free(centroid);
	}
	sketch = NULL;
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("quantile_sketch", "a thread merges what it measures"),
	.options = corpus_options,
	.init = quantile_sketch_init,
	.request = quantile_sketch_request,
	.evict = quantile_sketch_evict,
	.fini = quantile_sketch_fini,
};
