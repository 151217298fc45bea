/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* handshake - on the first request after a full handshake it works out what the chain allows, and the working
 * never goes. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

static _Atomic(void *) last;

CORPUS_SITE static void
check_chain(const char *subject)
{
	char *chain = malloc(256);

	if (chain) {
		snprintf(chain, 256, "%s", subject);
		last = chain;
	}
}

static mtlsd_action
handshake_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (corpus_is_new_session(request))
		check_chain(host->identity(request, MTLSD_ID_SUBJECT, 0));
	return corpus_answer(request, &ask);
}

static uint64_t
handshake_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("handshake", "keeps the chain of every full handshake"),
	.options = corpus_options,
	.init = corpus_init,
	.request = handshake_request,
	.evict = handshake_evict,
};
