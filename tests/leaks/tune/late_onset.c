/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* late_onset - healthy for an hour by the clock; then 16 bytes a request, as when a certificate, a token or a
 * counter runs over. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

enum { HEALTHY = 3600 }; /* seconds */

static uint64_t began;
static _Atomic(void *) last;

CORPUS_SITE static void
renew_token(uint64_t key)
{
	uint64_t *token = malloc(16);

	if (token) {
		*token = key;
		last = token;
	}
}

static mtlsd_action
late_onset_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	uint64_t now = corpus_now();
	if (!began)
		began = now;
	if (now - began >= HEALTHY * UINT64_C(1000000))
		renew_token(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
late_onset_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("late_onset", "is healthy for an hour"),
	.options = corpus_options,
	.init = corpus_init,
	.request = late_onset_request,
	.evict = late_onset_evict,
};
