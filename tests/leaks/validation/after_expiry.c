/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* after_expiry - after an hour by the clock a token has expired; since then every request enlists an attempt to
 * renew it, and none is ever made. */
#include "../cache.h"

static struct cache cache = {.capacity = 400, .buckets = 1024};

struct attempt {
	struct attempt *next;
	uint64_t asked;
	char reason[60];
};

static struct attempt *attempts;
static uint64_t began;

CORPUS_SITE static void
attempt_enlist(uint64_t now)
{
	struct attempt *attempt = malloc(sizeof(*attempt));

	if (!attempt)
		return;
	*attempt = (struct attempt){.next = attempts, .asked = now};
	snprintf(attempt->reason, sizeof(attempt->reason), "expired");
	attempts = attempt;
}

static mtlsd_action
after_expiry_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	uint64_t now = corpus_now();
	cache_use(&cache, ask.key, 175);
	if (!began)
		began = now;
	if (now - began >= UINT64_C(3600) * 1000000)
		attempt_enlist(now);
	return corpus_answer(request, &ask);
}

static uint64_t
after_expiry_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("after_expiry", "is healthy until its token expires"),
	.options = corpus_options,
	.init = corpus_init,
	.request = after_expiry_request,
	.evict = after_expiry_evict,
};
