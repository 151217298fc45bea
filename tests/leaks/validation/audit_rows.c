/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* audit_rows - a row of each request is added to an array that grows by a quarter when it is full; nobody takes
 * rows out. */
#include "../cache.h"

static struct cache cache = {.capacity = 640, .buckets = 1024};

struct row {
	uint64_t at;
	uint32_t item, status;
	uint64_t key;
};

static struct row *rows;
static size_t count, room;

CORPUS_SITE static int
rows_grow(void)
{
	size_t more = room ? room + room / 4 : 32;
	struct row *grown = realloc(rows, more * sizeof(*rows));

	if (!grown)
		return -1;
	rows = grown;
	room = more;
	return 0;
}

static mtlsd_action
audit_rows_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 95);
	if (count == room && rows_grow() < 0)
		return MTLSD_FAIL;
	rows[count++] = (struct row){corpus_now(), (uint32_t) (ask.key % 100), ask.error ? 500 : 200, ask.key};
	return corpus_answer(request, &ask);
}

static uint64_t
audit_rows_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("audit_rows", "adds a row for each request to an array"),
	.options = corpus_options,
	.init = corpus_init,
	.request = audit_rows_request,
	.evict = audit_rows_evict,
};
