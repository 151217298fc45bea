/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* swelling_entries - three thousand entries, there soon; each gathers what is found for it, up to a dozen
 * findings, and so swells slowly to its bound. Now and then one is replaced. */
#include "../corpus.h"

enum { ENTRIES = 3900, FINDINGS = 12 };

struct entry {
	unsigned count;
	char *findings[FINDINGS];
};

static struct entry *entries[ENTRIES];
static size_t room;

CORPUS_SITE static char *
finding_new(uint64_t key)
{
	char *finding = malloc(72);

	if (finding)
		snprintf(finding, 72, "found under %llu", (unsigned long long) key);
	return finding;
}

static uint64_t
entry_shrink(struct entry *entry, unsigned to)
{
	uint64_t freed = 0;

	while (entry && entry->count > to) {
		free(entry->findings[--entry->count]);
		freed += 72;
	}
	return freed;
}

static void
entry_visit(size_t which, uint64_t key)
{
	struct entry *entry = entries[which];

	if (!entry && !(entry = entries[which] = calloc(1, sizeof(*entry))))
		return;
	if (entry->count == FINDINGS && corpus_below(50) == 0)
		(void) entry_shrink(entry, 0);
	if (entry->count < FINDINGS)
		entry->findings[entry->count++] = finding_new(key);
}

static int
swelling_entries_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		      void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	room = corpus_vary(3000, 1);
	return 0;
}

static mtlsd_action
swelling_entries_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	entry_visit((size_t) ((ask.key * 0x9e3779b97f4a7c15 >> 30) % room), ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
swelling_entries_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	uint64_t freed = 0;
	for (size_t i = 0; i < room; i++)
		freed += entry_shrink(entries[i], 1);
	return freed;
}

static void
swelling_entries_fini(void *user CORPUS_UNUSED)
{
	for (size_t i = 0; i < room; i++) {
		(void) entry_shrink(entries[i], 0);
		free(entries[i]);
	}
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("swelling_entries", "entries that swell to their bound"),
	.options = corpus_options,
	.init = swelling_entries_init,
	.request = swelling_entries_request,
	.evict = swelling_entries_evict,
	.fini = swelling_entries_fini,
};
