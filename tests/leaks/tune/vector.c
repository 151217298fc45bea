/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vector - one array that grows by half whenever it is full: bytes rise in steps, and there is one object all the
 * while. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

static struct {
	uint64_t (*items)[2];
	size_t count, room;
} seen;

CORPUS_SITE static int
vector_grow(void)
{
	size_t room = seen.room ? seen.room + seen.room / 2 : 64;
	void *items = realloc(seen.items, room * sizeof(seen.items[0]));

	if (!items)
		return -1;
	seen.items = items;
	seen.room = room;
	return 0;
}

static void
vector_push(uint64_t key)
{
	if (seen.count == seen.room && vector_grow() < 0)
		return;
	seen.items[seen.count][0] = key;
	seen.items[seen.count++][1] = 1;
}

static mtlsd_action
vector_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	vector_push(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
vector_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("vector", "a vector that is only ever pushed to"),
	.options = corpus_options,
	.init = corpus_init,
	.request = vector_request,
	.evict = vector_evict,
};
