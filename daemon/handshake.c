/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handshake.h"

#include <stdbool.h>

/* One finder for all sessions: GnuTLS's hooks carry no argument but the session, whose own pointer is taken. */
static struct handshake *(*finder)(gnutls_session_t session);

static const gnutls_alert_description_t alerts[TLS_REFUSAL_COUNT] = {
	[TLS_UNKNOWN_CA] = GNUTLS_A_UNKNOWN_CA,           [TLS_EXPIRED] = GNUTLS_A_CERTIFICATE_EXPIRED,
	[TLS_NOT_YET_VALID] = GNUTLS_A_BAD_CERTIFICATE,   [TLS_REVOKED] = GNUTLS_A_CERTIFICATE_REVOKED,
	[TLS_CRL_STALE] = GNUTLS_A_CERTIFICATE_UNKNOWN,   [TLS_BAD_PURPOSE] = GNUTLS_A_UNSUPPORTED_CERTIFICATE,
	[TLS_BAD_CERTIFICATE] = GNUTLS_A_BAD_CERTIFICATE,
};

/* certificate_required exists in TLS 1.3 only. */
static gnutls_alert_description_t
alert_for(enum tls_refusal refusal, gnutls_session_t session)
{
	if (refusal == TLS_NO_CERTIFICATE)
		return gnutls_protocol_get_version(session) >= GNUTLS_TLS1_3 ? GNUTLS_A_CERTIFICATE_REQUIRED
									     : GNUTLS_A_HANDSHAKE_FAILURE;
	return alerts[refusal];
}

static int
handshake_refuse(struct handshake *handshake, gnutls_session_t session, enum tls_refusal refusal)
{
	handshake->refusal = refusal;
	/* A full send buffer costs the client its explanation, nothing else. */
	(void) gnutls_alert_send(session, GNUTLS_AL_FATAL, alert_for(refusal, session));
	handshake->alerted = true;
	return GNUTLS_E_CERTIFICATE_ERROR;
}

static int
handshake_verify(gnutls_session_t session)
{
	struct handshake *handshake = finder(session);
	if (!handshake)
		return GNUTLS_E_CERTIFICATE_ERROR;
	enum tls_refusal refusal = tls_set_check(handshake->set, session);
	return refusal ? handshake_refuse(handshake, session, refusal) : 0;
}

/* Sees a client's empty certificate list before GnuTLS gives up on it without a word. */
static int
handshake_hook(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming, const gnutls_datum_t *message)
{
	if (type != GNUTLS_HANDSHAKE_CERTIFICATE_PKT || when != GNUTLS_HOOK_POST || !incoming)
		return 0;
	/* TLS 1.2: a 3-byte length of 0; 1.3: an empty request context before it. */
	for (unsigned i = 0; i < message->size; i++)
		if (message->data[i])
			return 0;
	struct handshake *handshake = finder(session);
	return handshake ? handshake_refuse(handshake, session, TLS_NO_CERTIFICATE) : GNUTLS_E_CERTIFICATE_ERROR;
}

void
handshake_init(struct handshake *(*find)(gnutls_session_t session))
{
	finder = find;
}

int
handshake_attach(struct handshake *handshake, gnutls_session_t session)
{
	gnutls_session_set_verify_function(session, handshake_verify);
	gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_CERTIFICATE_PKT, GNUTLS_HOOK_POST, handshake_hook);
	return tls_set_attach(handshake->set, session);
}

static int
handshake_finish(struct handshake *handshake, gnutls_session_t session)
{
	handshake->resumed = gnutls_session_is_resumed(session) != 0;
	if (!handshake->resumed)
		return 0;
	/* A ticket proves that the peer was good when it was issued: resumption must not outlive revocation. */
	enum tls_refusal refusal = tls_set_check(handshake->set, session);
	return refusal ? handshake_refuse(handshake, session, refusal) : 0;
}

int
handshake_judge(struct handshake *handshake, gnutls_session_t session, int result)
{
	if (result == GNUTLS_E_SUCCESS)
		return handshake_finish(handshake, session);
	if (!gnutls_error_is_fatal(result))
		return result;
	if (!handshake->refusal)
		handshake->refusal = TLS_PROTOCOL;
	/* Not to a peer that is gone or has sent an alert itself. */
	if (!handshake->alerted && result != GNUTLS_E_PREMATURE_TERMINATION && result != GNUTLS_E_PULL_ERROR &&
	    result != GNUTLS_E_PUSH_ERROR && result != GNUTLS_E_FATAL_ALERT_RECEIVED)
		(void) gnutls_alert_send_appropriate(session, result);
	handshake->alerted = true;
	return result;
}
