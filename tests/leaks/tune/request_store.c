/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* request_store - a process-wide collection of the certificate's subject and the path of every eighth request, for
 * a page nobody opens. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

struct visit {
	struct visit *next;
	char subject[24], path[48];
};

static struct visit *visits;

CORPUS_SITE static void
store_visit(const char *subject, const char *path)
{
	struct visit *visit = malloc(sizeof(*visit));

	if (!visit)
		return;
	snprintf(visit->subject, sizeof(visit->subject), "%s", subject);
	snprintf(visit->path, sizeof(visit->path), "%s", path);
	visit->next = visits;
	visits = visit;
}

static mtlsd_action
request_store_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (corpus_below(8) == 0)
		store_visit(host->identity(request, MTLSD_ID_SUBJECT, 0), ask.path);
	return corpus_answer(request, &ask);
}

static uint64_t
request_store_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("request_store", "collects who asked for what"),
	.options = corpus_options,
	.init = corpus_init,
	.request = request_store_request,
	.evict = request_store_evict,
};
