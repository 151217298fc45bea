/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "identity-cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>

enum { STRANGERS = IDENTITY_CACHE_ROOM + IDENTITY_CACHE_ROOM / 2 };

static gnutls_x509_privkey_t key;

static int
make_key(void **state)
{
	(void) state;
	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	return gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
}

static int
free_key(void **state)
{
	(void) state;
	gnutls_x509_privkey_deinit(key);
	return 0;
}

/* The number-th certificate: they differ in nothing but the serial number. */
static struct identity_der
make_certificate(unsigned number)
{
	gnutls_x509_crt_t crt;
	gnutls_datum_t der;
	unsigned char serial[4] = {1, (unsigned char) (number >> 16), (unsigned char) (number >> 8),
				   (unsigned char) number};
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_set_version(crt, 3), 0);
	assert_int_equal(gnutls_x509_crt_set_dn(crt, "CN=client", NULL), 0);
	assert_int_equal(gnutls_x509_crt_set_serial(crt, serial, sizeof(serial)), 0);
	assert_int_equal(gnutls_x509_crt_set_activation_time(crt, 0), 0);
	assert_int_equal(gnutls_x509_crt_set_expiration_time(crt, 2000000000), 0);
	assert_int_equal(gnutls_x509_crt_set_key(crt, key), 0);
	assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der), 0);
	gnutls_x509_crt_deinit(crt);
	return (struct identity_der){.data = der.data, .length = der.size};
}

static struct identity *
ask(struct identity_cache *cache, const struct identity_der *der)
{
	struct identity *identity = NULL;
	struct error error = {0};
	assert_int_equal(identity_cache_read(cache, der, 1, &identity, &error), 0);
	return identity;
}

static void
who_returns_is_the_same(void **state)
{
	(void) state;
	struct identity_cache *cache = NULL;
	struct identity_der chain[] = {make_certificate(1), make_certificate(2)};
	struct identity *first = NULL, *again = NULL, *longer = NULL, *other = NULL;
	struct error error = {0};
	assert_int_equal(identity_cache_new(&cache), 0);
	assert_int_equal(identity_cache_read(cache, chain, 1, &first, &error), 0);
	assert_int_equal(identity_cache_read(cache, chain, 1, &again, &error), 0);
	assert_ptr_equal(first, again);
	/* The same leaf with an issuer beside it is another: a proxy would pass that on. */
	assert_int_equal(identity_cache_read(cache, chain, 2, &longer, &error), 0);
	assert_ptr_not_equal(first, longer);
	assert_string_equal(first->certificate_sha256, longer->certificate_sha256);
	assert_int_equal(identity_cache_read(cache, chain + 1, 1, &other, &error), 0);
	assert_string_not_equal(first->serial, other->serial);
	identity_cache_free(&cache);
	assert_null(cache);
	assert_string_equal(again->subject, "CN=client"); /* outlives the cache */
	identity_unref(&first);
	identity_unref(&again);
	identity_unref(&longer);
	identity_unref(&other);
	for (size_t i = 0; i < 2; i++)
		gnutls_free((void *) (uintptr_t) chain[i].data);
}

static void
what_cannot_be_read_is_not_kept(void **state)
{
	(void) state;
	struct identity_cache *cache = NULL;
	struct identity_der junk = {.data = "junk", .length = 4};
	struct identity *identity = NULL;
	struct error error = {0};
	assert_int_equal(identity_cache_new(&cache), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(identity_cache_read(cache, &junk, 1, &identity, &error) < 0);
		assert_null(identity);
	}
	identity_cache_free(&cache);
}

static void
a_crowd_of_strangers_does_not_push_out_who_returns(void **state)
{
	(void) state;
	struct identity_cache *cache = NULL;
	assert_int_equal(identity_cache_new(&cache), 0);
	struct identity_der der = make_certificate(0);
	struct identity *regular = ask(cache, &der);
	for (unsigned i = 1; i <= STRANGERS; i++) {
		struct identity_der other = make_certificate(i);
		struct identity *stranger = ask(cache, &other), *again = ask(cache, &der);
		assert_ptr_not_equal(stranger, regular);
		assert_ptr_equal(again, regular);
		identity_unref(&stranger);
		identity_unref(&again);
		gnutls_free((void *) (uintptr_t) other.data);
	}
	gnutls_free((void *) (uintptr_t) der.data);
	identity_unref(&regular);
	identity_cache_free(&cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_returns_is_the_same),
		cmocka_unit_test(what_cannot_be_read_is_not_kept),
		cmocka_unit_test(a_crowd_of_strangers_does_not_push_out_who_returns),
	};
	return cmocka_run_group_tests(tests, make_key, free_key);
}
