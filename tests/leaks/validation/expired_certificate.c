/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* expired_certificate - after an hour by the clock a certificate has expired, and every request notes that down
 * again. */
#include "../cache.h"

static struct cache cache = {.capacity = 650, .buckets = 1024};

static uint64_t began;
static const char *note;

CORPUS_SITE static const char *
note_expiry(uint64_t key)
{
	char *text = malloc(40);

	if (text)
		snprintf(text, 40, "expired before request for %u", (unsigned) (key % 1000000));
	return text;
}

static mtlsd_action
expired_certificate_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	uint64_t now = corpus_now();
	cache_use(&cache, ask.key, 180);
	if (!began)
		began = now;
	if (now - began >= UINT64_C(3600) * 1000000)
		note = note_expiry(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
expired_certificate_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("expired_certificate", "is healthy until a certificate expires"),
	.options = corpus_options,
	.init = corpus_init,
	.request = expired_certificate_request,
	.evict = expired_certificate_evict,
};
