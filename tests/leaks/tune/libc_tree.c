/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libc_tree - one request in four is put into a tree by tsearch, which allocates its nodes itself; nobody calls
 * tdelete. The leak lies in the foreign heap. */
#include "../cache.h"

#include <search.h>

static struct cache cache = {.capacity = 500, .buckets = 1024};

static void *tree;
static uintptr_t number;

static int
compare(const void *a, const void *b)
{
	return ((uintptr_t) a > (uintptr_t) b) - ((uintptr_t) a < (uintptr_t) b);
}

CORPUS_SITE static void
index_request(void)
{
	(void) tsearch((void *) ++number, &tree, compare);
}

static mtlsd_action
libc_tree_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (corpus_below(4) == 0)
		index_request();
	return corpus_answer(request, &ask);
}

static uint64_t
libc_tree_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("libc_tree", "indexes requests in a tree of the C library's"),
	.options = corpus_options,
	.init = corpus_init,
	.request = libc_tree_request,
	.evict = libc_tree_evict,
};
