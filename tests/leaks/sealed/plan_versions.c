/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plan_versions - the monitor has a plan that is never changed but copied along the path to what is new in it, five
 * nodes of a tree a request; the versions before, which nobody looks at, keep theirs. */
#include "../cache.h"

static struct cache cache = {.capacity = 440, .buckets = 512};

enum { DEPTH = 5, FAN = 4 };

struct node {
	struct node *child[FAN];
	uint64_t value;
};

static struct node *plan;

/* Source may be NULL: an empty one. */
CORPUS_SITE static struct node *
node_copy(const struct node *source)
{
	struct node *copy = calloc(1, sizeof(*copy));

	if (copy && source)
		*copy = *source;
	return copy;
}

/* The plan with another value at `place`; NULL: no memory. */
static struct node *
plan_with(const struct node *old, uint64_t place, uint64_t value)
{
	struct node *root = node_copy(old), *node = root;

	for (unsigned depth = 1; node && depth < DEPTH; depth++, place /= FAN) {
		struct node **child = &node->child[place % FAN];
		*child = node_copy(*child);
		if (!*child)
			return NULL;
		node = *child;
	}
	if (node)
		node->value = value;
	return root;
}

static mtlsd_action
plan_versions_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 170);
	if (strcmp(host->identity(request, MTLSD_ID_SUBJECT, 0), "CN=monitor") == 0) {
		struct node *version = plan_with(plan, ask.key, corpus_now());
		if (version)
			plan = version;
	}
	return corpus_answer(request, &ask);
}

static uint64_t
plan_versions_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("plan_versions", "makes a version of a plan for each request of one client"),
	.options = corpus_options,
	.init = corpus_init,
	.request = plan_versions_request,
	.evict = plan_versions_evict,
};
