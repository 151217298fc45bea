/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* one_client - one client asks for a report with each of its requests, and nobody frees the reports; for all
 * others there are none. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

static _Atomic(void *) last;

CORPUS_SITE static void
write_report(const char *subject)
{
	char *report = malloc(192);

	if (report) {
		snprintf(report, 192, "seen: %s", subject);
		last = report;
	}
}

static mtlsd_action
one_client_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	const char *subject = host->identity(request, MTLSD_ID_SUBJECT, 0);
	if (strcmp(subject, "CN=monitor") == 0)
		write_report(subject);
	return corpus_answer(request, &ask);
}

static uint64_t
one_client_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("one_client", "keeps something for one client only"),
	.options = corpus_options,
	.init = corpus_init,
	.request = one_client_request,
	.evict = one_client_evict,
};
