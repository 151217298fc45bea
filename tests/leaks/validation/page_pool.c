/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* page_pool - a request borrows one to four pages and returns them when it is done; the pool keeps as many as were
 * ever out at once, until it is told to let go. */
#include "../corpus.h"

enum { BORROWED = 4 };

struct page {
	struct page *next;
	char bytes[4096 - sizeof(void *)];
};

struct loan {
	struct loan *next;
	const mtlsd_request *request;
	struct page *pages[BORROWED];
};

static struct page *spare;
static struct loan *loans;

CORPUS_SITE static struct page *
page_take(void)
{
	struct page *page = spare;

	if (!page)
		return calloc(1, sizeof(*page));
	spare = page->next;
	return page;
}

static int
pages_borrow(const mtlsd_request *request, uint64_t count)
{
	struct loan *loan = calloc(1, sizeof(*loan));

	if (!loan)
		return 0;
	loan->request = request;
	loan->next = loans;
	loans = loan;
	for (uint64_t i = 0; i < count; i++)
		loan->pages[i] = page_take();
	return 1;
}

static void
pages_return(void *user CORPUS_UNUSED, mtlsd_request *request, mtlsd_outcome outcome CORPUS_UNUSED)
{
	struct loan **place = &loans, *loan;

	while (*place && (*place)->request != request)
		place = &(*place)->next;
	loan = *place;
	if (!loan)
		return;
	*place = loan->next;
	for (int i = 0; i < BORROWED; i++) {
		if (!loan->pages[i])
			continue;
		loan->pages[i]->next = spare;
		spare = loan->pages[i];
	}
	free(loan);
}

static uint64_t
pages_free(uint64_t target)
{
	uint64_t freed = 0;

	while (spare && freed < target) {
		struct page *page = spare;
		spare = page->next;
		free(page);
		freed += sizeof(*page);
	}
	return freed;
}

static mtlsd_action
page_pool_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	if (!pages_borrow(request, 1 + corpus_below(BORROWED)))
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
page_pool_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return pages_free(target);
}

static void
page_pool_fini(void *user CORPUS_UNUSED)
{
	(void) pages_free(UINT64_MAX);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("page_pool", "a pool of pages with a high-water mark"),
	.options = corpus_options,
	.init = corpus_init,
	.request = page_pool_request,
	.evict = page_pool_evict,
	.fini = page_pool_fini,
	.done = pages_return,
};
