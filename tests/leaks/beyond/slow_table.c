/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* slow_table - a table of ten thousand entries that fills at random for as long as a run lasts, and that no eviction
 * takes. It has an end, but nothing that was measured before the end can know. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

enum { SLOTS = 10000 };

static void *slots[SLOTS];

CORPUS_SITE static void
slot_fill(size_t place)
{
	slots[place] = malloc(1024);
	if (slots[place])
		memset(slots[place], 's', 1024);
}

static mtlsd_action
slow_table_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	size_t place = corpus_below(10) ? corpus_below(SLOTS / 10) : corpus_below(SLOTS);
	if (!slots[place])
		slot_fill(place);
	return corpus_answer(request, &ask);
}

static uint64_t
slow_table_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("slow_table", "fills a table slowly"),
	.options = corpus_options,
	.init = corpus_init,
	.request = slow_table_request,
	.evict = slow_table_evict,
};
