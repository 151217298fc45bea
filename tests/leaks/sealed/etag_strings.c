/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* etag_strings - every answer has an entity tag, a string of its own that the header is set from; the host copies it,
 * which whoever wrote this did not know, so it is left alone. */
#include "../cache.h"

static struct cache cache = {.capacity = 410, .buckets = 512};

CORPUS_SITE static char *
etag_make(uint64_t key)
{
	char *tag = malloc(16);

	if (tag)
		snprintf(tag, 16, "\"%08x-%03x\"", (unsigned) (key * 2654435761U), (unsigned) (key & 0xfff));
	return tag;
}

static mtlsd_action
etag_strings_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 130);
	const char *tag = etag_make(ask.key);
	if (!tag || host->add_header(request, "ETag", tag) < 0)
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
etag_strings_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("etag_strings", "sets an entity tag on every answer"),
	.options = corpus_options,
	.init = corpus_init,
	.request = etag_strings_request,
	.evict = etag_strings_evict,
};
