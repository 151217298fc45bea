/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Certificates that are read without GnuTLS say the same as with it; those that might not are left to it. */
#include "identity-fixture.h"

#include "certificate.h"
#include "cleanup.h"

#include <gnutls/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const unsigned char serial[] = {0x0a, 0xbc, 0x01};

static gnutls_datum_t
finish(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key)
{
	gnutls_datum_t der = {0};
	assert_int_equal(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_DER, &der), 0);
	gnutls_x509_crt_deinit(certificate);
	gnutls_x509_privkey_deinit(key);
	return der;
}

static gnutls_x509_crt_t
begin(gnutls_pk_algorithm_t algorithm, unsigned bits, const char *subject, const char *issuer,
      gnutls_x509_privkey_t *ret_key)
{
	gnutls_x509_crt_t certificate;
	gnutls_x509_crt_init(&certificate);
	gnutls_x509_privkey_init(ret_key);
	assert_int_equal(gnutls_x509_privkey_generate(*ret_key, algorithm, bits, 0), 0);
	gnutls_x509_crt_set_version(certificate, 3);
	gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial));
	gnutls_x509_crt_set_activation_time(certificate, 1700000000);
	gnutls_x509_crt_set_expiration_time(certificate, 2600000000); /* 2052: four digits */
	gnutls_x509_crt_set_key(certificate, *ret_key);
	assert_int_equal(gnutls_x509_crt_set_dn(certificate, subject, NULL), 0);
	assert_int_equal(gnutls_x509_crt_set_issuer_dn(certificate, issuer, NULL), 0);
	return certificate;
}

static void
add_extensions(gnutls_x509_crt_t certificate)
{
	static const unsigned char id[] = {1, 2, 3, 4, 5, 6, 7, 8}, address[] = {192, 0, 2, 1};
	static const char uri[] = "spiffe://example.org/web", dns[] = "web.example.org", mail[] = "Ann@EXAMPLE.org";
	gnutls_x509_crt_set_basic_constraints(certificate, 0, -1);
	gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE | GNUTLS_KEY_ENCIPHER_ONLY);
	gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_CLIENT, 0);
	gnutls_x509_crt_set_key_purpose_oid(certificate, "1.3.6.1.4.1.311.20.2.2", 0);
	gnutls_x509_crt_set_key_purpose_oid(certificate, "2.999.4711", 0);
	gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_URI, uri, sizeof(uri) - 1, GNUTLS_FSAN_APPEND);
	gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, dns, sizeof(dns) - 1, GNUTLS_FSAN_APPEND);
	gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_RFC822NAME, mail, sizeof(mail) - 1,
					     GNUTLS_FSAN_APPEND);
	gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, address, sizeof(address),
					     GNUTLS_FSAN_APPEND);
	gnutls_x509_crt_set_subject_key_id(certificate, id, sizeof(id));
	gnutls_x509_crt_set_authority_key_id(certificate, id, sizeof(id));
	gnutls_x509_crt_set_crl_dist_points2(certificate, GNUTLS_SAN_URI, "http://crl/", 11, 0);
}

/* Every bit of it, and some larger changes at every byte: returns how many are plain. */
static unsigned
change_everywhere(gnutls_datum_t *der)
{
	static const unsigned char values[] = {0x00, 0x01, 0x02, 0x03, 0x05, 0x06, 0x0c, 0x13, 0x14,
					       0x16, 0x17, 0x18, 0x1e, 0x30, 0x31, 0x39, 0x7f, 0x80,
					       0x81, 0x82, 0x86, 0x87, 0xa0, 0xa4, 0xff};
	unsigned plain = 0;
	for (unsigned i = 0; i < der->size; i++) {
		unsigned char before = der->data[i];
		for (unsigned bit = 0; bit < 8; bit++) {
			der->data[i] = (unsigned char) (before ^ 1 << bit);
			plain += identity_compare(der->data, der->size);
		}
		for (size_t j = 0; j < ARRAY_LENGTH(values); j++) {
			der->data[i] = values[j];
			plain += identity_compare(der->data, der->size);
		}
		der->data[i] = before;
	}
	for (unsigned size = 0; size < der->size; size++)
		assert_false(identity_compare(der->data, size));
	return plain;
}

static void
check(gnutls_pk_algorithm_t algorithm, unsigned bits, bool with_extensions, const char *subject, const char *issuer)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t certificate = begin(algorithm, bits, subject, issuer, &key);
	if (with_extensions)
		add_extensions(certificate);
	gnutls_datum_t der = finish(certificate, key);
	assert_true(identity_compare(der.data, der.size));
	assert_true(change_everywhere(&der) > 100);
	gnutls_free(der.data);
}

static void
test_changes_everywhere(void **state)
{
	unsigned p256 = (unsigned) GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
		 p384 = (unsigned) GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1);
	(void) state;
	check(GNUTLS_PK_ECDSA, p256, true, "CN=web 1,OU=a,O=Example (Test),L=Somewhere,ST=State,C=DE",
	      "CN=ca,DC=example");
	check(GNUTLS_PK_ECDSA, p384, false, "CN=x", "CN=ca");
	check(GNUTLS_PK_RSA, 2048, true, "DC=org,DC=example", "O=Example");
}

static bool
is_plain(const char *subject, unsigned bits)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t certificate = begin(GNUTLS_PK_RSA, bits, subject, "CN=ca", &key);
	gnutls_datum_t der = finish(certificate, key);
	bool plain = identity_compare(der.data, der.size);
	gnutls_free(der.data);
	return plain;
}

static void
test_what_is_left_to_the_library(void **state)
{
	(void) state;
	assert_true(is_plain("CN=a b", 2048));
	assert_false(is_plain("CN=a b", 1024));
	assert_false(is_plain("CN=a\\, b", 2048));
	assert_false(is_plain("CN=a\\+b", 2048));
	assert_false(is_plain("CN=\\ a", 2048));
	assert_false(is_plain("CN=\xc3\xa4", 2048));
	assert_false(is_plain("CN=a,street=b", 2048));
}

static void
test_numbers_and_times(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		int64_t time; /* -1: none */
	} times[] = {
		{"\x17\x0d"
		 "700101000000Z",
		 15, -1},
		{"\x17\x0d"
		 "000101000000Z",
		 15, 946684800},
		{"\x17\x0d"
		 "000229235959Z",
		 15, 951868799},
		{"\x17\x0d"
		 "010229000000Z",
		 15, -1},
		{"\x17\x0d"
		 "491231235959Z",
		 15, 2524607999},
		{"\x17\x0d"
		 "501231235959Z",
		 15, -1},
		{"\x18\x0f"
		 "20500101000000Z",
		 17, 2524608000},
		{"\x18\x0f"
		 "20491231235959Z",
		 17, -1},
		{"\x18\x0f"
		 "21000229000000Z",
		 17, -1},
		{"\x18\x0f"
		 "24000229000000Z",
		 17, 13574563200},
		{"\x18\x0f"
		 "99981231235959Z",
		 17, 253370764799},
		{"\x18\x0f"
		 "99991231235959Z",
		 17, -1},
		{"\x17\x0d"
		 "001301000000Z",
		 15, -1},
		{"\x17\x0d"
		 "000100000000Z",
		 15, -1},
		{"\x17\x0d"
		 "000101240000Z",
		 15, -1},
		{"\x17\x0d"
		 "0001010000600",
		 15, -1},
		{"\x17\x0b"
		 "0001010000Z",
		 13, -1},
	};
	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(times); i++) {
		struct der from = {(const uint8_t *) times[i].bytes, times[i].size};
		int64_t time = -1;
		assert_int_equal(der_take_time(&from, &time), times[i].time >= 0);
		assert_int_equal(time, times[i].time);
	}
	struct der flags = {(const uint8_t *) "\x03\x03\x07\x80\x80", 5},
		   loose = {(const uint8_t *) "\x03\x02\x06\x80", 4};
	unsigned set = 0;
	assert_true(der_take_flags(&flags, &set));
	assert_int_equal(set, 1 | 1 << 8);
	assert_false(der_take_flags(&loose, &set));
	struct der oid = {(const uint8_t *) "\x88\x37\xa4\x67", 4}, open = {(const uint8_t *) "\x2a\x86", 2};
	char text[64];
	assert_true(der_write_oid(&oid, text, sizeof(text)));
	assert_string_equal(text, "2.999.4711");
	assert_false(der_write_oid(&open, text, sizeof(text)));
	assert_false(der_write_oid(&oid, text, 15));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes_everywhere),
		cmocka_unit_test(test_what_is_left_to_the_library),
		cmocka_unit_test(test_numbers_and_times),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
