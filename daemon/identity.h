/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* identity.h - who the verified peer is, read once per connection from its certificate.
 *
 * Strings are UTF-8 without NUL or control bytes: a certificate whose names hold such bytes is refused (-EBADMSG), so
 * that no rule or log line can be fooled. Source: RFC 5280, RFC 4514 (subject string), SPIFFE X.509-SVID.
 *
 * Threads: immutable after identity_read; ref/unref from any thread. Owns: all its strings.
 */
#include "error.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum identity_san { IDENTITY_SAN_URI, IDENTITY_SAN_DNS, IDENTITY_SAN_EMAIL, IDENTITY_SAN_IP, IDENTITY_SAN_COUNT };

struct identity {
	const char *subject, *issuer;  /* RFC 4514 */
	const char *serial;            /* lower-case hex */
	const char *spki_sha256;       /* lower-case hex of the SubjectPublicKeyInfo */
	const char *certificate_sha256;
	time_t not_before, not_after;
	const char *const *san[IDENTITY_SAN_COUNT]; /* NULL-ended lists, never NULL */
	const char *const *purposes;                /* extended key usage: object identifiers, the same */
};

struct identity_der {
	const void *data;
	size_t length;
};
/* der: the leaf certificate. At most 64 names of each kind. */
int identity_read(const void *der, size_t length, struct identity **ret, struct error *error);
/* The same with what the client sent beside it, leaf first; all of it is kept for identity_client_cert. */
int identity_read_chain(const struct identity_der *chain, size_t count, struct identity **ret, struct error *error);
/* The index-th certificate of the chain as a structured field's byte sequence (":base64:"), written when first asked
 * for; NULL past the end or without memory. Valid as long as the identity. Source: RFC 9440, RFC 8941. */
const char *identity_client_cert(const struct identity *identity, size_t index);
/* The first certificate of a PEM file's text. */
int identity_read_pem(const char *pem, struct identity **ret, struct error *error);
struct identity *identity_ref(struct identity *identity);
void identity_unref(struct identity **identity);
