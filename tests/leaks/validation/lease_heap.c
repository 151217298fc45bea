/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lease_heap - leases of half a minute to two minutes, the next to end on top of a heap; the array of the heap
 * doubles, and never shrinks. */
#include "../corpus.h"

enum { BUCKETS = 65536 };

struct lease {
	struct lease *chain;
	uint64_t key, ends;
	char terms[90];
};

static struct lease **heap, *bucket[BUCKETS];
static size_t count, room;
static uint64_t longest;

static void
heap_sink(size_t at)
{
	for (size_t child; (child = 2 * at + 1) < count; at = child) {
		struct lease *lease = heap[at];
		if (child + 1 < count && heap[child + 1]->ends < heap[child]->ends)
			child++;
		if (lease->ends <= heap[child]->ends)
			return;
		heap[at] = heap[child];
		heap[child] = lease;
	}
}

static void
heap_push(struct lease *lease)
{
	size_t at = count++;

	for (; at > 0 && heap[(at - 1) / 2]->ends > lease->ends; at = (at - 1) / 2)
		heap[at] = heap[(at - 1) / 2];
	heap[at] = lease;
}

static uint64_t
lease_end(void)
{
	struct lease *lease = heap[0], **place = &bucket[lease->key % BUCKETS];

	heap[0] = heap[--count];
	heap_sink(0);
	while (*place != lease)
		place = &(*place)->chain;
	*place = lease->chain;
	free(lease);
	return sizeof(*lease);
}

CORPUS_SITE static int
heap_grow(void)
{
	size_t more = room ? room * 2 : 256;
	struct lease **grown = realloc(heap, more * sizeof(struct lease *));

	if (!grown)
		return -1;
	heap = grown;
	room = more;
	return 0;
}

CORPUS_SITE static void
lease_grant(uint64_t key, uint64_t now)
{
	struct lease *lease = count == room && heap_grow() < 0 ? NULL : calloc(1, sizeof(*lease));

	if (!lease)
		return;
	lease->key = key;
	lease->ends = now + longest / 4 + corpus_below(longest * 3 / 4);
	lease->chain = bucket[key % BUCKETS];
	bucket[key % BUCKETS] = lease;
	heap_push(lease);
}

static uint64_t
leases_end(uint64_t target)
{
	uint64_t freed = 0;

	while (count > 0 && freed < target)
		freed += lease_end();
	return freed;
}

static int
lease_heap_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	longest = corpus_vary(120, 1) * 1000000;
	return 0;
}

static mtlsd_action
lease_heap_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	uint64_t now = corpus_now();
	while (count > 0 && heap[0]->ends <= now)
		(void) lease_end();
	const struct lease *lease = bucket[ask.key % BUCKETS];
	while (lease && lease->key != ask.key)
		lease = lease->chain;
	if (!lease)
		lease_grant(ask.key, now);
	return corpus_answer(request, &ask);
}

static uint64_t
lease_heap_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return leases_end(target); /* the heap itself is soon as large again */
}

static void
lease_heap_fini(void *user CORPUS_UNUSED)
{
	(void) leases_end(UINT64_MAX);
	free(heap);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("lease_heap", "a cache of leases that end"),
	.options = corpus_options,
	.init = lease_heap_init,
	.request = lease_heap_request,
	.evict = lease_heap_evict,
	.fini = lease_heap_fini,
};
