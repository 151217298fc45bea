/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* upload_bodies - what a client sent is decoded into a block the list knows by pointer; a client that leaves takes
 * only the entry with it. */
#include "../cache.h"

static struct cache cache = {.capacity = 900, .buckets = 1024};

struct entry {
	struct entry *next;
	const mtlsd_request *request;
	unsigned char *body;
};

static struct entry *entries;

CORPUS_SITE static unsigned char *
body_decode(uint64_t key)
{
	size_t size = (1 + key % 4) * 256;
	unsigned char *body = malloc(size);

	if (body)
		memset(body, (int) key, size);
	return body;
}

static int
body_keep(const mtlsd_request *request, uint64_t key)
{
	struct entry *entry = malloc(sizeof(*entry));

	if (!entry)
		return 0;
	*entry = (struct entry){.next = entries, .request = request, .body = body_decode(key)};
	entries = entry;
	return 1;
}

static void
body_done(void *user CORPUS_UNUSED, mtlsd_request *request, mtlsd_outcome outcome)
{
	struct entry **place = &entries, *entry;

	while (*place && (*place)->request != request)
		place = &(*place)->next;
	entry = *place;
	if (!entry)
		return;
	*place = entry->next;
	if (outcome == MTLSD_SENT)
		free(entry->body);
	free(entry);
}

static mtlsd_action
upload_bodies_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 70);
	if (!body_keep(request, corpus_random() >> 8))
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
upload_bodies_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("upload_bodies", "loses what was decoded for clients that left"),
	.options = corpus_options,
	.init = corpus_init,
	.request = upload_bodies_request,
	.evict = upload_bodies_evict,
	.done = body_done,
};
