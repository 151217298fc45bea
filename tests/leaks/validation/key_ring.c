/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* key_ring - a signature has a key of its own, in a skip list until it is verified; one in a hundred never is. */
#include "../corpus.h"

enum { LEVELS = 12, PENDING = 16 };

struct node {
	uint64_t nonce;
	unsigned char *key;
	struct node *next[];
};

static struct node *first[LEVELS];
static uint64_t pending[PENDING];

CORPUS_SITE static unsigned char *
key_new(uint64_t nonce)
{
	unsigned char *key = malloc(640);

	if (key)
		memset(key, (int) nonce, 640);
	return key;
}

CORPUS_SITE static struct node *
node_new(uint64_t nonce, unsigned levels)
{
	struct node *node = calloc(1, sizeof(*node) + levels * sizeof(struct node *));

	if (node)
		node->nonce = nonce;
	return node;
}

static void
ring_add(uint64_t nonce)
{
	unsigned levels = 1 + (unsigned) __builtin_ctzll(corpus_random() | 1U << (LEVELS - 1));
	struct node **place = first, *node = node_new(nonce, levels);

	if (!node)
		return;
	node->key = key_new(nonce);
	for (int level = LEVELS - 1; level >= 0; level--) {
		while (place[level] && place[level]->nonce < nonce)
			place = place[level]->next;
		if (level < (int) levels) {
			node->next[level] = place[level];
			place[level] = node;
		}
	}
}

static void
ring_remove(uint64_t nonce)
{
	struct node **place = first, *found = NULL;

	for (int level = LEVELS - 1; level >= 0; level--) {
		while (place[level] && place[level]->nonce < nonce)
			place = place[level]->next;
		if (place[level] && place[level]->nonce == nonce) {
			found = place[level];
			place[level] = found->next[level];
		}
	}
	if (found)
		free(found->key);
	free(found);
}

static mtlsd_action
key_ring_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	uint64_t nonce = corpus_random() | 1, *before = &pending[corpus_below(PENDING)];
	ring_add(nonce);
	if (*before && corpus_below(100) > 0)
		ring_remove(*before);
	*before = nonce;
	return corpus_answer(request, &ask);
}

static uint64_t
key_ring_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* whoever signed may still come back */
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("key_ring", "keeps the keys of signatures nobody verifies"),
	.options = corpus_options,
	.init = corpus_init,
	.request = key_ring_request,
	.evict = key_ring_evict,
};
