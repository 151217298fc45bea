/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* trust-plain.h - the proof of the simplest of chains: a plain certificate, alone, issued by a root of ours.
 *
 * It only ever says yes, and only where GnuTLS would; whatever is otherwise in any way is for GnuTLS to judge and to
 * find the reason for. A third of the price, since nothing is made into trees; the signature is checked by GnuTLS.
 *
 * Threads: any. Owns: copies of the roots.
 */
#include "chain.h"

#include <gnutls/x509.h>

struct trust_plain;

int trust_plain_new(const gnutls_x509_crt_t *authorities, unsigned count, struct trust_plain **ret);
void trust_plain_free(struct trust_plain **plain); /* accepts NULL */
/* True: proved. The chain, which has room for a link, gets it and is narrowed to the dates. Lists are not asked. */
bool trust_plain_prove(const struct trust_plain *plain, const struct chain_bytes *sent, time_t now,
		       struct chain *chain);
