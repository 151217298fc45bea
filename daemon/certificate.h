/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* certificate.h - the parts of a plain X.509 certificate, found by one walk over its bytes.
 *
 * Plain is what nearly all certificates of clients are: version 3, a key and a signature of the usual kinds,
 * well-formed extensions, none of them critical but the well-known. What is not plain is not bad: it is for the library
 * to read, which makes trees of its nodes and takes fifty times as long. So whoever uses this has a slower way beside
 * it, and nothing is ever refused because of this file.
 *
 * Threads: any. Owns: nothing; the parts lie in the bytes that were read.
 */
#include "der.h"

enum certificate_algorithm {
	CERTIFICATE_ECDSA_SHA256,
	CERTIFICATE_ECDSA_SHA384,
	CERTIFICATE_ECDSA_SHA512,
	CERTIFICATE_RSA_SHA256,
	CERTIFICATE_RSA_SHA384,
	CERTIFICATE_RSA_SHA512,
	CERTIFICATE_ED25519,
	CERTIFICATE_ALGORITHM_COUNT
};

enum { CERTIFICATE_OID = 128 /* the longest that is plain, in dots, and its NUL */ };
enum { CERTIFICATE_DIGITAL_SIGNATURE = 1 << 0, CERTIFICATE_CERT_SIGN = 1 << 5 };

struct certificate {
	struct der signed_part, signature;
	enum certificate_algorithm algorithm;
	struct der serial;          /* the number's bytes, a sign byte of 0 included */
	struct der issuer, subject; /* names, with their heads */
	int64_t not_before, not_after;
	struct der key;                              /* SubjectPublicKeyInfo, with its head */
	struct der names;                            /* what the subjectAltName holds; empty: none */
	struct der purposes;                         /* object identifiers of the extKeyUsage; empty: none */
	struct der subject_key_id, authority_key_id; /* empty: none */
	unsigned key_usage;                          /* 0: none is said */
	bool is_authority;
	bool is_bounded; /* in names or policies it may vouch for */
};

/* False: not a plain certificate. */
bool certificate_read(const void *data, size_t size, struct certificate *ret);
