/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handshake.h"

#include <stdbool.h>
#include <string.h>

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
handshake_check(struct handshake *handshake, gnutls_session_t session)
{
	chain_unref(&handshake->chain);
	enum tls_refusal refusal = tls_set_check(handshake->set, session, &handshake->chain, &handshake->epoch);
	return refusal ? handshake_refuse(handshake, session, refusal) : 0;
}

static int
handshake_verify(gnutls_session_t session)
{
	struct handshake *handshake = finder(session);
	if (!handshake)
		return GNUTLS_E_CERTIFICATE_ERROR;
	return handshake_check(handshake, session);
}

/* GnuTLS takes one key for tickets, once a session, and asks for the certificate without saying what the client can
 * verify: both are settled here, before it reads the message. */
static void
handshake_greeted(struct handshake *handshake, gnutls_session_t session, const gnutls_datum_t *message)
{
	struct hello hello;
	unsigned char key[TICKET_KEY];
	const gnutls_datum_t datum = {key, sizeof(key)};
	unsigned lifetime = 0;

	if (hello_read(message->data, message->size, &hello) < 0)
		return;
	handshake->certificate = credential_choose(tls_set_credential(handshake->set), &hello);
	if (handshake->no_tickets ||
	    !tls_policy_ticket(tls_set_policy(handshake->set), &hello, time(NULL), key, &lifetime))
		return;
	gnutls_db_set_cache_expiration(session, (int) lifetime);
	/* Refused for the second hello of a session, after a retry: the first one's key stays. */
	(void) gnutls_session_ticket_enable_server(session, &datum);
	explicit_bzero(key, sizeof(key));
}

/* Sees the client's greeting, and an empty certificate list before GnuTLS gives up on it without a word. */
static int
handshake_hook(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming, const gnutls_datum_t *message)
{
	bool greeting = type == GNUTLS_HANDSHAKE_CLIENT_HELLO && when == GNUTLS_HOOK_PRE;
	bool certificates = type == GNUTLS_HANDSHAKE_CERTIFICATE_PKT && when == GNUTLS_HOOK_POST;
	if (!incoming || !(greeting || certificates))
		return 0;
	struct handshake *handshake = finder(session);
	if (!handshake)
		return GNUTLS_E_CERTIFICATE_ERROR;
	if (greeting) {
		handshake_greeted(handshake, session, message);
		return 0;
	}
	/* TLS 1.2: a 3-byte length of 0; 1.3: an empty request context before it. */
	for (unsigned i = 0; i < message->size; i++)
		if (message->data[i])
			return 0;
	return handshake_refuse(handshake, session, TLS_NO_CERTIFICATE);
}

int
handshake_offer(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **chain,
		unsigned *chain_length, gnutls_ocsp_data_st **staples, unsigned *staple_count, gnutls_privkey_t *key,
		unsigned *flags)
{
	const struct handshake *handshake = finder(session);
	struct credential_offer offer;
	(void) info;
	if (!handshake)
		return -1;
	credential_offer(tls_set_credential(handshake->set), handshake->certificate, time(NULL), &offer);
	*chain = offer.chain;
	*chain_length = offer.chain_length;
	*key = offer.key;
	*staples = offer.staples;
	*staple_count = offer.staple_count;
	*flags = 0; /* all of it stays ours */
	return 0;
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
	gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_BOTH, handshake_hook);
	return tls_set_attach(handshake->set, session);
}

static int
handshake_finish(struct handshake *handshake, gnutls_session_t session)
{
	handshake->resumed = gnutls_session_is_resumed(session) != 0;
	if (!handshake->resumed)
		return 0;
	/* A ticket proves that the peer was good when it was issued: resumption must not outlive revocation. */
	return handshake_check(handshake, session);
}

int
handshake_confirm(struct handshake *handshake, gnutls_session_t session)
{
	int r = 0;
	while (r == 0 && handshake->epoch != tls_policy_epoch(tls_set_policy(handshake->set)))
		r = handshake_check(handshake, session);
	return r;
}

void
handshake_clear(struct handshake *handshake)
{
	chain_unref(&handshake->chain);
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
