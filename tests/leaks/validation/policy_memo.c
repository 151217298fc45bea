/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy_memo - what the policy says of a certificate is remembered in a treap by its fingerprint, and never
 * forgotten. */
#include "../cache.h"

static struct cache cache = {.capacity = 460, .buckets = 1024};

struct memo {
	struct memo *left, *right;
	uint64_t fingerprint, priority;
	char decision[672];
};

static struct memo *memos;

CORPUS_SITE static struct memo *
memo_new(uint64_t fingerprint)
{
	struct memo *memo = calloc(1, sizeof(*memo));

	if (memo) {
		memo->fingerprint = fingerprint;
		memo->priority = corpus_random();
		snprintf(memo->decision, sizeof(memo->decision), "allow");
	}
	return memo;
}

/* Parts a tree into what lies below the fingerprint and what lies above. */
static void
memos_part(struct memo *memo, uint64_t fingerprint, struct memo **below, struct memo **above)
{
	while (memo) {
		if (memo->fingerprint < fingerprint) {
			*below = memo;
			below = &memo->right;
			memo = memo->right;
		} else {
			*above = memo;
			above = &memo->left;
			memo = memo->left;
		}
	}
	*below = *above = NULL;
}

static const struct memo *
memo_of(uint64_t fingerprint)
{
	struct memo **place = &memos, *memo;

	for (memo = memos; memo && memo->fingerprint != fingerprint;)
		memo = fingerprint < memo->fingerprint ? memo->left : memo->right;
	if (memo || !(memo = memo_new(fingerprint)))
		return memo;
	while (*place && (*place)->priority > memo->priority)
		place = fingerprint < (*place)->fingerprint ? &(*place)->left : &(*place)->right;
	memos_part(*place, fingerprint, &memo->left, &memo->right);
	return *place = memo;
}

static mtlsd_action
policy_memo_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 135);
	if (!memo_of(corpus_hash(host->identity(request, MTLSD_ID_CERTIFICATE_SHA256, 0))))
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
policy_memo_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("policy_memo", "remembers decisions by certificate without a bound"),
	.options = corpus_options,
	.init = corpus_init,
	.request = policy_memo_request,
	.evict = policy_memo_evict,
};
