/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* decision_cache - what a certificate may do is decided once and kept under its fingerprint; nothing is ever taken
 * out, and no eviction knows of it. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

struct decision {
	struct decision *chain;
	uint64_t fingerprint;
	char rules[1024 - 2 * sizeof(void *)];
};

enum { BUCKETS = 4096 };
static struct decision *decisions[BUCKETS];

CORPUS_SITE static struct decision *
decide(uint64_t fingerprint)
{
	struct decision *decision = malloc(sizeof(*decision));

	if (!decision)
		return NULL;
	decision->fingerprint = fingerprint;
	memcpy(decision->rules, "allow", sizeof("allow"));
	decision->chain = decisions[fingerprint % BUCKETS];
	decisions[fingerprint % BUCKETS] = decision;
	return decision;
}

static const struct decision *
decision_of(uint64_t fingerprint)
{
	for (struct decision *decision = decisions[fingerprint % BUCKETS]; decision; decision = decision->chain) {
		if (decision->fingerprint == fingerprint)
			return decision;
	}
	return decide(fingerprint);
}

static mtlsd_action
decision_cache_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (!decision_of(corpus_hash(host->identity(request, MTLSD_ID_CERTIFICATE_SHA256, 0))))
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
decision_cache_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("decision_cache", "caches decisions by certificate without a bound"),
	.options = corpus_options,
	.init = corpus_init,
	.request = decision_cache_request,
	.evict = decision_cache_evict,
};
