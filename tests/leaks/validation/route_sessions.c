/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* route_sessions - one request in ten of one route renews the context its sessions are made from; those who made
 * sessions from the old one are gone, and it is not freed. */
#include "../cache.h"

static struct cache cache = {.capacity = 440, .buckets = 1024};

struct context {
	uint64_t serial;
	unsigned char secret[48];
	char ciphers[16][36];
};

static const struct context *current;
static uint64_t serial;

CORPUS_SITE static struct context *
context_new(void)
{
	struct context *context = calloc(1, sizeof(*context));

	if (context) {
		context->serial = ++serial;
		memset(context->secret, (int) serial, sizeof(context->secret));
		snprintf(context->ciphers[0], sizeof(context->ciphers[0]), "AES");
	}
	return context;
}

static mtlsd_action
route_sessions_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 125);
	if (strcmp(host->route(request), "special") == 0 && (!current || corpus_below(10) == 0))
		current = context_new();
	return corpus_answer(request, &ask);
}

static uint64_t
route_sessions_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("route_sessions", "renews the context of a route"),
	.options = corpus_options,
	.init = corpus_init,
	.request = route_sessions_request,
	.evict = route_sessions_evict,
};
