/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* signature.h - ECDSA signatures on P-256, the usual ones, checked by libcrypto in half of nettle's time.
 *
 * GnuTLS asks nettle; the executable's nettle_ecdsa_verify is the one it finds. So which algorithms, keys and encodings
 * are good enough stays GnuTLS's decision, as does every other step of a proof: what is answered here is arithmetic on
 * public numbers. No key of ours is ever given to libcrypto. What this file does not know goes to nettle: other curves
 * (libcrypto is the slower one at P-384), and everything before signature_start or without libcrypto.
 *
 * Threads: signature_start by the first, before there are others; the rest any. Owns: one curve, for the process.
 */
#include <stddef.h>
#include <stdint.h>

/* Big-endian numbers. */
enum { SIGNATURE_NUMBER = 32 };
struct signature {
	uint8_t x[SIGNATURE_NUMBER], y[SIGNATURE_NUMBER]; /* the public key */
	uint8_t r[SIGNATURE_NUMBER], s[SIGNATURE_NUMBER];
};

/* Prepares the curve and tries it on a known signature. -ENOTSUP: without libcrypto, or it fails the trial; nettle
 * serves then. */
int signature_start(void);
/* 1: genuine; 0: not; negative errno: cannot be told. Of a digest longer than 32 bytes the first 32 count (FIPS 186-5).
 */
int signature_check(const struct signature *signature, const uint8_t *digest, size_t length);
