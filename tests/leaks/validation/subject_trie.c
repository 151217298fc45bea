/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* subject_trie - what a certificate may do is kept at the end of its subject in a trie; nobody prunes it. */
#include "../cache.h"

static struct cache cache = {.capacity = 300, .buckets = 1024};

struct node {
	struct node *digits[11]; /* the last: whatever is no digit */
	char *decision;
};

static struct node root;

CORPUS_SITE static char *
decision_new(const char *subject)
{
	char *decision = malloc(600);

	if (decision)
		snprintf(decision, 600, "allow %s", subject);
	return decision;
}

CORPUS_SITE static struct node *
node_new(void)
{
	struct node *node = calloc(1, sizeof(*node));

	if (node)
		node->decision = NULL;
	return node;
}

static const char *
decision_of(const char *subject)
{
	struct node *node = &root;

	for (const char *at = subject; *at; at++) {
		struct node **next = &node->digits[*at >= '0' && *at <= '9' ? *at - '0' : 10];
		if (!*next)
			*next = node_new();
		if (!*next)
			return NULL;
		node = *next;
	}
	if (!node->decision)
		node->decision = decision_new(subject);
	return node->decision;
}

static mtlsd_action
subject_trie_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 120);
	if (!decision_of(host->identity(request, MTLSD_ID_SUBJECT, 0)))
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
subject_trie_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("subject_trie", "decides by a trie of subjects"),
	.options = corpus_options,
	.init = corpus_init,
	.request = subject_trie_request,
	.evict = subject_trie_evict,
};
