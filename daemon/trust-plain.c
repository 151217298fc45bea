/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trust-plain.h"

#include "certificate.h"
#include "cleanup.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <string.h>

struct root {
	gnutls_datum_t der; /* what parts points into */
	struct certificate parts;
	gnutls_pubkey_t key; /* only read once it is made */
};

struct trust_plain {
	size_t count;
	struct root roots[];
};

/* --- roots ------------------------------------------------------------------------------------------------------- */

static void
root_clear(struct root *root)
{
	gnutls_free(root->der.data);
	if (root->key)
		gnutls_pubkey_deinit(root->key);
	*root = (struct root){0};
}

/* Signed by itself, as far as names tell, and bound to nothing. */
static bool
is_plain_root(const struct certificate *parts)
{
	if (!parts->is_authority || parts->is_bounded || parts->purposes.size ||
	    !der_equal(&parts->issuer, &parts->subject))
		return false;
	if (parts->authority_key_id.size && !der_equal(&parts->authority_key_id, &parts->subject_key_id))
		return false;
	return !parts->key_usage || parts->key_usage & CERTIFICATE_CERT_SIGN;
}

/* 1: it is a plain root; 0: it is not. */
static int
root_read(struct root *root, gnutls_x509_crt_t authority)
{
	if (gnutls_x509_crt_export2(authority, GNUTLS_X509_FMT_DER, &root->der) < 0)
		return -ENOMEM;
	if (!certificate_read(root->der.data, root->der.size, &root->parts) || !is_plain_root(&root->parts))
		return 0;
	if (gnutls_pubkey_init(&root->key) < 0)
		return -ENOMEM;
	return gnutls_pubkey_import_x509(root->key, authority, 0) >= 0;
}

/* An authority that changes its key keeps its name: which of the two was it? */
static int
is_only_one(const struct root *root, const gnutls_x509_crt_t *authorities, unsigned count)
{
	unsigned same = 0;
	for (unsigned i = 0; i < count; i++) {
		gnutls_datum_t name = {0};
		if (gnutls_x509_crt_get_raw_dn(authorities[i], &name) < 0)
			return -ENOMEM;
		same += der_is(&root->parts.subject, name.data, name.size);
		gnutls_free(name.data);
	}
	return same == 1;
}

int
trust_plain_new(const gnutls_x509_crt_t *authorities, unsigned count, struct trust_plain **ret)
{
	CLEANUP(trust_plain_free)
	struct trust_plain *plain = calloc(1, sizeof(*plain) + count * sizeof(plain->roots[0]));
	if (!plain)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		struct root *root = &plain->roots[plain->count];
		int r = root_read(root, authorities[i]);
		if (r > 0)
			r = is_only_one(root, authorities, count);
		if (r > 0)
			plain->count++;
		else
			root_clear(root);
		if (r < 0)
			return r;
	}
	*ret = STEAL(plain);
	return 0;
}

void
trust_plain_free(struct trust_plain **plain)
{
	struct trust_plain *old = STEAL(*plain);
	for (size_t i = 0; old && i < old->count; i++)
		root_clear(&old->roots[i]);
	free(old);
}

/* --- proofs ------------------------------------------------------------------------------------------------------ */

static const struct root *
find_root(const struct trust_plain *plain, const struct certificate *leaf)
{
	for (size_t i = 0; i < plain->count; i++)
		if (der_equal(&leaf->issuer, &plain->roots[i].parts.subject))
			return &plain->roots[i];
	return NULL;
}

static bool
is_valid(const struct certificate *parts, time_t now)
{
	return parts->not_before <= now && now <= parts->not_after;
}

/* RFC 5280, 4.2.1.12: for clients, or for anything. "Any purpose" by that name is left to GnuTLS. */
static bool
is_for_clients(const struct certificate *leaf)
{
	struct der list = leaf->purposes, purpose;
	if (!list.size)
		return true;
	while (der_take(&list, DER_OID, &purpose, NULL))
		if (der_is(&purpose, "\x2b\x06\x01\x05\x05\x07\x03\x02", 8))
			return true;
	return false;
}

static bool
is_signed(const struct certificate *leaf, const struct root *root)
{
	static const gnutls_sign_algorithm_t algorithms[CERTIFICATE_ALGORITHM_COUNT] = {
		[CERTIFICATE_ECDSA_SHA256] = GNUTLS_SIGN_ECDSA_SHA256,
		[CERTIFICATE_ECDSA_SHA384] = GNUTLS_SIGN_ECDSA_SHA384,
		[CERTIFICATE_ECDSA_SHA512] = GNUTLS_SIGN_ECDSA_SHA512,
		[CERTIFICATE_RSA_SHA256] = GNUTLS_SIGN_RSA_SHA256,
		[CERTIFICATE_RSA_SHA384] = GNUTLS_SIGN_RSA_SHA384,
		[CERTIFICATE_RSA_SHA512] = GNUTLS_SIGN_RSA_SHA512,
		[CERTIFICATE_ED25519] = GNUTLS_SIGN_EDDSA_ED25519,
	};
	const gnutls_datum_t data = {(unsigned char *) (uintptr_t) leaf->signed_part.data,
				     (unsigned) leaf->signed_part.size},
			     signature = {(unsigned char *) (uintptr_t) leaf->signature.data,
					  (unsigned) leaf->signature.size};
	return gnutls_pubkey_verify_data2(root->key, algorithms[leaf->algorithm], 0, &data, &signature) >= 0;
}

static void
chain_add(struct chain *chain, const struct certificate *leaf, const struct certificate *root)
{
	struct chain_link *link = &chain->links[chain->link_count++];
	struct der serial = leaf->serial;
	if (serial.data[0] == 0) {
		serial.data++;
		serial.size--;
	}
	*link = (struct chain_link){.issuer = {leaf->issuer.data, leaf->issuer.size},
				    .serial_length = (uint8_t) serial.size};
	memcpy(link->serial, serial.data, serial.size);
	chain->not_before = leaf->not_before > root->not_before ? leaf->not_before : root->not_before;
	chain->not_after = leaf->not_after < root->not_after ? leaf->not_after : root->not_after;
}

bool
trust_plain_prove(const struct trust_plain *plain, const struct chain_bytes *sent, time_t now, struct chain *chain)
{
	struct certificate leaf;
	if (!certificate_read(sent->data, sent->size, &leaf) || leaf.is_authority || leaf.is_bounded ||
	    der_equal(&leaf.subject, &leaf.issuer) || !is_valid(&leaf, now) || !is_for_clients(&leaf))
		return false;
	const struct root *root = find_root(plain, &leaf);
	if (!root || !is_valid(&root->parts, now) ||
	    (leaf.authority_key_id.size && !der_equal(&leaf.authority_key_id, &root->parts.subject_key_id)) ||
	    !is_signed(&leaf, root))
		return false;
	chain_add(chain, &leaf, &root->parts);
	return true;
}
