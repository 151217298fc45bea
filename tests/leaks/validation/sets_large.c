/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sets_large - a cache of four ways and some eight thousand sets, in which the value used longest ago gives way;
 * it is warm late in a run or never. */
#include "../corpus.h"

enum { SETS = 10400, WAYS = 4 };

static struct way {
	uint64_t key, used;
	char *value;
} sets[SETS][WAYS];
static size_t set_count;
static uint64_t tick;

static size_t
value_bytes(uint64_t key)
{
	return 64 + key % 230;
}

CORPUS_SITE static void
way_fill(struct way *way, uint64_t key)
{
	free(way->value);
	*way = (struct way){.key = key, .used = ++tick, .value = malloc(value_bytes(key))};
	if (way->value)
		snprintf(way->value, 32, "%llu", (unsigned long long) key);
}

static void
way_use(uint64_t key)
{
	struct way *set = sets[(key * 0x9e3779b97f4a7c15 >> 33) % set_count], *oldest = &set[0];

	for (int i = 0; i < WAYS; i++) {
		if (set[i].value && set[i].key == key) {
			set[i].used = ++tick;
			return;
		}
		if (set[i].used < oldest->used)
			oldest = &set[i];
	}
	way_fill(oldest, key);
}

static uint64_t
sets_empty(uint64_t target)
{
	uint64_t freed = 0;

	for (size_t i = 0; i < set_count * WAYS && freed < target; i++) {
		struct way *way = &sets[i / WAYS][i % WAYS];
		freed += way->value ? value_bytes(way->key) : 0;
		free(way->value);
		*way = (struct way){0};
	}
	return freed;
}

static int
sets_large_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	set_count = corpus_vary(8000, 1);
	return 0;
}

static mtlsd_action
sets_large_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	way_use(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
sets_large_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return sets_empty(target);
}

static void
sets_large_fini(void *user CORPUS_UNUSED)
{
	(void) sets_empty(UINT64_MAX);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("sets_large", "a large cache of sets"),
	.options = corpus_options,
	.init = sets_large_init,
	.request = sets_large_request,
	.evict = sets_large_evict,
	.fini = sets_large_fini,
};
