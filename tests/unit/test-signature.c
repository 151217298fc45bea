/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signatures on P-256: libcrypto's answer and nettle's are the same, and GnuTLS's policy stands before both. */
#include "signature.h"

#include "cleanup.h"

#include <dlfcn.h>
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <nettle/dsa.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/ecdsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef int verify_call(const struct ecc_point *key, size_t length, const uint8_t *digest,
			const struct dsa_signature *signature);

/* The linker leads all calls through here: they are counted, and libcrypto can be left out of the game. */
int __real_signature_check(const struct signature *signature, const uint8_t *digest, size_t length);
int __wrap_signature_check(const struct signature *signature, const uint8_t *digest, size_t length);
static bool absent;
static unsigned asked;

int
__wrap_signature_check(const struct signature *signature, const uint8_t *digest, size_t length)
{
	if (absent)
		return -ENOTSUP;
	int r = __real_signature_check(signature, digest, length);
	asked += r >= 0;
	return r;
}

static verify_call *nettle_verify;

static int
start(void **state)
{
	(void) state;
	void *symbol = dlsym(RTLD_NEXT, "nettle_ecdsa_verify");
	memcpy(&nettle_verify, &symbol, sizeof(nettle_verify));
	return nettle_verify && (void *) ecdsa_verify == dlsym(RTLD_DEFAULT, "nettle_ecdsa_verify") ? 0 : -1;
}

/* --- numbers ----------------------------------------------------------------------------------------------------- */

static uint64_t seed = 1;

static void
fill(void *context, size_t length, uint8_t *ret)
{
	(void) context;
	for (size_t i = 0; i < length; i++) {
		seed = seed * 6364136223846793005 + 1442695040888963407;
		ret[i] = (uint8_t) (seed >> 56);
	}
}

/* Both answers; they have to agree. */
static int
both(const struct ecc_point *key, size_t length, const uint8_t *digest, const struct dsa_signature *signature)
{
	int theirs = nettle_verify(key, length, digest, signature), ours = ecdsa_verify(key, length, digest, signature);
	if (theirs != ours)
		fail_msg("nettle says %d, libcrypto %d", theirs, ours);
	return ours;
}

struct signed_digest {
	struct ecc_point key, other;
	struct dsa_signature signature;
	mpz_t order;
	uint8_t digest[64];
	size_t length;
};

static void
signed_init(struct signed_digest *it, const struct ecc_curve *curve, size_t length)
{
	struct ecc_scalar secret;
	ecc_scalar_init(&secret, curve);
	ecc_point_init(&it->key, curve);
	ecc_point_init(&it->other, curve);
	dsa_signature_init(&it->signature);
	ecdsa_generate_keypair(&it->other, &secret, NULL, fill);
	ecdsa_generate_keypair(&it->key, &secret, NULL, fill);
	fill(NULL, sizeof(it->digest), it->digest);
	it->length = length;
	ecdsa_sign(&secret, NULL, fill, length, it->digest, &it->signature);
	ecc_scalar_clear(&secret);
	mpz_init_set_str(it->order, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16);
}

static void
signed_clear(struct signed_digest *it)
{
	ecc_point_clear(&it->key);
	ecc_point_clear(&it->other);
	dsa_signature_clear(&it->signature);
	mpz_clear(it->order);
}

static int
check(const struct signed_digest *it)
{
	return both(&it->key, it->length, it->digest, &it->signature);
}

/* Every way to get the number wrong, and back. */
static void
spoil_number(const struct signed_digest *it, mpz_t number)
{
	mpz_t right;
	mpz_init_set(right, number);
	for (unsigned long bit = 0; bit < 257; bit += 5) {
		mpz_combit(number, bit);
		assert_int_equal(check(it), 0);
		mpz_set(number, right);
	}
	mpz_set_ui(number, 0);
	assert_int_equal(check(it), 0);
	mpz_set(number, it->order);
	assert_int_equal(check(it), 0);
	mpz_add(number, right, it->order); /* equal but for its size */
	assert_int_equal(check(it), 0);
	mpz_neg(number, right);
	assert_int_equal(check(it), 0);
	mpz_mul_2exp(number, right, 300);
	assert_int_equal(check(it), 0);
	mpz_set(number, right);
	mpz_clear(right);
}

static void
spoil(struct signed_digest *it)
{
	assert_int_equal(check(it), 1);
	spoil_number(it, it->signature.r);
	spoil_number(it, it->signature.s);
	for (size_t i = 0; i < it->length * 8; i += 7) {
		bool counts = i < 256;
		it->digest[i / 8] ^= (uint8_t) (1 << i % 8);
		assert_int_equal(check(it), !counts);
		it->digest[i / 8] ^= (uint8_t) (1 << i % 8);
	}
	assert_int_equal(both(&it->other, it->length, it->digest, &it->signature), 0);
	/* The other signature that always exists; X.509 lets it pass. */
	mpz_sub(it->signature.s, it->order, it->signature.s);
	assert_int_equal(check(it), 1);
	mpz_swap(it->signature.r, it->signature.s);
	assert_int_equal(check(it), 0);
}

static void
test_answers_are_those_of_nettle(void **state)
{
	static const size_t lengths[] = {20, 28, 32, 48, 64};
	(void) state;
	unsigned before = asked;
	for (size_t i = 0; i < 4 * ARRAY_LENGTH(lengths); i++) {
		struct signed_digest it;
		signed_init(&it, nettle_get_secp_256r1(), lengths[i % ARRAY_LENGTH(lengths)]);
		spoil(&it);
		signed_clear(&it);
	}
	assert_true(asked - before > 1000);
}

/* A key whose x is a handful makes numbers with leading zeros. */
static void
test_small_numbers(void **state)
{
	struct signed_digest it;
	mpz_t x, y;
	(void) state;
	signed_init(&it, nettle_get_secp_256r1(), 32);
	mpz_init_set_ui(x, 5);
	mpz_init_set_str(y, "459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc", 16);
	assert_int_equal(ecc_point_set(&it.key, x, y), 1);
	mpz_set_ui(it.signature.r, 1);
	mpz_set_ui(it.signature.s, 1);
	assert_int_equal(check(&it), 0);
	/* h + r·d = 0 for the key -(h/r)·G: the sum is no point with an x at all. */
	struct ecc_scalar secret;
	ecc_scalar_init(&secret, nettle_get_secp_256r1());
	mpz_set_ui(y, 7);
	mpz_sub(x, it.order, y);
	assert_int_equal(ecc_scalar_set(&secret, x), 1);
	ecc_point_mul_g(&it.key, &secret);
	memset(it.digest, 0, 32);
	it.digest[31] = 7;
	assert_int_equal(both(&it.key, 32, it.digest, &it.signature), 0);
	ecc_scalar_clear(&secret);
	mpz_clear(x);
	mpz_clear(y);
	signed_clear(&it);
}

static void
test_other_curves_are_left_to_nettle(void **state)
{
	struct signed_digest it;
	(void) state;
	unsigned before = asked;
	signed_init(&it, nettle_get_secp_384r1(), 48);
	assert_int_equal(check(&it), 1);
	it.digest[0] ^= 1;
	assert_int_equal(check(&it), 0);
	signed_clear(&it);
	assert_int_equal(asked, before);
}

static void
test_a_key_off_the_curve(void **state)
{
	struct signature signature = {.x = {1}, .y = {1}, .r = {1}, .s = {1}};
	uint8_t digest[32] = {0};
	(void) state;
	assert_true(signature_check(&signature, digest, sizeof(digest)) < 0);
}

/* --- through GnuTLS ---------------------------------------------------------------------------------------------- */

struct made {
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t certificate;
};

static void
made_clear(struct made *made)
{
	gnutls_x509_crt_deinit(made->certificate);
	gnutls_x509_privkey_deinit(made->key);
}

static struct made
make(gnutls_ecc_curve_t curve, const struct made *issuer, gnutls_digest_algorithm_t digest)
{
	static const unsigned char serial[] = {1};
	struct made made;
	time_t now = time(NULL);
	gnutls_x509_privkey_init(&made.key);
	assert_int_equal(
		gnutls_x509_privkey_generate(made.key, GNUTLS_PK_ECDSA, (unsigned) GNUTLS_CURVE_TO_BITS(curve), 0), 0);
	gnutls_x509_crt_init(&made.certificate);
	gnutls_x509_crt_set_version(made.certificate, 3);
	gnutls_x509_crt_set_serial(made.certificate, serial, sizeof(serial));
	gnutls_x509_crt_set_activation_time(made.certificate, now - 1000);
	gnutls_x509_crt_set_expiration_time(made.certificate, now + 1000000);
	gnutls_x509_crt_set_dn(made.certificate, issuer ? "CN=leaf" : "CN=ca", NULL);
	gnutls_x509_crt_set_basic_constraints(made.certificate, issuer ? 0 : 1, -1);
	gnutls_x509_crt_set_key(made.certificate, made.key);
	assert_int_equal(gnutls_x509_crt_sign2(made.certificate, issuer ? issuer->certificate : made.certificate,
					       issuer ? issuer->key : made.key, digest, 0),
			 0);
	/* Trust lists look at what was read only. */
	gnutls_datum_t der = {0};
	assert_int_equal(gnutls_x509_crt_export2(made.certificate, GNUTLS_X509_FMT_DER, &der), 0);
	gnutls_x509_crt_deinit(made.certificate);
	gnutls_x509_crt_init(&made.certificate);
	assert_int_equal(gnutls_x509_crt_import(made.certificate, &der, GNUTLS_X509_FMT_DER), 0);
	gnutls_free(der.data);
	return made;
}

/* The verdict on a certificate as trust-judge.c asks for it; negative: no certificate at all. */
static int
judge(const struct made *authority, const gnutls_datum_t *der)
{
	gnutls_x509_trust_list_t list;
	gnutls_x509_crt_t certificate;
	unsigned status = 0;
	gnutls_x509_crt_init(&certificate);
	int r = gnutls_x509_crt_import(certificate, der, GNUTLS_X509_FMT_DER);
	if (r == 0) {
		gnutls_x509_trust_list_init(&list, 0);
		gnutls_x509_trust_list_add_cas(list, &authority->certificate, 1, 0);
		r = gnutls_x509_trust_list_verify_crt2(list, &certificate, 1, NULL, 0,
						       GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM), &status, NULL);
		gnutls_x509_trust_list_deinit(list, 0);
	}
	gnutls_x509_crt_deinit(certificate);
	return r < 0 ? r : (int) status;
}

static int
judge_both(const struct made *authority, const gnutls_datum_t *der)
{
	absent = true;
	int theirs = judge(authority, der);
	absent = false;
	int ours = judge(authority, der);
	if (theirs != ours)
		fail_msg("with nettle %#x, with libcrypto %#x", (unsigned) theirs, (unsigned) ours);
	return ours;
}

static void
test_every_byte_of_a_certificate(void **state)
{
	struct made ca = make(GNUTLS_ECC_CURVE_SECP256R1, NULL, GNUTLS_DIG_SHA256),
		    leaf = make(GNUTLS_ECC_CURVE_SECP256R1, &ca, GNUTLS_DIG_SHA256);
	gnutls_datum_t der;
	(void) state;
	assert_int_equal(gnutls_x509_crt_export2(leaf.certificate, GNUTLS_X509_FMT_DER, &der), 0);
	unsigned before = asked;
	assert_int_equal(judge_both(&ca, &der), 0);
	assert_int_equal(asked, before + 1);
	for (unsigned i = 0; i < der.size; i++) {
		der.data[i] ^= (unsigned char) (1 << i % 8);
		assert_int_not_equal(judge_both(&ca, &der), 0);
		der.data[i] ^= (unsigned char) (1 << i % 8);
	}
	assert_true(asked - before > 100);
	gnutls_free(der.data);
	made_clear(&leaf);
	made_clear(&ca);
}

static void
test_weak_and_foreign_signatures(void **state)
{
	static const struct {
		gnutls_ecc_curve_t authority;
		gnutls_digest_algorithm_t digest;
		bool good;
		unsigned asked;
	} rows[] = {
		{GNUTLS_ECC_CURVE_SECP256R1, GNUTLS_DIG_SHA1, false, 1},
		{GNUTLS_ECC_CURVE_SECP256R1, GNUTLS_DIG_SHA256, true, 1},
		{GNUTLS_ECC_CURVE_SECP256R1, GNUTLS_DIG_SHA384, true, 1},
		{GNUTLS_ECC_CURVE_SECP384R1, GNUTLS_DIG_SHA384, true, 0},
		/* 96 bits of security */
		{GNUTLS_ECC_CURVE_SECP192R1, GNUTLS_DIG_SHA256, false, 0},
	};
	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct made ca = make(rows[i].authority, NULL, GNUTLS_DIG_SHA256),
			    leaf = make(GNUTLS_ECC_CURVE_SECP256R1, &ca, rows[i].digest),
			    stranger = make(rows[i].authority, NULL, GNUTLS_DIG_SHA256);
		gnutls_datum_t der;
		unsigned before = asked;
		assert_int_equal(gnutls_x509_crt_export2(leaf.certificate, GNUTLS_X509_FMT_DER, &der), 0);
		assert_int_equal(judge_both(&ca, &der) == 0, rows[i].good);
		assert_true(asked - before <= rows[i].asked);
		/* The same name, another key. */
		assert_int_not_equal(judge_both(&stranger, &der), 0);
		gnutls_free(der.data);
		made_clear(&stranger);
		made_clear(&leaf);
		made_clear(&ca);
	}
}

static int
verify_both(gnutls_pubkey_t key, const gnutls_datum_t *digest, const unsigned char *signature, size_t length)
{
	const gnutls_datum_t datum = {(unsigned char *) (uintptr_t) signature, (unsigned) length};
	absent = true;
	int theirs = gnutls_pubkey_verify_hash2(key, GNUTLS_SIGN_ECDSA_SHA256, 0, digest, &datum);
	absent = false;
	int ours = gnutls_pubkey_verify_hash2(key, GNUTLS_SIGN_ECDSA_SHA256, 0, digest, &datum);
	assert_int_equal(theirs < 0, ours < 0);
	return ours;
}

/* A signature is two numbers in DER; whoever reads the wrapping is not changed. */
static void
test_encodings(void **state)
{
	struct made made = make(GNUTLS_ECC_CURVE_SECP256R1, NULL, GNUTLS_DIG_SHA256);
	unsigned char bytes[32], other[256];
	gnutls_datum_t digest = {bytes, sizeof(bytes)}, signature = {0};
	gnutls_privkey_t key;
	gnutls_pubkey_t public;
	(void) state;
	fill(NULL, sizeof(bytes), bytes);
	gnutls_privkey_init(&key);
	gnutls_pubkey_init(&public);
	assert_int_equal(gnutls_privkey_import_x509(key, made.key, 0), 0);
	assert_int_equal(gnutls_pubkey_import_privkey(public, key, 0, 0), 0);
	assert_int_equal(gnutls_privkey_sign_hash2(key, GNUTLS_SIGN_ECDSA_SHA256, 0, &digest, &signature), 0);
	assert_true(signature.size < 100 && signature.data[0] == 0x30 && signature.data[1] == signature.size - 2);
	assert_true(verify_both(public, &digest, signature.data, signature.size) >= 0);
	for (unsigned cut = 0; cut < signature.size; cut++) /* too short */
		assert_true(verify_both(public, &digest, signature.data, cut) < 0);
	for (unsigned i = 0; i < signature.size * 8; i++) { /* a flipped bit */
		memcpy(other, signature.data, signature.size);
		other[i / 8] ^= (unsigned char) (1 << i % 8);
		assert_true(verify_both(public, &digest, other, signature.size) < 0);
	}
	memcpy(other, signature.data, signature.size); /* something behind it */
	other[signature.size] = 0;
	(void) verify_both(public, &digest, other, signature.size + 1);
	other[0] = 0x30; /* the length in the long form */
	other[1] = 0x81;
	memcpy(other + 2, signature.data + 1, signature.size - 1);
	(void) verify_both(public, &digest, other, signature.size + 1);
	memcpy(other, signature.data, 4); /* a needless zero before r */
	other[1]++;
	other[3]++;
	other[4] = 0;
	memcpy(other + 5, signature.data + 4, signature.size - 4);
	(void) verify_both(public, &digest, other, signature.size + 1);
	gnutls_free(signature.data);
	gnutls_pubkey_deinit(public);
	gnutls_privkey_deinit(key);
	made_clear(&made);
}

/* --- beginning --------------------------------------------------------------------------------------------------- */

static void
test_before_the_start(void **state)
{
	struct signed_digest it;
	(void) state;
	signed_init(&it, nettle_get_secp_256r1(), 32);
	assert_int_equal(check(&it), 1);
	assert_int_equal(asked, 0);
	assert_int_equal(signature_start(), 0);
	assert_int_equal(signature_start(), 0);
	assert_int_equal(check(&it), 1);
	assert_int_equal(asked, 1);
	signed_clear(&it);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before_the_start), /* first */
		cmocka_unit_test(test_answers_are_those_of_nettle),
		cmocka_unit_test(test_small_numbers),
		cmocka_unit_test(test_other_curves_are_left_to_nettle),
		cmocka_unit_test(test_a_key_off_the_curve),
		cmocka_unit_test(test_every_byte_of_a_certificate),
		cmocka_unit_test(test_weak_and_foreign_signatures),
		cmocka_unit_test(test_encodings),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
