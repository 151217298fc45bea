/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chain.h"

#include "cleanup.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

bool
chain_digest(const struct chain_bytes *sent, size_t count, unsigned char ret[CHAIN_DIGEST])
{
	gnutls_hash_hd_t hash;
	bool sound = gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) == 0;
	if (!sound)
		return false;
	for (size_t i = 0; i < count && sound; i++)
		sound = gnutls_hash(hash, &sent[i].size, sizeof(sent[i].size)) == 0 &&
			gnutls_hash(hash, sent[i].data, sent[i].size) == 0;
	gnutls_hash_deinit(hash, ret);
	return sound;
}

/* Moves the bytes to where *to points, and *to behind them. */
static void
bytes_move(struct chain_bytes *bytes, unsigned char **to)
{
	bytes->data = memcpy(*to, bytes->data, bytes->size);
	*to += bytes->size;
}

struct chain *
chain_new(const struct chain *template)
{
	size_t links = template->link_count * sizeof(*template->links);
	size_t sent = template->sent_count * sizeof(*template->sent), size = sizeof(*template) + links + sent;
	for (size_t i = 0; i < template->link_count; i++)
		size += template->links[i].issuer.size;
	for (size_t i = 0; i < template->sent_count; i++)
		size += template->sent[i].size;
	struct chain *chain = malloc(size);
	if (!chain)
		return NULL;
	memcpy(chain, template, sizeof(*chain));
	atomic_init(&chain->references, 1);
	chain->size = size;
	chain->links = memcpy(chain + 1, template->links, links);
	chain->sent = memcpy(chain->links + chain->link_count, template->sent, sent);
	unsigned char *to = (unsigned char *) (chain->sent + chain->sent_count);
	for (size_t i = 0; i < chain->sent_count; i++)
		bytes_move(&chain->sent[i], &to);
	for (size_t i = 0; i < chain->link_count; i++)
		bytes_move(&chain->links[i].issuer, &to);
	return chain;
}

struct chain *
chain_ref(struct chain *chain)
{
	if (chain)
		atomic_fetch_add_explicit(&chain->references, 1, memory_order_relaxed);
	return chain;
}

void
chain_unref(struct chain **chain)
{
	struct chain *old = STEAL(*chain);
	if (old && atomic_fetch_sub_explicit(&old->references, 1, memory_order_acq_rel) == 1)
		free(old);
}
