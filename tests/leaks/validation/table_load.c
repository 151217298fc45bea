/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table_load - a table of three megabytes in two hundred blocks is loaded once, when some forty thousand requests
 * have shown that it is worth it. */
#include "../cache.h"

static struct cache cache = {.capacity = 600, .buckets = 1024};

enum { BLOCKS = 200, BLOCK = 16384 };

static unsigned char *table[BLOCKS];
static uint64_t served, worth;

CORPUS_SITE static void
table_read(void)
{
	for (int i = 0; i < BLOCKS; i++) {
		table[i] = malloc(BLOCK);
		if (table[i])
			memset(table[i], i + 1, BLOCK);
	}
}

static int
table_load_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	worth = corpus_vary(40000, 1);
	return 0;
}

static mtlsd_action
table_load_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 190);
	if (++served == worth)
		table_read();
	return corpus_answer(request, &ask);
}

static uint64_t
table_load_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target); /* the table is what answers come from */
}

static void
table_load_fini(void *user CORPUS_UNUSED)
{
	for (int i = 0; i < BLOCKS; i++)
		free(table[i]);
	(void) cache_evict(&cache, UINT64_MAX);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("table_load", "loads a table once, late"),
	.options = corpus_options,
	.init = table_load_init,
	.request = table_load_request,
	.evict = table_load_evict,
	.fini = table_load_fini,
};
