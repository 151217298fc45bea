/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hoard - leaks at each request, by its own allocation or by a library's, beside a cache it gives back when asked.
 *
 * hoard_keep is the only place that leaks. The cache takes a new entry with each request and drops its oldest beyond
 * `entries`. While the file `fail_while` exists requests fail without an answer. Not MTLSD_CONCURRENT: no locks here.
 */
#include "fixture.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>

struct entry {
	struct entry *newer;
	char value[];
};

static const mtlsd_host *host;
static size_t leak_bytes, cache_bytes;
static int64_t entries_max, entries;
static int by_library;
static const char *fail_while;
static struct entry *oldest, **newest = &oldest;

/* What was leaked last: a store the compiler must keep, so that it keeps the allocation too. */
static void *volatile last;

static const mtlsd_option options[] = {
	{.name = "leak", .type = MTLSD_OPTION_SIZE, .max = 1 << 30, .fallback = "0",
	 .help = "Bytes leaked by each request; 0: none."},
	{.name = "by", .type = MTLSD_OPTION_CHOICE, .choices = "plugin|library", .fallback = "plugin",
	 .help = "library: a compiled pattern is leaked instead, whatever it takes."},
	{.name = "cache", .type = MTLSD_OPTION_SIZE, .max = 1 << 24, .fallback = "0",
	 .help = "Bytes of the entry each request adds to the cache; 0: no cache."},
	{.name = "entries", .type = MTLSD_OPTION_INT, .min = 1, .max = 1 << 30, .fallback = "1000",
	 .help = "Entries the cache keeps at most."},
	{.name = "fail_while", .type = MTLSD_OPTION_STRING, .max = 4096,
	 .help = "Fail requests while this file exists."},
	{.name = NULL},
};

__attribute__((noinline)) static void
hoard_keep(void)
{
	if (by_library) {
		static regex_t pattern;

		/* Compiled again without regfree: what it held before is lost. */
		(void) regcomp(&pattern, "^(/[a-z0-9]+)*/?$", REG_EXTENDED);
	} else if (leak_bytes) {
		void *kept = malloc(leak_bytes);

		if (kept)
			memset(kept, 0x4c, leak_bytes);
		last = kept;
	}
}

static void
drop_oldest(void)
{
	struct entry *entry = oldest;

	oldest = entry->newer;
	if (!oldest)
		newest = &oldest;
	entries--;
	free(entry);
}

static void
cache_keep(void)
{
	struct entry *entry = cache_bytes ? malloc(sizeof(*entry) + cache_bytes) : NULL;

	if (!entry)
		return;
	memset(entry->value, 'c', cache_bytes);
	entry->newer = NULL;
	*newest = entry;
	newest = &entry->newer;
	if (++entries > entries_max)
		drop_oldest();
}

static int
hoard_init(const mtlsd_host *given, mtlsd_instance *self FIXTURE_UNUSED, const mtlsd_config *config,
	   void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	leak_bytes = (size_t) host->config_int(config, "leak");
	by_library = strcmp(host->config_string(config, "by"), "library") == 0;
	cache_bytes = (size_t) host->config_int(config, "cache");
	entries_max = host->config_int(config, "entries");
	fail_while = host->config_string(config, "fail_while");
	return 0;
}

static mtlsd_action
hoard_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	if (fail_while && fixture_open(fail_while))
		return MTLSD_FAIL;
	hoard_keep();
	cache_keep();
	return fixture_answer(host, request, 200, "kept\n");
}

static uint64_t
hoard_evict(void *user FIXTURE_UNUSED, uint64_t target, mtlsd_level level FIXTURE_UNUSED)
{
	uint64_t freed = 0;

	while (oldest && freed < target) {
		freed += sizeof(struct entry) + cache_bytes;
		drop_oldest();
	}
	return freed;
}

static void
hoard_fini(void *user FIXTURE_UNUSED)
{
	while (oldest)
		drop_oldest();
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("hoard", "1.0", "leaks beside a cache it gives back"),
	.options = options,
	.init = hoard_init,
	.request = hoard_request,
	.evict = hoard_evict,
	.fini = hoard_fini,
};
