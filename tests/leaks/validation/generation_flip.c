/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* generation_flip - answers are kept in two generations; every nine thousand requests or so the older goes as a
 * whole and the younger takes its place. What is asked for again is copied to the younger. */
#include "../corpus.h"

enum { BUCKETS = 8192 };

struct answer {
	struct answer *chain, *next;
	uint64_t key;
	size_t bytes;
	char text[];
};

static struct generation {
	struct answer *bucket[BUCKETS], *all;
} generations[2], *young = &generations[0], *old = &generations[1];
static uint64_t served, length;

static struct answer *
answer_find(const struct generation *generation, uint64_t key)
{
	struct answer *answer = generation->bucket[key % BUCKETS];

	while (answer && answer->key != key)
		answer = answer->chain;
	return answer;
}

CORPUS_SITE static void
answer_keep(uint64_t key, size_t bytes)
{
	struct answer *answer = calloc(1, sizeof(*answer) + bytes);

	if (!answer)
		return;
	answer->key = key;
	answer->bytes = bytes;
	answer->chain = young->bucket[key % BUCKETS];
	young->bucket[key % BUCKETS] = answer;
	answer->next = young->all;
	young->all = answer;
}

static uint64_t
generation_free(struct generation *generation)
{
	uint64_t freed = 0;

	for (struct answer *answer = generation->all, *next; answer; answer = next) {
		next = answer->next;
		freed += sizeof(*answer) + answer->bytes;
		free(answer);
	}
	memset(generation, 0, sizeof(*generation));
	return freed;
}

static int
generation_flip_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		     void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	length = corpus_vary(9000, 1);
	return 0;
}

static mtlsd_action
generation_flip_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	if (++served % length == 0) {
		struct generation *between = old;
		(void) generation_free(old);
		old = young;
		young = between;
	}
	if (!answer_find(young, ask.key)) {
		struct answer *before = answer_find(old, ask.key);
		answer_keep(ask.key, before ? before->bytes : 50 + ask.key % 250);
	}
	return corpus_answer(request, &ask);
}

static uint64_t
generation_flip_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return generation_free(old); /* the younger is what serves */
}

static void
generation_flip_fini(void *user CORPUS_UNUSED)
{
	(void) generation_free(old);
	(void) generation_free(young);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("generation_flip", "a cache of two generations"),
	.options = corpus_options,
	.init = generation_flip_init,
	.request = generation_flip_request,
	.evict = generation_flip_evict,
	.fini = generation_flip_fini,
};
