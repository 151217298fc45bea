/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rare_traces - one request in a hundred is traced: a trace has three to five spans, and goes to a collector that
 * was never configured. */
#include "../cache.h"

static struct cache cache = {.capacity = 450, .buckets = 1024};

struct span {
	struct span *next;
	uint64_t began, ended;
	char name[104];
};

struct trace {
	struct trace *next;
	struct span *spans;
	char id[64];
};

static struct trace *for_collector;

CORPUS_SITE static struct span *
span_new(const char *name, struct span *next)
{
	struct span *span = calloc(1, sizeof(*span));

	if (span) {
		span->next = next;
		span->began = corpus_now();
		snprintf(span->name, sizeof(span->name), "%s", name);
	}
	return span;
}

CORPUS_SITE static void
trace_request(const mtlsd_request *request)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	uint64_t spans = 3 + corpus_below(3);

	if (!trace)
		return;
	for (uint64_t i = 0; i < spans; i++)
		trace->spans = span_new(host->path(request), trace->spans);
	trace->next = for_collector;
	for_collector = trace;
}

static mtlsd_action
rare_traces_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 240);
	if (corpus_below(100) == 0)
		trace_request(request);
	return corpus_answer(request, &ask);
}

static uint64_t
rare_traces_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("rare_traces", "traces a request in a hundred"),
	.options = corpus_options,
	.init = corpus_init,
	.request = rare_traces_request,
	.evict = rare_traces_evict,
};
