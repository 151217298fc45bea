/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* handshake.h - what happens to one session until its peer is verified: certificate, ticket, demand, check, alert.
 *
 * GnuTLS sends no alert by itself when it refuses; a client is told why here (RFC 8446, 6.2), in TLS 1.2 and 1.3 alike.
 *
 * Threads: the session's. Owns: a reference of the peer's chain; the struct is embedded in its connection and outlives
 * the session.
 */
#include "tls.h"

struct handshake {
	struct tls_set *set;      /* pinned by its connection */
	bool no_tickets;          /* this listener gives none */
	enum tls_refusal refusal; /* why it failed, TLS_ACCEPTED until then */
	bool alerted;
	bool resumed;        /* valid once handshake_judge returned 0 */
	struct chain *chain; /* what the peer was let in by; NULL until then */
	uint64_t epoch;      /* of the policy that judged it */
	size_t certificate;  /* which one the client gets */
};

/* find: the handshake that belongs to a session of ours. Called once, before the first session. */
void handshake_init(struct handshake *(*find)(gnutls_session_t session));
int handshake_attach(struct handshake *handshake, gnutls_session_t session);
/* The result of gnutls_handshake goes in: a session that was resumed is checked again, and the alert that fits a
 * failure is sent. Returns GnuTLS's code, or the one that ends the handshake. */
int handshake_judge(struct handshake *handshake, gnutls_session_t session, int result);
/* Once the connection can be found by those who look again at live ones: a policy that changed while the handshake was
 * under way is applied. Returns 0, or the code that ends the session. */
int handshake_confirm(struct handshake *handshake, gnutls_session_t session);
void handshake_clear(struct handshake *handshake);
/* GnuTLS's question for the certificate of a session; the credentials of every set lead here. */
int handshake_offer(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **chain,
		    unsigned *chain_length, gnutls_ocsp_data_st **staples, unsigned *staple_count,
		    gnutls_privkey_t *key, unsigned *flags);
