/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* credential.h - the server's certificates of one set, each with its key and stapled answer, and the choice among them.
 *
 * Which one a client gets: of those it can verify (by kind of key) the one that names the server it asked for, exactly
 * before by wildcard; of equals the first in the file. Keys are PEM files or URIs of tokens (PKCS#11, RFC 7512).
 *
 * Threads: immutable once loaded. Owns: certificates, keys, stapled answers.
 */
#include "config.h"
#include "error.h"
#include "hello.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <time.h>

struct credential;

/* One certificate, for an operator. */
struct credential_view {
	const char *file;    /* as configured */
	const char *subject; /* RFC 4514 */
	const char *names;   /* what it is chosen by, separated by blanks */
	const char *key;     /* "ECDSA P-256" */
	const char *store;   /* where the key is: "file", "credential", "token" */
	time_t expires;      /* the first of its chain */
	time_t staple_until; /* 0: it has no stapled answer */
};

int credential_load(const struct config_tls *config, struct credential **ret, struct error *error);
void credential_free(struct credential **credential);
size_t credential_count(const struct credential *credential);
void credential_view(const struct credential *credential, size_t i, struct credential_view *ret);
/* SHA-256 of all that was read. */
const unsigned char *credential_content(const struct credential *credential);
size_t credential_bytes(const struct credential *credential);

size_t credential_choose(const struct credential *credential, const struct hello *hello);
/* What GnuTLS wants of the i-th; a stapled answer that is outdated is left out. Borrowed. */
struct credential_offer {
	gnutls_pcert_st *chain;
	unsigned chain_length;
	gnutls_privkey_t key;
	gnutls_ocsp_data_st *staples;
	unsigned staple_count;
};
void credential_offer(const struct credential *credential, size_t i, time_t now, struct credential_offer *ret);
