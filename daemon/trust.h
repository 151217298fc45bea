/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* trust.h - whom to let in: client authorities, their revocation lists, and the proof of a chain by them.
 *
 * Immutable and counted. Chain, validity, key usage and the clientAuth purpose (RFC 5280, 4.2.1.12), then revocation of
 * every certificate of the path (6.3). Proved chains are remembered, so that a client that returns costs no signature.
 *
 * Threads: any. Owns: authorities, lists, the cache of proved chains.
 */
#include "chain-cache.h"
#include "config.h"
#include "crl.h"
#include "error.h"
#include "tls-refusal.h"

struct trust;

/* previous: what served before, or NULL; it is taken again (a new reference) where no file has changed. Where only
 * lists have, the chains it remembers are, as far as the new lists let them. */
int trust_load(const struct config_tls *config, struct trust *previous, struct trust **ret, struct error *error);
struct trust *trust_ref(struct trust *trust);
void trust_unref(struct trust **trust);
/* What it decides, as SHA-256: equal for lists that were only issued again. */
const unsigned char *trust_policy(const struct trust *trust);

/* Judges what a client sent, the leaf first. TLS_ACCEPTED: *ret is a reference of the proved chain. */
enum tls_refusal trust_check(struct trust *trust, const struct chain_bytes *sent, size_t count, time_t now,
			     struct chain **ret);
/* Judges a chain that was proved before, maybe by another trust. Costs a few look-ups unless the authorities differ. */
enum tls_refusal trust_check_again(struct trust *trust, struct chain *chain, time_t now, struct chain **ret);

struct trust_counts {
	size_t authorities, bytes;
	time_t authorities_expire; /* the first of them */
	bool has_lists;
	struct crl_counts lists;
	time_t lists_due; /* the earliest nextUpdate; 0: none */
	struct chain_cache_counts chains;
};
void trust_count(struct trust *trust, struct trust_counts *ret);

/* The certificates of the authorities, for the request that names them to clients. Borrowed. */
const gnutls_x509_crt_t *trust_authorities(const struct trust *trust, unsigned *ret_count);
