/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* clock_small - a cache of about fifteen hundred values in an array with a clock hand; it is warm soon. */
#include "../corpus.h"

enum { ENTRIES = 1950, INDEX = 4096 };

static struct entry {
	uint64_t key;
	char *value;
	size_t bytes;
	int used;
	unsigned chain; /* of the bucket; the place plus one */
} entries[ENTRIES];
static unsigned bucket[INDEX];
static size_t room, hand;

static unsigned *
bucket_of(uint64_t key)
{
	return &bucket[(key * 0x9e3779b97f4a7c15 >> 40) % INDEX];
}

static uint64_t
entry_drop(struct entry *entry)
{
	unsigned *place = bucket_of(entry->key), number = (unsigned) (entry - entries) + 1;
	uint64_t freed = entry->bytes;

	if (!entry->value)
		return 0;
	while (*place != number)
		place = &entries[*place - 1].chain;
	*place = entry->chain;
	free(entry->value);
	*entry = (struct entry){0};
	return freed;
}

static int
entry_find(uint64_t key)
{
	for (unsigned number = *bucket_of(key); number; number = entries[number - 1].chain) {
		if (entries[number - 1].key == key)
			return entries[number - 1].used = 1;
	}
	return 0;
}

CORPUS_SITE static void
entry_add(uint64_t key)
{
	for (; entries[hand].used; hand = (hand + 1) % room)
		entries[hand].used = 0;
	struct entry *entry = &entries[hand];
	(void) entry_drop(entry);
	*entry = (struct entry){.key = key, .bytes = 100 + key % 300, .chain = *bucket_of(key)};
	entry->value = calloc(1, entry->bytes);
	if (!entry->value)
		return;
	*bucket_of(key) = (unsigned) (entry - entries) + 1;
	hand = (hand + 1) % room;
}

static uint64_t
entries_drop(uint64_t target)
{
	uint64_t freed = 0;

	for (size_t i = 0; i < room && freed < target; i++)
		freed += entry_drop(&entries[i]);
	return freed;
}

static int
clock_small_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	room = corpus_vary(1500, 1);
	return 0;
}

static mtlsd_action
clock_small_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	if (!entry_find(ask.key))
		entry_add(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
clock_small_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return entries_drop(target);
}

static void
clock_small_fini(void *user CORPUS_UNUSED)
{
	(void) entries_drop(UINT64_MAX);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("clock_small", "a small cache with a clock hand"),
	.options = corpus_options,
	.init = clock_small_init,
	.request = clock_small_request,
	.evict = clock_small_evict,
	.fini = clock_small_fini,
};
