/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lazy_init - three hundred tables are built as they are first needed, the rare ones late, and stay; no eviction
 * takes them. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

enum { TABLES = 300 };

static void *tables[TABLES];

CORPUS_SITE static void
build_table(size_t which)
{
	size_t size = 500 + which * 8;

	tables[which] = malloc(size);
	if (tables[which])
		memset(tables[which], 'i', size);
}

static mtlsd_action
lazy_init_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	uint64_t draw = corpus_below(TABLES * TABLES);
	size_t which = (size_t) (draw * draw / ((uint64_t) TABLES * TABLES * TABLES)); /* low numbers are common */
	if (!tables[which])
		build_table(which);
	return corpus_answer(request, &ask);
}

static uint64_t
lazy_init_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("lazy_init", "builds its parts when they are first needed"),
	.options = corpus_options,
	.init = corpus_init,
	.request = lazy_init_request,
	.evict = lazy_init_evict,
};
