/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pinned_front - each connection is a flow in a queue; flows that are closed are freed from its front, as long as the
 * one in front is closed. The plugin's own flow is in front, and stays open. */
#include "../cache.h"

static struct cache cache = {.capacity = 470, .buckets = 512};

struct flow {
	struct flow *behind;
	uint64_t requests;
	int closed;
	uint16_t kinds[112];
};

static struct flow *front, *back;

CORPUS_SITE static struct flow *
flow_new(void)
{
	struct flow *flow = calloc(1, sizeof(*flow));

	if (!flow)
		return NULL;
	if (back)
		back->behind = flow;
	else
		front = flow;
	back = flow;
	return flow;
}

static void
flow_close(void *data)
{
	struct flow *flow = data;

	flow->closed = 1;
	while (front && front->closed) {
		struct flow *behind = front->behind;
		if (!behind)
			back = NULL;
		free(front);
		front = behind;
	}
}

static int
pinned_front_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		  void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	return flow_new() ? 0 : -1;
}

static mtlsd_action
pinned_front_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 80);
	struct flow *flow = host->connection_data(request);
	if (!flow) {
		flow = flow_new();
		if (!flow)
			return MTLSD_FAIL;
		if (host->set_connection_data(request, flow, flow_close) < 0) {
			flow_close(flow);
			return MTLSD_FAIL;
		}
	}
	flow->kinds[flow->requests++ % 112] = (uint16_t) (ask.key % 100);
	return corpus_answer(request, &ask);
}

static uint64_t
pinned_front_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

static void
pinned_front_fini(void *user CORPUS_UNUSED)
{
	(void) cache_evict(&cache, UINT64_MAX);
	if (front)
		flow_close(front);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("pinned_front", "queues the flows of connections"),
	.options = corpus_options,
	.init = pinned_front_init,
	.request = pinned_front_request,
	.evict = pinned_front_evict,
	.fini = pinned_front_fini,
};
