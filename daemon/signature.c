/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "signature.h"

#include "cleanup.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Points and numbers, not EVP: an EVP key for every client, whose key is used once, costs a third more. */
static EC_GROUP *curve;

static void
context_free(BN_CTX **context)
{
	if (*context)
		BN_CTX_end(*context);
	BN_CTX_free(*context);
}

static void
point_free(EC_POINT **point)
{
	EC_POINT_free(*point);
}

static bool
in_range(const BIGNUM *number)
{
	return !BN_is_zero(number) && BN_cmp(number, EC_GROUP_get0_order(curve)) < 0;
}

static EC_POINT *
key_point(const struct signature *signature, BIGNUM *x, BIGNUM *y, BN_CTX *context)
{
	EC_POINT *key = EC_POINT_new(curve);
	/* Fails for what is not on the curve. */
	if (key && BN_bin2bn(signature->x, SIGNATURE_NUMBER, x) && BN_bin2bn(signature->y, SIGNATURE_NUMBER, y) &&
	    EC_POINT_set_affine_coordinates(curve, key, x, y, context))
		return key;
	EC_POINT_free(key);
	return NULL;
}

/* FIPS 186-5, 6.4.2: (h/s)·G + (r/s)·Q has r for its x. */
static int
check_equation(const BIGNUM *hash, const BIGNUM *r, BIGNUM *s, const EC_POINT *key, BN_CTX *context)
{
	const BIGNUM *order = EC_GROUP_get0_order(curve);
	BIGNUM *u = BN_CTX_get(context), *v = BN_CTX_get(context), *x = BN_CTX_get(context);
	CLEANUP(point_free) EC_POINT *sum = EC_POINT_new(curve);
	if (!x || !sum || !BN_mod_inverse(s, s, order, context) || !BN_mod_mul(u, hash, s, order, context) ||
	    !BN_mod_mul(v, r, s, order, context) || !EC_POINT_mul(curve, sum, u, key, v, context))
		return -EIO;
	if (EC_POINT_is_at_infinity(curve, sum))
		return 0;
	if (!EC_POINT_get_affine_coordinates(curve, sum, x, NULL, context) || !BN_nnmod(x, x, order, context))
		return -EIO;
	return BN_cmp(x, r) == 0;
}

static int
check_numbers(const struct signature *signature, const uint8_t *digest, size_t length, BN_CTX *context)
{
	BIGNUM *x = BN_CTX_get(context), *y = BN_CTX_get(context), *r = BN_CTX_get(context), *s = BN_CTX_get(context),
	       *hash = BN_CTX_get(context);
	if (!hash || !BN_bin2bn(signature->r, SIGNATURE_NUMBER, r) || !BN_bin2bn(signature->s, SIGNATURE_NUMBER, s) ||
	    !BN_bin2bn(digest, length < SIGNATURE_NUMBER ? (int) length : SIGNATURE_NUMBER, hash))
		return -ENOMEM;
	if (!in_range(r) || !in_range(s))
		return 0;
	CLEANUP(point_free) EC_POINT *key = key_point(signature, x, y, context);
	return key ? check_equation(hash, r, s, key, context) : -EIO;
}

int
signature_check(const struct signature *signature, const uint8_t *digest, size_t length)
{
	if (!curve)
		return -ENOTSUP;
	CLEANUP(context_free) BN_CTX *context = BN_CTX_new();
	if (!context)
		return -ENOMEM;
	BN_CTX_start(context);
	int r = check_numbers(signature, digest, length, context);
	if (r < 0)
		ERR_clear_error(); /* else it waits in the thread for a plugin that uses the library too */
	return r;
}

/* RFC 6979, A.2.5: P-256 with SHA-256, the message "sample". */
static const struct signature known = {
	.x = {0x60, 0xfe, 0xd4, 0xba, 0x25, 0x5a, 0x9d, 0x31, 0xc9, 0x61, 0xeb, 0x74, 0xc6, 0x35, 0x6d, 0x68,
	      0xc0, 0x49, 0xb8, 0x92, 0x3b, 0x61, 0xfa, 0x6c, 0xe6, 0x69, 0x62, 0x2e, 0x60, 0xf2, 0x9f, 0xb6},
	.y = {0x79, 0x03, 0xfe, 0x10, 0x08, 0xb8, 0xbc, 0x99, 0xa4, 0x1a, 0xe9, 0xe9, 0x56, 0x28, 0xbc, 0x64,
	      0xf2, 0xf1, 0xb2, 0x0c, 0x2d, 0x7e, 0x9f, 0x51, 0x77, 0xa3, 0xc2, 0x94, 0xd4, 0x46, 0x22, 0x99},
	.r = {0xef, 0xd4, 0x8b, 0x2a, 0xac, 0xb6, 0xa8, 0xfd, 0x11, 0x40, 0xdd, 0x9c, 0xd4, 0x5e, 0x81, 0xd6,
	      0x9d, 0x2c, 0x87, 0x7b, 0x56, 0xaa, 0xf9, 0x91, 0xc3, 0x4d, 0x0e, 0xa8, 0x4e, 0xaf, 0x37, 0x16},
	.s = {0xf7, 0xcb, 0x1c, 0x94, 0x2d, 0x65, 0x7c, 0x41, 0xd4, 0x36, 0xc7, 0xa1, 0xb6, 0xe2, 0x9f, 0x65,
	      0xf3, 0xe9, 0x00, 0xdb, 0xb9, 0xaf, 0xf4, 0x06, 0x4d, 0xc4, 0xab, 0x2f, 0x84, 0x3a, 0xcd, 0xa8},
};
static const uint8_t known_digest[] = {0xaf, 0x2b, 0xdb, 0xe1, 0xaa, 0x9b, 0x6e, 0xc1, 0xe2, 0xad, 0xe1,
				       0xd6, 0x94, 0xf4, 0x1f, 0xc7, 0x1a, 0x83, 0x1d, 0x02, 0x68, 0xe9,
				       0x89, 0x15, 0x62, 0x11, 0x3d, 0x8a, 0x62, 0xad, 0xd1, 0xbf};

/* With its first error OpenSSL makes, once for the process, what errors are kept in. Since 3.4 a malloc that fails is
 * an error, and if it fails in there, that error waits for itself for ever. So all that is made now, and only where
 * there is memory. */
static bool
prepare_errors(void)
{
	enum { ROOM = 1 << 16 };
	void *volatile room = malloc(ROOM);
	if (!room)
		return false;
	free(room);
	ERR_clear_error();
	return true;
}

int
signature_start(void)
{
	struct signature forged = known;
	forged.s[SIGNATURE_NUMBER - 1] ^= 1;
	if (curve)
		return 0;
	if (!prepare_errors())
		return -ENOTSUP;
	curve = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	if (signature_check(&known, known_digest, sizeof(known_digest)) == 1 &&
	    signature_check(&forged, known_digest, sizeof(known_digest)) == 0)
		return 0;
	EC_GROUP_free(curve);
	curve = NULL;
	return -ENOTSUP;
}
