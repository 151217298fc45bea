/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* wheel_ttl - entries live two minutes or so and hang on a wheel, a spoke for each second; no number bounds them. */
#include "../corpus.h"

enum { SPOKES = 256, BUCKETS = 65536 };

struct entry {
	struct entry *chain, *spoke;
	uint64_t key;
	char value[120];
};

static struct entry *bucket[BUCKETS], *wheel[SPOKES];
static uint64_t turned, life; /* seconds */

static uint64_t
spoke_free(uint64_t second)
{
	uint64_t freed = 0;

	for (struct entry *entry = wheel[second % SPOKES], *next; entry; entry = next) {
		struct entry **place = &bucket[entry->key % BUCKETS];
		next = entry->spoke;
		while (*place != entry)
			place = &(*place)->chain;
		*place = entry->chain;
		free(entry);
		freed += sizeof(*entry);
	}
	wheel[second % SPOKES] = NULL;
	return freed;
}

static uint64_t
wheel_turn(uint64_t now)
{
	uint64_t freed = 0;

	if (now > turned + SPOKES)
		turned = now - SPOKES; /* all spokes are due */
	while (turned < now)
		freed += spoke_free(++turned);
	return freed;
}

CORPUS_SITE static void
entry_add(uint64_t key, uint64_t now)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return;
	entry->key = key;
	entry->chain = bucket[key % BUCKETS];
	bucket[key % BUCKETS] = entry;
	entry->spoke = wheel[(now + life) % SPOKES];
	wheel[(now + life) % SPOKES] = entry;
}

static int
wheel_ttl_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	       void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	life = corpus_vary(120, 1);
	turned = corpus_now() / 1000000;
	return 0;
}

static mtlsd_action
wheel_ttl_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	uint64_t now = corpus_now() / 1000000;
	(void) wheel_turn(now);
	struct entry *entry = bucket[ask.key % BUCKETS];
	while (entry && entry->key != ask.key)
		entry = entry->chain;
	if (!entry)
		entry_add(ask.key, now);
	return corpus_answer(request, &ask);
}

static uint64_t
wheel_ttl_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	uint64_t freed = 0;
	for (uint64_t i = 0; i < SPOKES && freed < target; i++)
		freed += spoke_free(turned + 1 + i);
	return freed;
}

static void
wheel_ttl_fini(void *user CORPUS_UNUSED)
{
	for (uint64_t i = 0; i < SPOKES; i++)
		(void) spoke_free(i);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("wheel_ttl", "a cache whose entries age on a wheel"),
	.options = corpus_options,
	.init = wheel_ttl_init,
	.request = wheel_ttl_request,
	.evict = wheel_ttl_evict,
	.fini = wheel_ttl_fini,
};
