/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tenant_journal - what one tenant asks for is added to a rope, a leaf and a joint each time, and the rope is read
 * by nobody. */
#include "../cache.h"

static struct cache cache = {.capacity = 420, .buckets = 1024};

struct rope {
	struct rope *left, *right;
	size_t length;
};

struct leaf {
	struct rope rope;
	char text[224];
};

static struct rope *journal;

CORPUS_SITE static struct rope *
leaf_new(const mtlsd_request *request)
{
	struct leaf *leaf = calloc(1, sizeof(*leaf));

	if (!leaf)
		return NULL;
	snprintf(leaf->text, sizeof(leaf->text), "%s %s from %s\n", host->method(request), host->path(request),
		 host->peer_address(request));
	leaf->rope.length = strlen(leaf->text);
	return &leaf->rope;
}

CORPUS_SITE static struct rope *
rope_join(struct rope *left, struct rope *right)
{
	struct rope *joint = calloc(1, sizeof(*joint));

	if (!joint)
		return left;
	*joint = (struct rope){.left = left, .right = right, .length = right ? right->length : 0};
	if (left)
		joint->length += left->length;
	return joint;
}

static mtlsd_action
tenant_journal_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 145);
	if (strcmp(host->identity(request, MTLSD_ID_SUBJECT, 0), "CN=monitor") == 0)
		journal = rope_join(journal, leaf_new(request));
	return corpus_answer(request, &ask);
}

static uint64_t
tenant_journal_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("tenant_journal", "keeps a rope for one tenant"),
	.options = corpus_options,
	.init = corpus_init,
	.request = tenant_journal_request,
	.evict = tenant_journal_evict,
};
