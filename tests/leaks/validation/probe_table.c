/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* probe_table - everybody ever asked for is in a table with open addressing that doubles when it is three quarters
 * full; the keys never repeat. */
#include "../cache.h"

static struct cache cache = {.capacity = 800, .buckets = 1024};

static struct {
	uint64_t *keys;
	size_t count, room;
} table;

static void
table_put(uint64_t key)
{
	size_t at = (key * 0x9e3779b97f4a7c15 >> 20) & (table.room - 1);

	while (table.keys[at])
		at = (at + 1) & (table.room - 1);
	table.keys[at] = key;
	table.count++;
}

CORPUS_SITE static int
table_grow(void)
{
	uint64_t *before = table.keys, *keys = calloc(table.room ? table.room * 2 : 256, sizeof(*keys));
	size_t room = table.room;

	if (!keys)
		return -1;
	table.keys = keys;
	table.room = room ? room * 2 : 256;
	table.count = 0;
	for (size_t i = 0; i < room; i++)
		if (before[i])
			table_put(before[i]);
	free(before);
	return 0;
}

static mtlsd_action
probe_table_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 64);
	if (table.count >= table.room / 4 * 3 && table_grow() < 0)
		return MTLSD_FAIL;
	table_put(corpus_random() | 1);
	return corpus_answer(request, &ask);
}

static uint64_t
probe_table_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("probe_table", "a table that only ever doubles"),
	.options = corpus_options,
	.init = corpus_init,
	.request = probe_table_request,
	.evict = probe_table_evict,
};
