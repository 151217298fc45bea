/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cycle - a session and its timer hold a reference on each other, so that neither count ever comes to nothing. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

struct node {
	unsigned references;
	struct node *other;
	uint64_t payload[4];
};

CORPUS_SITE static struct node *
node_new(void)
{
	struct node *node = calloc(1, sizeof(*node));

	if (node)
		node->references = 1;
	return node;
}

static void
node_unref(struct node *node)
{
	if (!node || --node->references > 0)
		return;
	node_unref(node->other);
	free(node);
}

static void
pair_up(void)
{
	struct node *session = node_new(), *timer = node_new();

	if (session && timer) {
		session->other = timer;
		timer->references++;
		timer->other = session;
		session->references++;
	}
	node_unref(session);
	node_unref(timer);
}

static mtlsd_action
cycle_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (corpus_below(4) == 0)
		pair_up();
	return corpus_answer(request, &ask);
}

static uint64_t
cycle_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("cycle", "counts references that go round in a circle"),
	.options = corpus_options,
	.init = corpus_init,
	.request = cycle_request,
	.evict = cycle_evict,
};
