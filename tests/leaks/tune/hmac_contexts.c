/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hmac_contexts - each request signs with a context of its own, kept in a map until the client comes back with the
 * signature; one in twenty never does. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

enum { OPEN = 64 };

struct hmac {
	uint64_t nonce;
	unsigned char inner[96], outer[96];
};

struct kept {
	struct kept *next;
	struct hmac *hmac;
};

/* Contexts whose signature is still to come, and those it will never come for. */
static struct hmac *open_contexts[OPEN];
static struct kept *unanswered;

CORPUS_SITE static struct hmac *
hmac_new(uint64_t nonce)
{
	struct hmac *hmac = malloc(sizeof(*hmac));

	if (hmac) {
		hmac->nonce = nonce;
		memset(hmac->inner, 0x36, sizeof(hmac->inner));
		memset(hmac->outer, 0x5c, sizeof(hmac->outer));
	}
	return hmac;
}

static void
hmac_sign(uint64_t nonce)
{
	size_t place = corpus_below(OPEN);
	struct hmac *before = open_contexts[place];

	open_contexts[place] = hmac_new(nonce);
	if (!before)
		return;
	if (corpus_below(20) > 0) {
		free(before); /* verified */
		return;
	}
	struct kept *kept = malloc(sizeof(*kept));
	if (!kept)
		return;
	kept->hmac = before;
	kept->next = unanswered;
	unanswered = kept;
}

static mtlsd_action
hmac_contexts_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	hmac_sign(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
hmac_contexts_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("hmac_contexts", "keeps the context of signatures nobody verifies"),
	.options = corpus_options,
	.init = corpus_init,
	.request = hmac_contexts_request,
	.evict = hmac_contexts_evict,
};
