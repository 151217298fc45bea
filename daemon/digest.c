/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "digest.h"

#include <errno.h>
#include <gnutls/crypto.h>

int
digest_sha256(const void *data, size_t length, char ret[static DIGEST_HEX])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[32];

	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, data, length, raw) < 0)
		return -EIO;
	for (size_t i = 0; i < sizeof(raw); i++) {
		ret[2 * i] = hex[raw[i] >> 4];
		ret[2 * i + 1] = hex[raw[i] & 15];
	}
	ret[64] = '\0';
	return 0;
}
