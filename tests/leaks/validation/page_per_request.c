/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* page_per_request - each answer is rendered on a page of its own, and pages are listed for whoever may ask for
 * the same again; nobody looks there. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

struct page {
	struct page *next;
	uint64_t key;
	char text[4096 - 2 * sizeof(void *)];
};

static struct page *rendered;

CORPUS_SITE static struct page *
page_render(uint64_t key)
{
	struct page *page = malloc(sizeof(*page));

	if (page) {
		page->next = rendered;
		page->key = key;
		snprintf(page->text, sizeof(page->text), "<p>%llu</p>", (unsigned long long) key);
	}
	return page;
}

static mtlsd_action
page_per_request_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct page *page = page_render(ask.key);
	cache_use(&cache, ask.key, 105);
	if (page)
		rendered = page;
	return corpus_answer(request, &ask);
}

static uint64_t
page_per_request_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("page_per_request", "keeps the page of every answer"),
	.options = corpus_options,
	.init = corpus_init,
	.request = page_per_request_request,
	.evict = page_per_request_evict,
};
