/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* ocsp.h - a stapled answer of a certificate's authority (RFC 6960, RFC 6066, 8), read from a file and checked.
 *
 * Threads: any. Owns: the answer's bytes.
 */
#include "error.h"

#include <gnutls/x509.h>
#include <time.h>

struct ocsp {
	gnutls_datum_t der; /* data NULL: none */
	time_t until;       /* not to be shown later */
};

/* file: DER or PEM. issuer: NULL if the chain does not hold it; then who signed is the client's to judge. An answer for
 * another certificate, a bad signature, or one that says revoked is refused. */
int ocsp_load(const char *file, gnutls_x509_crt_t certificate, gnutls_x509_crt_t issuer, struct ocsp *ret,
	      struct error *error);
void ocsp_clear(struct ocsp *ocsp);
