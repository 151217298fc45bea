/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* merged_ranges - one request in a hundred asks for a dozen ranges that lie side by side; they are merged to one, and
 * the eleven that were swallowed are off the list before it is freed. */
#include "../cache.h"

static struct cache cache = {.capacity = 730, .buckets = 1024};

enum { PIECES = 12, PIECE_BYTES = 512 };

struct range {
	struct range *next;
	uint64_t first, last;
	char unit[16];
};

CORPUS_SITE static struct range *
range_new(uint64_t first, struct range *next)
{
	struct range *range = malloc(sizeof(*range));

	if (range)
		*range = (struct range){.next = next, .first = first, .last = first + PIECE_BYTES - 1, .unit = "bytes"};
	return range;
}

static struct range *
ranges_read(uint64_t key)
{
	struct range *ranges = NULL;

	for (unsigned i = PIECES; i-- > 0;) {
		struct range *range = range_new((key % 64 + i) * PIECE_BYTES, ranges);
		if (!range)
			break;
		ranges = range;
	}
	return ranges;
}

static void
ranges_merge(struct range *range)
{
	while (range && range->next) {
		if (range->last + 1 < range->next->first) {
			range = range->next;
			continue;
		}
		range->last = range->next->last;
		range->next = range->next->next;
	}
}

static void
ranges_free(struct range *ranges)
{
	while (ranges) {
		struct range *next = ranges->next;
		free(ranges);
		ranges = next;
	}
}

static mtlsd_action
merged_ranges_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 190);
	if (corpus_below(100) == 0) {
		struct range *ranges = ranges_read(ask.key);
		ranges_merge(ranges);
		ranges_free(ranges);
	}
	return corpus_answer(request, &ask);
}

static uint64_t
merged_ranges_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("merged_ranges", "answers ranges side by side as one"),
	.options = corpus_options,
	.init = corpus_init,
	.request = merged_ranges_request,
	.evict = merged_ranges_evict,
};
