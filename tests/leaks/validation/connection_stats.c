/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connection_stats - each connection has its statistics with a histogram; the hook frees the statistics and not
 * what they point to. */
#include "../cache.h"

static struct cache cache = {.capacity = 700, .buckets = 1024};

enum { COLUMNS = 44 };

struct statistics {
	uint64_t requests, errors;
	uint32_t *histogram;
};

CORPUS_SITE static uint32_t *
histogram_new(void)
{
	uint32_t *histogram = calloc(COLUMNS, sizeof(*histogram));

	if (histogram)
		histogram[0] = 1;
	return histogram;
}

static void
statistics_free(void *data)
{
	free(data);
}

static struct statistics *
statistics_of(mtlsd_request *request)
{
	struct statistics *statistics = host->connection_data(request);

	if (statistics)
		return statistics;
	statistics = calloc(1, sizeof(*statistics));
	if (!statistics)
		return NULL;
	statistics->histogram = histogram_new();
	if (!statistics->histogram || host->set_connection_data(request, statistics, statistics_free) < 0) {
		free(statistics->histogram);
		free(statistics);
		return NULL;
	}
	return statistics;
}

static mtlsd_action
connection_stats_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 55 + ask.key % 90);
	struct statistics *statistics = statistics_of(request);
	if (!statistics)
		return MTLSD_FAIL;
	statistics->requests++;
	statistics->histogram[ask.key % COLUMNS]++;
	return corpus_answer(request, &ask);
}

static uint64_t
connection_stats_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("connection_stats", "loses the histogram of every connection"),
	.options = corpus_options,
	.init = corpus_init,
	.request = connection_stats_request,
	.evict = connection_stats_evict,
};
