/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* under_flush - what requests report is gathered on pages, a few megabytes, and flushed as a whole; below that a
 * mark of every other request stays. */
#include "../corpus.h"

struct page {
	struct page *next;
	size_t used;
	char text[4096 - 2 * sizeof(void *)];
};

static struct page *pages;
static size_t count, most;
static const void *mark;

CORPUS_SITE static void
page_add(void)
{
	struct page *page = malloc(sizeof(*page));

	if (!page)
		return;
	page->next = pages;
	page->used = 0;
	pages = page;
	count++;
}

static uint64_t
pages_flush(void)
{
	uint64_t freed = count * sizeof(struct page);

	for (struct page *page = pages, *next; page; page = next) {
		next = page->next;
		free(page);
	}
	pages = NULL;
	count = 0;
	return freed;
}

static void
report(const char *path)
{
	char line[160];
	size_t length = (size_t) snprintf(line, sizeof(line), "%-*s\n", (int) (40 + corpus_below(100)), path);

	if (!pages || pages->used + length > sizeof(pages->text)) {
		if (count == most)
			(void) pages_flush();
		page_add();
	}
	if (!pages)
		return;
	memcpy(pages->text + pages->used, line, length);
	pages->used += length;
}

CORPUS_SITE static const void *
mark_new(uint64_t key)
{
	uint64_t *fresh = malloc(sizeof(*fresh));

	if (fresh)
		*fresh = key;
	return fresh;
}

static int
under_flush_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	most = corpus_vary(700, 1);
	return 0;
}

static mtlsd_action
under_flush_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	report(ask.path);
	if (corpus_below(2) == 0)
		mark = mark_new(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
under_flush_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return pages_flush();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("under_flush", "loses a mark below pages that come and go"),
	.options = corpus_options,
	.init = under_flush_init,
	.request = under_flush_request,
	.evict = under_flush_evict,
};
