/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* long_polls - who polls gets a place in a table and a buffer for what may come; at the deadline the place is
 * given back and the buffer is not. */
#include "../cache.h"

static struct cache cache = {.capacity = 620, .buckets = 1024};

enum { PLACES = 128 };

struct poll {
	const mtlsd_request *request;
	unsigned char *buffer;
	size_t used;
};

static struct poll *polls[PLACES];

CORPUS_SITE static unsigned char *
buffer_new(void)
{
	unsigned char *buffer = malloc(1536);

	if (buffer)
		buffer[0] = '\n';
	return buffer;
}

static int
poll_begin(const mtlsd_request *request)
{
	for (size_t i = 0; i < PLACES; i++) {
		if (polls[i])
			continue;
		polls[i] = calloc(1, sizeof(*polls[i]));
		if (polls[i])
			*polls[i] = (struct poll){.request = request, .buffer = buffer_new()};
		return polls[i] != NULL;
	}
	return 0;
}

static void
poll_cancel(void *user, mtlsd_request *request, mtlsd_reason reason)
{
	for (size_t i = 0; i < PLACES; i++) {
		if (!polls[i] || polls[i]->request != request)
			continue;
		if (reason == MTLSD_CLIENT_GONE)
			free(polls[i]->buffer);
		free(polls[i]);
		polls[i] = NULL;
	}
	corpus_cancel(user, request, reason);
}

static mtlsd_action
long_polls_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 75);
	if (ask.slow && !poll_begin(request))
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
long_polls_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("long_polls", "1.0", "loses the buffers of polls that ran out"),
	.options = corpus_options,
	.init = corpus_init,
	.request = long_polls_request,
	.evict = long_polls_evict,
	.cancel = poll_cancel,
};
