/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache - keeps a value for every path and query asked for, and gives the oldest back when told to evict.
 *
 * The query's `level=2` or `level=3` makes the entry one of that eviction level; eviction takes no entry above the
 * level it was given. Not MTLSD_CONCURRENT and without a lock: it relies on the daemon's word that callbacks do not
 * overlap.
 */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

enum { BUCKETS = 4096, LEVELS = 4 };

struct entry {
	struct entry *chain;          /* same bucket */
	struct entry *older, *newer; /* all entries by age */
	size_t bytes;                 /* what it asked of malloc */
	int level;
	char *value;
	char key[];
};

static const mtlsd_host *host;
static size_t value_bytes;
static int64_t max_entries;
static struct entry *buckets[BUCKETS], *oldest, *newest;
static uint64_t entries, held, hits, misses, evictions, level_bytes[LEVELS];

static const mtlsd_option options[] = {
	{.name = "max_entries", .type = MTLSD_OPTION_INT, .max = 1 << 30, .fallback = "0",
	 .help = "The oldest entry goes when there are more; 0: the cache has no bound."},
	{.name = "value_bytes", .type = MTLSD_OPTION_SIZE, .min = 1, .max = 1 << 24, .fallback = "1KiB",
	 .help = "Bytes of each cached value."},
	{.name = NULL},
};

static size_t
key_bucket(const char *key)
{
	uint64_t hash = 14695981039346656037u;

	for (; *key; key++)
		hash = (hash ^ (unsigned char) *key) * 1099511628211u;
	return hash % BUCKETS;
}

static struct entry *
entry_find(const char *key)
{
	struct entry *entry = buckets[key_bucket(key)];

	while (entry && strcmp(entry->key, key) != 0)
		entry = entry->chain;
	return entry;
}

static void
entry_drop(struct entry *entry)
{
	struct entry **place = &buckets[key_bucket(entry->key)];

	while (*place != entry)
		place = &(*place)->chain;
	*place = entry->chain;
	if (entry->older)
		entry->older->newer = entry->newer;
	else
		oldest = entry->newer;
	if (entry->newer)
		entry->newer->older = entry->older;
	else
		newest = entry->older;
	entries--;
	held -= entry->bytes;
	level_bytes[entry->level] -= entry->bytes;
	free(entry->value);
	free(entry);
}

__attribute__((noinline)) static int
cache_keep(const char *key, int level)
{
	size_t size = sizeof(struct entry) + strlen(key) + 1, bucket = key_bucket(key);
	struct entry *entry = malloc(size);

	if (!entry)
		return -ENOMEM;
	entry->value = malloc(value_bytes);
	if (!entry->value) {
		free(entry);
		return -ENOMEM;
	}
	memset(entry->value, 'c', value_bytes);
	strcpy(entry->key, key);
	entry->bytes = size + value_bytes;
	entry->level = level;
	entry->chain = buckets[bucket];
	buckets[bucket] = entry;
	entry->older = newest;
	entry->newer = NULL;
	if (newest)
		newest->newer = entry;
	else
		oldest = entry;
	newest = entry;
	entries++;
	held += entry->bytes;
	level_bytes[level] += entry->bytes;
	return 0;
}

static int
cache_init(const mtlsd_host *given, mtlsd_instance *self FIXTURE_UNUSED, const mtlsd_config *config,
	   void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	max_entries = host->config_int(config, "max_entries");
	value_bytes = (size_t) host->config_int(config, "value_bytes");
	return 0;
}

static mtlsd_action
cache_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	const char *path = host->path(request), *query = host->query(request), *word;
	size_t size = strlen(path) + (query ? strlen(query) : 0) + 2;
	char *key = host->alloc(request, size);
	int level = MTLSD_EVICT_CACHES;

	if (!key)
		return MTLSD_FAIL;
	snprintf(key, size, "%s?%s", path, query ? query : "");
	if (entry_find(key)) {
		hits++;
		return fixture_answer(host, request, 200, "hit\n");
	}
	misses++;
	word = query ? strstr(query, "level=") : NULL;
	if (word && (word[6] == '2' || word[6] == '3'))
		level = word[6] - '0';
	if (cache_keep(key, level) < 0)
		return fixture_answer(host, request, 200, "full\n"); /* a cache that cannot grow still serves */
	while (max_entries && entries > (uint64_t) max_entries)
		entry_drop(oldest);
	return fixture_answer(host, request, 200, "miss\n");
}

static uint64_t
cache_evict(void *user FIXTURE_UNUSED, uint64_t target, mtlsd_level level)
{
	struct entry *entry, *next;
	uint64_t freed = 0;

	for (entry = oldest; entry && freed < target; entry = next) {
		next = entry->newer;
		if (entry->level > (int) level)
			continue;
		freed += entry->bytes;
		evictions++;
		entry_drop(entry);
	}
	return freed;
}

static void
cache_dump(void *user FIXTURE_UNUSED, mtlsd_dump *dump)
{
	host->dump_number(dump, "entries", entries);
	host->dump_number(dump, "bytes", held);
	host->dump_number(dump, "hits", hits);
	host->dump_number(dump, "misses", misses);
	host->dump_number(dump, "evictions", evictions);
	host->dump_number(dump, "bytes_level_1", level_bytes[1]);
	host->dump_number(dump, "bytes_level_2", level_bytes[2]);
	host->dump_number(dump, "bytes_level_3", level_bytes[3]);
	host->dump_text(dump, "oldest", oldest ? oldest->key : "none");
}

static void
cache_fini(void *user FIXTURE_UNUSED)
{
	while (oldest)
		entry_drop(oldest);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("cache", "1.0", "keeps a value for every key, and gives it back when asked"),
	.options = options,
	.init = cache_init,
	.request = cache_request,
	.evict = cache_evict,
	.dump = cache_dump,
	.fini = cache_fini,
};
