/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resume_tokens - how far a download has come is kept in case its client leaves: then it goes into a tree under a
 * token, to be resumed. Nobody was told the token, so nobody asks. */
#include "../cache.h"

static struct cache cache = {.capacity = 660, .buckets = 1024};

struct download {
	struct download *next, *left, *right; /* next: under way; left, right: to be resumed */
	const mtlsd_request *request;
	uint64_t token, sent;
	char name[48];
	unsigned char digest[280];
};

static struct download *under_way, *resumable;

CORPUS_SITE static struct download *
download_new(const mtlsd_request *request, const char *name)
{
	struct download *download = calloc(1, sizeof(*download));

	if (download) {
		download->next = under_way;
		download->request = request;
		download->token = corpus_random();
		snprintf(download->name, sizeof(download->name), "%s", name);
	}
	return download;
}

static void
download_keep(struct download *download)
{
	struct download **place = &resumable;

	while (*place)
		place = download->token < (*place)->token ? &(*place)->left : &(*place)->right;
	*place = download;
}

static void
resume_tokens_done(void *user CORPUS_UNUSED, mtlsd_request *request, mtlsd_outcome outcome)
{
	struct download **place = &under_way, *download;

	while (*place && (*place)->request != request)
		place = &(*place)->next;
	download = *place;
	if (!download)
		return;
	*place = download->next;
	if (outcome == MTLSD_ABORTED)
		download_keep(download);
	else
		free(download);
}

static mtlsd_action
resume_tokens_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 60 + ask.key % 50);
	struct download *download = download_new(request, ask.path);
	if (!download)
		return MTLSD_FAIL;
	under_way = download;
	return corpus_answer(request, &ask);
}

static uint64_t
resume_tokens_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("resume_tokens", "keeps what clients that left might resume"),
	.options = corpus_options,
	.init = corpus_init,
	.request = resume_tokens_request,
	.evict = resume_tokens_evict,
	.done = resume_tokens_done,
};
