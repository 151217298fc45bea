/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sparse_flags - one request in thirty-two raises a flag, by chance; a flag is a small block in a list, and is
 * never lowered. */
#include "../cache.h"

static struct cache cache = {.capacity = 480, .buckets = 1024};

struct flag {
	struct flag *next;
	uint64_t key, reason;
};

static struct flag *flags;

CORPUS_SITE static void
flag_raise(uint64_t key)
{
	struct flag *flag = malloc(sizeof(*flag));

	if (!flag)
		return;
	*flag = (struct flag){.next = flags, .key = key, .reason = key % 7};
	flags = flag;
}

static mtlsd_action
sparse_flags_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 80);
	if (corpus_below(32) == 0)
		flag_raise(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
sparse_flags_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("sparse_flags", "keeps a byte a request, by chance"),
	.options = corpus_options,
	.init = corpus_init,
	.request = sparse_flags_request,
	.evict = sparse_flags_evict,
};
