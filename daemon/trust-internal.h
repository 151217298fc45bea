/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* trust-internal.h - what a trust is made of, for trust.c (loading) and trust-judge.c.
 *
 * Threads: immutable once loaded, but its cache. Owns: see trust.h.
 */
#include "trust-plain.h"
#include "trust.h"

struct trust {
	atomic_uint references;
	gnutls_x509_trust_list_t list; /* owns the authorities */
	gnutls_x509_crt_t *authorities;
	struct trust_plain *plain; /* those of them that prove plain certificates */
	unsigned authority_count;
	size_t authority_bytes;
	time_t authorities_expire;
	struct crl_store *crls; /* NULL: none given */
	int crl_policy;
	struct chain_cache *chains;
	unsigned char content[CHAIN_DIGEST]; /* of all that was read */
	unsigned char policy[CHAIN_DIGEST];  /* of all that decides who is let in */
	unsigned char anchors[CHAIN_DIGEST]; /* of the authorities */
};

/* What the lists say of a link. chain (may be NULL) is told how long that holds. */
enum tls_refusal trust_judge_answer(const struct trust *trust, const struct crl_answer *answer, struct chain *chain);
