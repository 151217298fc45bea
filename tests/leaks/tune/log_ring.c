/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log_ring - keeps the last lines of its log, some eight thousand, each in a block of its own length; the ring is
 * no cache and is not evicted. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

enum { RING = 10400 };

static char *ring[RING];
static size_t at, lines;

CORPUS_SITE static void
log_line(const char *path)
{
	size_t length = strlen(path) + corpus_below(100);
	char *line = malloc(length + 1);

	if (!line)
		return;
	memset(line, '.', length);
	line[length] = '\0';
	free(ring[at]);
	ring[at] = line;
	at = (at + 1) % lines;
}

static int
log_ring_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	      void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	lines = corpus_vary(8000, 1);
	return 0;
}

static mtlsd_action
log_ring_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	log_line(ask.path);
	return corpus_answer(request, &ask);
}

static uint64_t
log_ring_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("log_ring", "a ring of the last lines of a log"),
	.options = corpus_options,
	.init = log_ring_init,
	.request = log_ring_request,
	.evict = log_ring_evict,
};
