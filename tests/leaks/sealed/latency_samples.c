/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* latency_samples - the time since the request before is kept of every request, for exact percentiles, in an array
 * that has room for 4,096 more whenever it is full. */
#include "../cache.h"

static struct cache cache = {.capacity = 560, .buckets = 1024};

enum { MORE = 4096 };

static uint64_t *samples, last;
static size_t count, room;

CORPUS_SITE static int
samples_extend(void)
{
	uint64_t *longer = realloc(samples, (room + MORE) * sizeof(*samples));

	if (!longer)
		return -1;
	samples = longer;
	room += MORE;
	return 0;
}

static mtlsd_action
latency_samples_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;
	uint64_t now = corpus_now();

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 90);
	if (count == room && samples_extend() < 0)
		return MTLSD_FAIL;
	samples[count++] = last ? now - last : 0;
	last = now;
	return corpus_answer(request, &ask);
}

static uint64_t
latency_samples_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

static void
latency_samples_fini(void *user CORPUS_UNUSED)
{
	(void) cache_evict(&cache, UINT64_MAX);
	free(samples);
	samples = NULL;
	count = room = 0;
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("latency_samples", "keeps a sample of every request"),
	.options = corpus_options,
	.init = corpus_init,
	.request = latency_samples_request,
	.evict = latency_samples_evict,
	.fini = latency_samples_fini,
};
