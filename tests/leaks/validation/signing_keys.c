/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* signing_keys - each signer has a key in a map; one request in twelve is for a new one, and the map puts it where
 * the old one was. */
#include "../cache.h"

static struct cache cache = {.capacity = 340, .buckets = 1024};

enum { SIGNERS = 128 };

struct key {
	uint64_t serial;
	unsigned char inner[88], outer[88];
};

static struct key *keys[SIGNERS];
static uint64_t serial;

CORPUS_SITE static struct key *
key_make(void)
{
	struct key *key = malloc(sizeof(*key));

	if (key) {
		key->serial = ++serial;
		memset(key->inner, 0x36, sizeof(key->inner));
		memset(key->outer, 0x5c, sizeof(key->outer));
	}
	return key;
}

static mtlsd_action
signing_keys_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct key **place = &keys[corpus_hash(host->identity(request, MTLSD_ID_SPKI_SHA256, 0)) % SIGNERS];
	cache_use(&cache, ask.key, 155);
	if (corpus_below(12) == 0)
		*place = key_make();
	return corpus_answer(request, &ask);
}

static uint64_t
signing_keys_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target); /* keys are in use */
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("signing_keys", "replaces keys in a map without freeing them"),
	.options = corpus_options,
	.init = corpus_init,
	.request = signing_keys_request,
	.evict = signing_keys_evict,
};
