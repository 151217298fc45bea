/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* under_warmup - a cache of some twenty-eight thousand values warms up, ordered by links between places in an
 * array; beside it each request leaves a token of one of two sizes. */
#include "../corpus.h"

enum { PLACES = 36400, BUCKETS = 32768 };

static struct place {
	uint64_t key;
	char *value;
	unsigned chain, older, newer; /* places; 0: none */
} places[PLACES + 1];
static unsigned bucket[BUCKETS], oldest, newest, used, room;
static const char *token;

CORPUS_SITE static const char *
token_new(uint64_t key)
{
	size_t size = corpus_below(2) ? 32 : 48;
	char *fresh = malloc(size);

	if (fresh)
		snprintf(fresh, size, "token %llu", (unsigned long long) key);
	return fresh;
}

static void
place_unlink(unsigned at)
{
	*(places[at].older ? &places[places[at].older].newer : &oldest) = places[at].newer;
	*(places[at].newer ? &places[places[at].newer].older : &newest) = places[at].older;
}

static void
place_link(unsigned at)
{
	places[at].older = newest;
	places[at].newer = 0;
	*(newest ? &places[newest].newer : &oldest) = at;
	newest = at;
}

static void
place_clear(unsigned at)
{
	unsigned *chain = &bucket[places[at].key % BUCKETS];

	while (*chain != at)
		chain = &places[*chain].chain;
	*chain = places[at].chain;
	place_unlink(at);
	free(places[at].value);
	places[at].value = NULL;
}

static void
value_use(uint64_t key)
{
	unsigned at = bucket[key % BUCKETS];

	while (at && places[at].key != key)
		at = places[at].chain;
	if (at) {
		place_unlink(at);
	} else {
		if (used < room)
			at = ++used;
		else
			place_clear(at = oldest);
		places[at] =
			(struct place){.key = key, .value = calloc(1, 90 + key % 100), .chain = bucket[key % BUCKETS]};
		bucket[key % BUCKETS] = at;
	}
	place_link(at);
}

static uint64_t
values_drop(void)
{
	uint64_t freed = 0;

	while (used > 0) {
		freed += 90 + places[used].key % 100;
		place_clear(used--);
	}
	return freed;
}

static int
under_warmup_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		  void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	room = (unsigned) corpus_vary(28000, 1);
	return 0;
}

static mtlsd_action
under_warmup_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	value_use(ask.key);
	token = token_new(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
under_warmup_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return values_drop();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("under_warmup", "loses tokens while its cache warms up"),
	.options = corpus_options,
	.init = under_warmup_init,
	.request = under_warmup_request,
	.evict = under_warmup_evict,
};
