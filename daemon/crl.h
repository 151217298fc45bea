/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* crl.h - certificate revocation lists as sorted serial numbers: small in memory, logarithmic in time.
 *
 * GnuTLS keeps a list's whole parse tree and walks it for every handshake; a list of a large authority then costs many
 * times its file in memory and milliseconds a handshake.
 *
 * Threads: any, after crl_load. Owns: copies of all it needs.
 */
#include "error.h"

#include <gnutls/x509.h>
#include <stdbool.h>
#include <time.h>

struct crl_store;

struct crl_answer {
	bool revoked;       /* by any list of the issuer, fresh or not */
	bool fresh;         /* a list of the issuer covers now */
	time_t fresh_until; /* then: until when */
	bool unproved;      /* a list of the issuer waits for a certificate it verifies with: ask crl_look_up */
};

/* What the lists are, for an operator. */
struct crl_counts {
	size_t lists, serials, bytes;
};

/* pem: one or more lists. Those of the authorities must be signed by them; those of other issuers, intermediate
 * authorities, are kept aside until crl_look_up meets a certificate they verify with. Delta, indirect and partitioned
 * lists are refused. */
int crl_load(const char *file, const gnutls_datum_t *pem, gnutls_x509_crt_t *authorities, unsigned authority_count,
	     struct crl_store **ret, struct error *error);
/* authority: the certificate's issuer, verified. A list that is not proved to be its counts what it revokes, but never
 * as fresh. */
int crl_look_up(const struct crl_store *store, gnutls_x509_crt_t certificate, gnutls_x509_crt_t authority, time_t now,
		struct crl_answer *ret);
/* The same by the issuer's DER name and the serial number; proves nothing. */
int crl_find(const struct crl_store *store, const void *issuer, size_t issuer_length, const void *serial,
	     size_t serial_length, time_t now, struct crl_answer *ret);
/* SHA-256 of who revoked what: a list that was only issued again has the same. */
int crl_digest(const struct crl_store *store, unsigned char ret[static 32]);
void crl_count(const struct crl_store *store, struct crl_counts *ret);
/* The earliest nextUpdate; 0 if no list has one. */
time_t crl_next_update(const struct crl_store *store);
void crl_free(struct crl_store **store); /* accepts NULL */
