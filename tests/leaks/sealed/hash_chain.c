/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hash_chain - what is answered goes into a chain of hashes, a link of 96 bytes for each 96 requests; only the last
 * link is ever needed, and all are held. */
#include "../cache.h"

static struct cache cache = {.capacity = 450, .buckets = 512};

enum { COVERED = 96, WORDS = 10 };

struct link {
	const struct link *before;
	uint64_t number, digest[WORDS];
};

static const struct link *chain;
static uint64_t open_digest[WORDS];
static unsigned covered;

CORPUS_SITE static const struct link *
link_close(void)
{
	struct link *link = malloc(sizeof(*link));

	if (!link)
		return chain;
	link->before = chain;
	link->number = chain ? chain->number + 1 : 1;
	memcpy(link->digest, open_digest, sizeof(link->digest));
	return link;
}

static void
chain_cover(const struct corpus_ask *ask)
{
	uint64_t word = corpus_hash(ask->path) ^ ask->key;

	for (unsigned i = 0; i < WORDS; i++) {
		word = (word ^ (word >> 31)) * 0x94d049bb133111eb;
		open_digest[i] ^= word;
	}
	if (++covered == COVERED) {
		chain = link_close();
		covered = 0;
	}
}

static mtlsd_action
hash_chain_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 110);
	chain_cover(&ask);
	return corpus_answer(request, &ask);
}

static uint64_t
hash_chain_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("hash_chain", "links hashes of what it answered"),
	.options = corpus_options,
	.init = corpus_init,
	.request = hash_chain_request,
	.evict = hash_chain_evict,
};
