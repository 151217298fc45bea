/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* frequency_large - some twenty-four thousand documents, on a heap by how often they were asked for; the rarest goes
 * for a new one. It fills for a good part of a run. */
#include "../corpus.h"

enum { BUCKETS = 16384, MOST = 32000 };

struct document {
	struct document *chain;
	uint64_t key;
	unsigned uses, at; /* its place on the heap */
	char body[180];
};

static struct document *bucket[BUCKETS], *heap[MOST];
static unsigned count, room;

static void
heap_set(unsigned at, struct document *document)
{
	heap[at] = document;
	document->at = at;
}

static void
heap_up(unsigned at)
{
	struct document *document = heap[at];

	for (; at > 0 && heap[(at - 1) / 2]->uses > document->uses; at = (at - 1) / 2)
		heap_set(at, heap[(at - 1) / 2]);
	heap_set(at, document);
}

static void
heap_down(unsigned at)
{
	struct document *document = heap[at];

	for (unsigned child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && heap[child + 1]->uses < heap[child]->uses)
			child++;
		if (heap[child]->uses >= document->uses)
			break;
		heap_set(at, heap[child]);
	}
	heap_set(at, document);
}

static void
rarest_free(void)
{
	struct document *rarest = heap[0], **place = &bucket[rarest->key % BUCKETS];

	while (*place != rarest)
		place = &(*place)->chain;
	*place = rarest->chain;
	if (--count > 0) {
		heap_set(0, heap[count]);
		heap_down(0);
	}
	free(rarest);
}

CORPUS_SITE static void
document_keep(uint64_t key)
{
	struct document *document = calloc(1, sizeof(*document));

	if (!document)
		return;
	if (count >= room)
		rarest_free();
	document->key = key;
	document->uses = 1;
	document->chain = bucket[key % BUCKETS];
	bucket[key % BUCKETS] = document;
	heap_set(count++, document);
	heap_up(count - 1);
}

static int
frequency_large_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		     void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	room = (unsigned) corpus_vary(24000, 1);
	return 0;
}

static mtlsd_action
frequency_large_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct document *document = bucket[ask.key % BUCKETS];
	while (document && document->key != ask.key)
		document = document->chain;
	if (document) {
		document->uses++;
		heap_down(document->at);
	} else {
		document_keep(ask.key);
	}
	return corpus_answer(request, &ask);
}

static uint64_t
frequency_large_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	uint64_t freed = 0;

	for (; count > 0 && freed < target; freed += sizeof(struct document))
		rarest_free();
	return freed;
}

static void
frequency_large_fini(void *user CORPUS_UNUSED)
{
	while (count > 0)
		rarest_free();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("frequency_large", "a cache that throws out what is asked for least"),
	.options = corpus_options,
	.init = frequency_large_init,
	.request = frequency_large_request,
	.evict = frequency_large_evict,
	.fini = frequency_large_fini,
};
