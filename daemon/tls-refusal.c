/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tls-refusal.h"

static const char *const names[TLS_REFUSAL_COUNT] = {
	[TLS_ACCEPTED] = "accepted",
	[TLS_NO_CERTIFICATE] = "no-certificate",
	[TLS_UNKNOWN_CA] = "unknown-ca",
	[TLS_EXPIRED] = "expired",
	[TLS_NOT_YET_VALID] = "not-yet-valid",
	[TLS_REVOKED] = "revoked",
	[TLS_CRL_STALE] = "crl-stale",
	[TLS_BAD_PURPOSE] = "bad-purpose",
	[TLS_BAD_CERTIFICATE] = "bad-certificate",
	[TLS_PROTOCOL] = "protocol",
	[TLS_NOT_ALLOWED] = "not-allowed",
};

const char *
tls_refusal_name(enum tls_refusal refusal)
{
	return names[refusal];
}
