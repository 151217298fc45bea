/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* tls.h - credential sets and what a session is checked against inside its handshake.
 *
 * A set is immutable and counted: certificate chain, key, client CA, CRL, ticket key, from one entry of the
 * configuration's tls list. A session pins the set it started with. Verification: chain, validity, key usage and the
 * clientAuth purpose (RFC 5280, 4.2.1.12), revocation by CRL. The alert that names the reason is sent (RFC 8446, 6.2).
 *
 * Threads: sets are read-only; ref/unref any thread; session calls on the session's thread.
 * Owns: keys live in daemon memory that is excluded from core dumps where GnuTLS lets us.
 */
#include "config.h"
#include "error.h"
#include "identity.h"

#include <gnutls/gnutls.h>

struct tls_set;

/* Reads and checks the files. The error names the file, what is wrong and the cure. previous: the set of the same name
 * before a reload (its ticket key is kept if client CA, CRL and policy did not change), or NULL. */
int tls_set_load(const struct config_tls *config, const struct tls_set *previous, struct tls_set **ret,
		 struct error *error);
struct tls_set *tls_set_ref(struct tls_set *set);
void tls_set_unref(struct tls_set **set);
const char *tls_set_name(const struct tls_set *set);
time_t tls_set_expires(const struct tls_set *set);

/* Why a peer was refused; counted and logged by the endpoint. */
enum tls_refusal {
	TLS_ACCEPTED,
	TLS_NO_CERTIFICATE,
	TLS_UNKNOWN_CA,
	TLS_EXPIRED,
	TLS_NOT_YET_VALID,
	TLS_REVOKED,
	TLS_CRL_STALE,
	TLS_BAD_PURPOSE,
	TLS_BAD_CERTIFICATE, /* signature, algorithm, malformed, unreadable names */
	TLS_PROTOCOL,        /* handshake failed for another reason */
	TLS_REFUSAL_COUNT
};
const char *tls_refusal_name(enum tls_refusal refusal);

/* Gives a session that was just made the set's credentials, versions and tickets, and demands a certificate. The set
 * must outlive the session. */
int tls_set_attach(struct tls_set *set, gnutls_session_t session);
/* Checks the peer's certificate against the set as it is now: inside the handshake, and again when a session was
 * resumed (which skips the handshake's check). */
enum tls_refusal tls_set_check(const struct tls_set *set, gnutls_session_t session);
