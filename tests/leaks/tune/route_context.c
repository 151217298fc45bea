/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* route_context - a connection that comes to the second route gets a context for it, which replaces the first one
 * without freeing it. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

struct context {
	char route[16];
	char state[240];
};

CORPUS_SITE static struct context *
context_new(const char *route)
{
	struct context *context = calloc(1, sizeof(*context));

	if (context)
		snprintf(context->route, sizeof(context->route), "%s", route);
	return context;
}

static int
context_take(mtlsd_request *request)
{
	struct context *context = host->connection_data(request);

	if (context && strcmp(context->route, host->route(request)) == 0)
		return 1;
	context = context_new(host->route(request));
	if (!context)
		return 0;
	/* The hook of what was there is not asked: the pointer was all there was. */
	return host->set_connection_data(request, context, NULL) == 0;
}

static mtlsd_action
route_context_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (!context_take(request))
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
route_context_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("route_context", "makes a context for each route and connection"),
	.options = corpus_options,
	.init = corpus_init,
	.request = route_context_request,
	.evict = route_context_evict,
};
