/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* tls-refusal.h - why a peer is not let in, or not any longer; counted and logged by the endpoint.
 *
 * Threads: any. Owns: nothing.
 */

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
	TLS_NOT_ALLOWED,     /* no route admits the client any more */
	TLS_REFUSAL_COUNT
};

const char *tls_refusal_name(enum tls_refusal refusal);
