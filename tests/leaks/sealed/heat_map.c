/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* heat_map - how often each item was asked for, in pages of four thousand counters that are made when the first of them
 * is needed; an item has its place, so there are no more pages than items fill. */
#include "../corpus.h"

enum { PAGE = 4096, PAGES = 256 };

static unsigned short *pages[PAGES];

CORPUS_SITE static unsigned short *
page_make(size_t which)
{
	unsigned short *page = calloc(PAGE, sizeof(*page));

	pages[which] = page;
	return page;
}

static void
item_count(uint64_t item)
{
	size_t which = (size_t) (item / PAGE) % PAGES;
	unsigned short *page = pages[which] ? pages[which] : page_make(which);

	if (page && page[item % PAGE] < 65535)
		page[item % PAGE]++;
}

static mtlsd_action
heat_map_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	item_count(ask.key);
	return corpus_answer(request, &ask);
}

static void
heat_map_dump(void *user CORPUS_UNUSED, mtlsd_dump *dump)
{
	uint64_t made = 0;

	for (size_t i = 0; i < PAGES; i++)
		made += pages[i] ? 1 : 0;
	host->dump_number(dump, "pages", made);
}

static uint64_t
heat_map_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* counts that begin anew are wrong */
}

static void
heat_map_fini(void *user CORPUS_UNUSED)
{
	for (size_t i = 0; i < PAGES; i++)
		free(pages[i]);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("heat_map", "counts what is asked for, on pages made when needed"),
	.options = corpus_options,
	.init = corpus_init,
	.request = heat_map_request,
	.evict = heat_map_evict,
	.dump = heat_map_dump,
	.fini = heat_map_fini,
};
