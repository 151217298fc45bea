/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sparse_marks - marks are kept in blocks of 64 bytes, a new one for each 64th request; nobody ever clears them. */
#include "../cache.h"

static struct cache cache = {.capacity = 750, .buckets = 1024};

static unsigned char *marks;
static size_t used = 64;

CORPUS_SITE static unsigned char *
marks_new(void)
{
	unsigned char *fresh = calloc(1, 64);

	if (fresh)
		fresh[0] = 1;
	return fresh;
}

static void
mark_set(uint64_t key)
{
	if (used == 64) {
		marks = marks_new();
		used = 0;
	}
	if (marks)
		marks[used++] = (unsigned char) key;
}

static mtlsd_action
sparse_marks_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 100);
	mark_set(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
sparse_marks_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("sparse_marks", "keeps a byte a request"),
	.options = corpus_options,
	.init = corpus_init,
	.request = sparse_marks_request,
	.evict = sparse_marks_evict,
};
