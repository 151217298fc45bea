/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* segmented_large - a cache of about thirty thousand in two segments: who is asked for again moves to the
 * protected one. It fills for a fifth of a run or longer. */
#include "../corpus.h"

enum { BUCKETS = 32768 };

struct entry {
	struct entry *chain, *before, *after;
	uint64_t key;
	int segment;
	char value[];
};

static struct segment {
	struct entry *oldest, *newest;
	size_t count, most;
} segments[2];
static struct entry *bucket[BUCKETS];

static void
segment_remove(struct entry *entry)
{
	struct segment *segment = &segments[entry->segment];

	*(entry->before ? &entry->before->after : &segment->oldest) = entry->after;
	*(entry->after ? &entry->after->before : &segment->newest) = entry->before;
	segment->count--;
}

static void
segment_append(struct entry *entry, int which)
{
	struct segment *segment = &segments[which];

	entry->segment = which;
	entry->before = segment->newest;
	entry->after = NULL;
	*(segment->newest ? &segment->newest->after : &segment->oldest) = entry;
	segment->newest = entry;
	segment->count++;
}

static void
entry_free(struct entry *entry)
{
	struct entry **place = &bucket[entry->key % BUCKETS];

	while (*place != entry)
		place = &(*place)->chain;
	*place = entry->chain;
	segment_remove(entry);
	free(entry);
}

static void
entry_promote(struct entry *entry)
{
	segment_remove(entry);
	segment_append(entry, 1);
	if (segments[1].count > segments[1].most) {
		struct entry *back = segments[1].oldest;
		segment_remove(back);
		segment_append(back, 0);
	}
}

CORPUS_SITE static void
entry_add(uint64_t key)
{
	struct entry *entry = calloc(1, sizeof(*entry) + 60 + key % 140);

	if (!entry)
		return;
	entry->key = key;
	entry->chain = bucket[key % BUCKETS];
	bucket[key % BUCKETS] = entry;
	segment_append(entry, 0);
	if (segments[0].count > segments[0].most)
		entry_free(segments[0].oldest);
}

static uint64_t
entries_drop(int segment, uint64_t target)
{
	uint64_t freed = 0;

	while (segments[segment].oldest && freed < target) {
		freed += sizeof(struct entry) + 60 + segments[segment].oldest->key % 140;
		entry_free(segments[segment].oldest);
	}
	return freed;
}

static int
segmented_large_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		     void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	segments[0].most = corpus_vary(10000, 1);
	segments[1].most = corpus_vary(20000, 2);
	return 0;
}

static mtlsd_action
segmented_large_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct entry *entry = bucket[ask.key % BUCKETS];
	while (entry && entry->key != ask.key)
		entry = entry->chain;
	if (entry)
		entry_promote(entry);
	else
		entry_add(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
segmented_large_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	uint64_t freed = entries_drop(0, target);
	return freed < target ? freed + entries_drop(1, target - freed) : freed;
}

static void
segmented_large_fini(void *user CORPUS_UNUSED)
{
	(void) entries_drop(0, UINT64_MAX);
	(void) entries_drop(1, UINT64_MAX);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("segmented_large", "a large cache of two segments"),
	.options = corpus_options,
	.init = segmented_large_init,
	.request = segmented_large_request,
	.evict = segmented_large_evict,
	.fini = segmented_large_fini,
};
