/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* error_builder - the text of an error is put together in a builder that grows by realloc; the early return
 * forgets it. */
#include "../cache.h"

static struct cache cache = {.capacity = 700, .buckets = 1024};

struct builder {
	char *text;
	size_t length, room;
};

static const char *shown; /* the last, to be looked at */

CORPUS_SITE static int
builder_reserve(struct builder *builder, size_t more)
{
	size_t room = builder->room ? builder->room : 64;

	while (room < builder->length + more)
		room *= 2;
	if (room == builder->room)
		return 0;
	char *text = realloc(builder->text, room);
	if (!text)
		return -1;
	builder->text = text;
	builder->room = room;
	return 0;
}

static void
builder_add(struct builder *builder, unsigned frame)
{
	if (builder_reserve(builder, 41) < 0)
		return;
	snprintf(builder->text + builder->length, 41, "frame %4u: %-28s", frame, "in a function");
	builder->length += 40;
}

static mtlsd_action
error_builder_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct builder builder = {0};
	unsigned frames = 1 + (unsigned) corpus_below(8);
	cache_use(&cache, ask.key, 90);
	for (unsigned i = 0; i < frames; i++)
		builder_add(&builder, i);
	if (ask.error) {
		shown = builder.text;
		return host->respond(request, 500, "error\n", 6) < 0 ? MTLSD_FAIL : MTLSD_DONE;
	}
	free(builder.text);
	return corpus_answer(request, &ask);
}

static uint64_t
error_builder_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("error_builder", "builds the texts of errors and keeps them"),
	.options = corpus_options,
	.init = corpus_init,
	.request = error_builder_request,
	.evict = error_builder_evict,
};
