/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* chain_copies - at a full handshake the chain is copied, leaf, intermediate and root; the session that should own
 * the copies was never told. */
#include "../cache.h"

static struct cache cache = {.capacity = 480, .buckets = 1024};

struct certificate {
	struct certificate *issuer;
	char fingerprint[72];
	unsigned char der[220];
};

static const struct certificate *presented;

CORPUS_SITE static struct certificate *
certificate_copy(const char *fingerprint, struct certificate *issuer)
{
	struct certificate *copy = malloc(sizeof(*copy));

	if (copy) {
		copy->issuer = issuer;
		snprintf(copy->fingerprint, sizeof(copy->fingerprint), "%s", fingerprint);
		memset(copy->der, 0x30, sizeof(copy->der));
	}
	return copy;
}

static mtlsd_action
chain_copies_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 115);
	if (corpus_is_new_session(request)) {
		struct certificate *root = certificate_copy("root", NULL), *middle = certificate_copy("middle", root);
		presented = certificate_copy(host->identity(request, MTLSD_ID_CERTIFICATE_SHA256, 0), middle);
	}
	return corpus_answer(request, &ask);
}

static uint64_t
chain_copies_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("chain_copies", "copies the chain of every full handshake"),
	.options = corpus_options,
	.init = corpus_init,
	.request = chain_copies_request,
	.evict = chain_copies_evict,
};
