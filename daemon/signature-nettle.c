/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The nettle_ecdsa_verify that GnuTLS finds first. */
#include "signature.h"

#include "cleanup.h"

#include <dlfcn.h>
#include <gmp.h>
#include <nettle/dsa.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/ecdsa.h>
#include <stdbool.h>
#include <string.h>

typedef int verify_call(const struct ecc_point *key, size_t length, const uint8_t *digest,
			const struct dsa_signature *signature);

static verify_call *
next_verify(void)
{
	static _Atomic(verify_call *) next;
	verify_call *found = next;
	if (!found) {
		void *symbol = dlsym(RTLD_NEXT, "nettle_ecdsa_verify");
		if (!symbol)
			abort(); /* linked against a nettle without it: cannot have started */
		memcpy(&found, &symbol, sizeof(found));
		next = found;
	}
	return found;
}

static bool
number_write(const mpz_t number, uint8_t ret[static SIGNATURE_NUMBER])
{
	size_t length = (mpz_sizeinbase(number, 2) + 7) / 8;
	if (mpz_sgn(number) < 0 || length > SIGNATURE_NUMBER)
		return false;
	memset(ret, 0, SIGNATURE_NUMBER);
	(void) mpz_export(ret + SIGNATURE_NUMBER - length, NULL, 1, 1, 1, 0, number);
	return true;
}

static bool
signature_write(const struct ecc_point *key, const struct dsa_signature *numbers, struct signature *ret)
{
	mpz_t x, y;
	mpz_init(x);
	mpz_init(y);
	ecc_point_get(key, x, y);
	bool fits = number_write(x, ret->x) && number_write(y, ret->y) && number_write(numbers->r, ret->r) &&
		    number_write(numbers->s, ret->s);
	mpz_clear(x);
	mpz_clear(y);
	return fits;
}

int
ecdsa_verify(const struct ecc_point *key, size_t length, const uint8_t *digest, const struct dsa_signature *numbers)
{
	struct signature signature;
	int r = -1;
	if (key->ecc == nettle_get_secp_256r1() && signature_write(key, numbers, &signature))
		r = signature_check(&signature, digest, length);
	return r >= 0 ? r : next_verify()(key, length, digest, numbers);
}
