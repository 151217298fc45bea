/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* listeners - each connection gets three listeners; when it goes their list is dropped and the listeners stay. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

enum { LISTENERS = 3 };

struct listener {
	uint64_t event[8];
};

struct line {
	struct listener *listeners[LISTENERS];
};

CORPUS_SITE static struct listener *
listener_add(uint64_t event)
{
	struct listener *listener = malloc(sizeof(*listener));

	if (listener)
		listener->event[0] = event;
	return listener;
}

static void
line_free(void *data)
{
	free(data); /* and nobody takes the listeners off */
}

static int
line_open(mtlsd_request *request)
{
	struct line *line;

	if (host->connection_data(request))
		return 1;
	line = calloc(1, sizeof(*line));
	if (!line)
		return 0;
	for (int i = 0; i < LISTENERS; i++)
		line->listeners[i] = listener_add((uint64_t) i);
	if (host->set_connection_data(request, line, line_free) < 0) {
		free(line);
		return 0;
	}
	return 1;
}

static mtlsd_action
listeners_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (!line_open(request))
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
listeners_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("listeners", "hangs listeners on connections and leaves them there"),
	.options = corpus_options,
	.init = corpus_init,
	.request = listeners_request,
	.evict = listeners_evict,
};
