/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* handshake.h - what happens to one session until its peer is verified: the demand, the check, the alert.
 *
 * GnuTLS sends no alert by itself when it refuses; a client is told why here (RFC 8446, 6.2), in TLS 1.2 and 1.3 alike.
 *
 * Threads: the session's. Owns: nothing; the struct is embedded in its connection and outlives the session.
 */
#include "tls.h"

struct handshake {
	struct tls_set *set;      /* borrowed */
	enum tls_refusal refusal; /* why it failed, TLS_ACCEPTED until then */
	bool alerted;
	bool resumed; /* valid once handshake_step returned 0 */
};

/* find: the handshake that belongs to a session of ours. Called once, before the first session. */
void handshake_init(struct handshake *(*find)(gnutls_session_t session));
int handshake_attach(struct handshake *handshake, gnutls_session_t session);
/* The result of gnutls_handshake goes in: a session that was resumed is checked again, and the alert that fits a
 * failure is sent. Returns GnuTLS's code, or the one that ends the handshake. */
int handshake_judge(struct handshake *handshake, gnutls_session_t session, int result);
