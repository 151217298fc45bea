/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* abort_path - every answer is prepared in a block that is freed once it was sent; where the client went away it
 * never is. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

struct draft {
	struct draft *next;
	mtlsd_request *request;
	char text[512 - 2 * sizeof(void *)];
};

static struct draft *drafts;

CORPUS_SITE static void
open_draft(mtlsd_request *request)
{
	struct draft *draft = malloc(sizeof(*draft));

	if (!draft)
		return;
	draft->request = request;
	draft->next = drafts;
	drafts = draft;
}

static void
abort_path_done(void *user CORPUS_UNUSED, mtlsd_request *request, mtlsd_outcome outcome)
{
	struct draft **place = &drafts, *draft;

	while (*place && (*place)->request != request)
		place = &(*place)->next;
	draft = *place;
	if (!draft)
		return;
	*place = draft->next;
	if (outcome == MTLSD_SENT)
		free(draft);
}

static mtlsd_action
abort_path_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	open_draft(request);
	return corpus_answer(request, &ask);
}

static uint64_t
abort_path_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("abort_path", "loses an answer its client did not wait for"),
	.options = corpus_options,
	.init = corpus_init,
	.request = abort_path_request,
	.evict = abort_path_evict,
	.done = abort_path_done,
};
