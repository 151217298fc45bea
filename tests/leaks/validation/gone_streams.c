/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gone_streams - a stream is held by its reader and its writer; the writer lets go when all was sent, and not when
 * the client has gone. */
#include "../cache.h"

static struct cache cache = {.capacity = 380, .buckets = 1024};

struct stream {
	struct stream *next;
	const mtlsd_request *request;
	int references;
	char window[356];
};

static struct stream *writing;

CORPUS_SITE static struct stream *
stream_new(const mtlsd_request *request)
{
	struct stream *stream = malloc(sizeof(*stream));

	if (stream)
		*stream = (struct stream){.next = writing, .request = request, .references = 2};
	return stream;
}

static void
stream_unref(struct stream *stream)
{
	if (--stream->references == 0)
		free(stream);
}

static void
stream_done(void *user CORPUS_UNUSED, mtlsd_request *request, mtlsd_outcome outcome)
{
	struct stream **place = &writing, *stream;

	while (*place && (*place)->request != request)
		place = &(*place)->next;
	stream = *place;
	if (!stream)
		return;
	*place = stream->next;
	stream_unref(stream); /* the reader's */
	if (outcome == MTLSD_SENT)
		stream_unref(stream);
}

static mtlsd_action
gone_streams_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 210);
	struct stream *stream = stream_new(request);
	if (!stream)
		return MTLSD_FAIL;
	writing = stream;
	return corpus_answer(request, &ask);
}

static uint64_t
gone_streams_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("gone_streams", "loses the streams of clients that left"),
	.options = corpus_options,
	.init = corpus_init,
	.request = gone_streams_request,
	.evict = gone_streams_evict,
	.done = stream_done,
};
