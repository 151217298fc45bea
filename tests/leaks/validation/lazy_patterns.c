/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lazy_patterns - an item has a pattern for its requests and one for its errors, compiled when first needed and
 * kept: two hundred, those for errors late. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

enum { ITEMS = 100, KINDS = 2 };

struct pattern {
	unsigned count;
	unsigned short states[];
};

static struct pattern *patterns[ITEMS][KINDS];
static unsigned size;

CORPUS_SITE static struct pattern *
pattern_compile(unsigned item, int kind)
{
	unsigned count = size + 8 * item + (kind ? 100 : 0);
	struct pattern *pattern = malloc(sizeof(*pattern) + count * sizeof(pattern->states[0]));

	if (!pattern)
		return NULL;
	pattern->count = count;
	for (unsigned i = 0; i < count; i++)
		pattern->states[i] = (unsigned short) (i ^ item);
	return pattern;
}

static int
lazy_patterns_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		   void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	size = (unsigned) corpus_vary(200, 1);
	return 0;
}

static mtlsd_action
lazy_patterns_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct pattern **pattern = &patterns[ask.key % ITEMS][ask.error];
	cache_use(&cache, ask.key, 60);
	if (!*pattern)
		*pattern = pattern_compile((unsigned) (ask.key % ITEMS), ask.error);
	return corpus_answer(request, &ask);
}

static uint64_t
lazy_patterns_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target); /* requests hold on to patterns */
}

static void
lazy_patterns_fini(void *user CORPUS_UNUSED)
{
	for (int i = 0; i < ITEMS * KINDS; i++)
		free(patterns[i / KINDS][i % KINDS]);
	(void) cache_evict(&cache, UINT64_MAX);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("lazy_patterns", "compiles patterns when they are first needed"),
	.options = corpus_options,
	.init = lazy_patterns_init,
	.request = lazy_patterns_request,
	.evict = lazy_patterns_evict,
	.fini = lazy_patterns_fini,
};
