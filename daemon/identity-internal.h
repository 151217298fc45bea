/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* identity-internal.h - an identity in the making, for identity.c (any certificate, through GnuTLS) and
 * identity-plain.c (those that can be read without it).
 *
 * Threads: the one that reads the certificate. Owns: the record's strings, until it is an identity.
 */
#include "identity.h"

#include <gnutls/x509.h>
#include <stdatomic.h>

enum { IDENTITY_PURPOSES = IDENTITY_SAN_COUNT, IDENTITY_LISTS };

struct identity_record {
	struct identity identity;
	atomic_uint references;
	char **names[IDENTITY_LISTS]; /* what identity.san and, last, identity.purposes show */
	size_t counts[IDENTITY_LISTS];
	gnutls_datum_t *chain;
	size_t chain_count;
	_Atomic(char *) *encoded; /* of each of the chain, NULL: nobody has asked */
};

int identity_out_of_memory(struct error *error);
int identity_write_hex(const unsigned char *data, size_t length, const char **ret, struct error *error);
/* SHA-256 of it, in hex. */
int identity_write_digest(const void *data, size_t length, const char *what, const char **ret, struct error *error);
/* type: GNUTLS_SAN_*. name has no NUL at its end. */
int identity_add_san(struct identity_record *record, unsigned type, const gnutls_datum_t *name, struct error *error);
int identity_add_purpose(struct identity_record *record, const char *oid, struct error *error);

/* Ways to fill a record. */
typedef int identity_reader(struct identity_record *record, const void *der, size_t length, struct error *error);
/* What GnuTLS would have read, at a tenth of the price. -ENOTSUP: it is not plain (certificate.h), and error is not
 * set; other errors are those that GnuTLS's way leads to. */
int identity_read_plain(struct identity_record *record, const void *der, size_t length, struct error *error);
int identity_read_any(struct identity_record *record, const void *der, size_t length, struct error *error);
int identity_read_by(identity_reader *reader, const void *der, size_t length, struct identity **ret,
		     struct error *error);
