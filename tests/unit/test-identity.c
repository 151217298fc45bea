/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "identity.h"
#include "name.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NOT_BEFORE = 1700000000, NOT_AFTER = 1800000000 };
enum { TAG_EMAIL = 0x81, TAG_DNS = 0x82, TAG_DIRECTORY = 0xa4, TAG_URI = 0x86, TAG_IP = 0x87 };

static gnutls_x509_privkey_t key;

static int
key_new(void **state UNUSED)
{
	if (gnutls_x509_privkey_init(&key) < 0)
		return -1;
	return gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
}

static int
key_free(void **state UNUSED)
{
	gnutls_x509_privkey_deinit(key);
	return 0;
}

/* A list of alternative names written by hand, since GnuTLS would not write what is wrong. */
struct names {
	unsigned char bytes[65536];
	size_t length;
};

static size_t
length_write(unsigned char *out, size_t length)
{
	if (length < 128) {
		out[0] = (unsigned char) length;
		return 1;
	}
	out[0] = 0x82;
	out[1] = (unsigned char) (length >> 8);
	out[2] = (unsigned char) length;
	return 3;
}

static void
names_add(struct names *names, unsigned char tag, const void *data, size_t length)
{
	assert_true(names->length + length + 4 <= sizeof(names->bytes));
	names->bytes[names->length++] = tag;
	names->length += length_write(names->bytes + names->length, length);
	memcpy(names->bytes + names->length, data, length);
	names->length += length;
}

static void
names_add_text(struct names *names, unsigned char tag, const char *text)
{
	names_add(names, tag, text, strlen(text));
}

static gnutls_x509_crt_t
certificate_new(const struct names *names)
{
	static const unsigned char serial[] = {0x0a, 0xbc, 0x01};
	static unsigned char extension[sizeof(struct names)];
	gnutls_x509_crt_t certificate;
	size_t head;

	assert_int_equal(gnutls_x509_crt_init(&certificate), 0);
	assert_int_equal(gnutls_x509_crt_set_version(certificate, 3), 0);
	assert_int_equal(gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial)), 0);
	assert_int_equal(gnutls_x509_crt_set_key(certificate, key), 0);
	assert_int_equal(gnutls_x509_crt_set_activation_time(certificate, NOT_BEFORE), 0);
	assert_int_equal(gnutls_x509_crt_set_expiration_time(certificate, NOT_AFTER), 0);
	if (names) {
		extension[0] = 0x30;
		head = 1 + length_write(extension + 1, names->length);
		memcpy(extension + head, names->bytes, names->length);
		assert_int_equal(gnutls_x509_crt_set_extension_by_oid(certificate, "2.5.29.17", extension,
								      (unsigned) (head + names->length), 0),
				 0);
	}
	return certificate;
}

/* Signs by itself, frees the certificate. The caller frees the bytes with gnutls_free. */
static gnutls_datum_t
certificate_finish(gnutls_x509_crt_t certificate)
{
	gnutls_datum_t der;

	assert_int_equal(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_DER, &der), 0);
	gnutls_x509_crt_deinit(certificate);
	return der;
}

static int
read_der(gnutls_datum_t *der, struct identity **ret, struct error *error)
{
	int r = identity_read(der->data, der->size, ret, error);

	gnutls_free(der->data);
	der->data = NULL;
	return r;
}

static int
read_names(const struct names *names, struct identity **ret, struct error *error)
{
	gnutls_datum_t der = certificate_finish(certificate_new(names));

	return read_der(&der, ret, error);
}

static void
hex_of(const gnutls_datum_t *data, char *text)
{
	unsigned char digest[32];

	assert_int_equal(gnutls_hash_fast(GNUTLS_DIG_SHA256, data->data, data->size, digest), 0);
	for (size_t i = 0; i < sizeof(digest); i++)
		(void) sprintf(text + i * 2, "%02x", digest[i]);
}

static void
test_all_fields(void **state UNUSED)
{
	static const unsigned char ip4[] = {192, 0, 2, 1}, ip6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	static struct names names;
	gnutls_x509_crt_t certificate;
	gnutls_datum_t der, spki;
	gnutls_pubkey_t public_key;
	struct identity *identity;
	struct error error = {0};
	char digest[65];

	names.length = 0;
	names_add_text(&names, TAG_URI, "spiffe://example.org/web");
	names_add_text(&names, TAG_DNS, "web.example.org");
	names_add_text(&names, TAG_DNS, "*.example.org");
	names_add_text(&names, TAG_EMAIL, "Ann@EXAMPLE.org");
	names_add(&names, TAG_IP, ip4, sizeof(ip4));
	names_add(&names, TAG_IP, ip6, sizeof(ip6));
	names_add(&names, TAG_DIRECTORY, "\x30\x00", 2);
	certificate = certificate_new(&names);
	assert_int_equal(gnutls_x509_crt_set_dn(certificate, "CN=web\\, O=Fake,O=Real,C=DE", NULL), 0);
	assert_int_equal(gnutls_x509_crt_set_issuer_dn(certificate, "CN=ca", NULL), 0);
	der = certificate_finish(certificate);
	hex_of(&der, digest);
	if (identity_read(der.data, der.size, &identity, &error) < 0)
		fail_msg("%s", error.text);

	assert_string_equal(identity->certificate_sha256, digest);
	assert_string_equal(identity->subject, "CN=web\\2C O=Fake,O=Real,C=DE");
	assert_string_equal(identity->serial, "0abc01");
	assert_int_equal(identity->not_before, NOT_BEFORE);
	assert_int_equal(identity->not_after, NOT_AFTER);
	assert_string_equal(identity->san[IDENTITY_SAN_URI][0], "spiffe://example.org/web");
	assert_null(identity->san[IDENTITY_SAN_URI][1]);
	assert_string_equal(identity->san[IDENTITY_SAN_DNS][0], "web.example.org");
	assert_string_equal(identity->san[IDENTITY_SAN_DNS][1], "*.example.org");
	assert_null(identity->san[IDENTITY_SAN_DNS][2]);
	assert_string_equal(identity->san[IDENTITY_SAN_EMAIL][0], "Ann@example.org");
	assert_string_equal(identity->san[IDENTITY_SAN_IP][0], "192.0.2.1");
	assert_string_equal(identity->san[IDENTITY_SAN_IP][1], "2001:db8::1");
	assert_null(identity->san[IDENTITY_SAN_IP][2]);

	assert_int_equal(gnutls_pubkey_init(&public_key), 0);
	assert_int_equal(gnutls_pubkey_import_x509_raw(public_key, &der, GNUTLS_X509_FMT_DER, 0), 0);
	assert_int_equal(gnutls_pubkey_export2(public_key, GNUTLS_X509_FMT_DER, &spki), 0);
	hex_of(&spki, digest);
	assert_string_equal(identity->spki_sha256, digest);
	gnutls_pubkey_deinit(public_key);
	gnutls_free(spki.data);
	gnutls_free(der.data);
	identity_unref(&identity);
}

static void
test_chain_is_kept_as_fields(void **state UNUSED)
{
	gnutls_datum_t leaf = certificate_finish(certificate_new(NULL)), other, text;
	const struct identity_der chain[] = {{leaf.data, leaf.size}, {"not looked at", 13}};
	struct identity *identity = NULL;
	struct error error = {0};

	if (identity_read_chain(chain, 2, &identity, &error) < 0)
		fail_msg("%s", error.text);
	const char *field = identity_client_cert(identity, 0);
	assert_ptr_equal(identity_client_cert(identity, 0), field);
	assert_int_equal(field[0], ':');
	assert_int_equal(field[strlen(field) - 1], ':');
	text = (gnutls_datum_t){(unsigned char *) field + 1, (unsigned) strlen(field) - 2};
	assert_int_equal(gnutls_base64_decode2(&text, &other), 0);
	assert_int_equal(other.size, leaf.size);
	assert_memory_equal(other.data, leaf.data, leaf.size);
	assert_string_equal(identity_client_cert(identity, 1), ":bm90IGxvb2tlZCBhdA==:");
	assert_null(identity_client_cert(identity, 2));
	gnutls_free(other.data);
	identity_unref(&identity);
	/* of a leaf alone nothing is kept */
	assert_int_equal(identity_read(leaf.data, leaf.size, &identity, &error), 0);
	assert_null(identity_client_cert(identity, 0));
	assert_null(identity->purposes[0]);
	identity_unref(&identity);
	gnutls_free(leaf.data);
}

static void
test_issuer(void **state UNUSED)
{
	/* Signed by a certificate of another name, so that both names differ. */
	gnutls_x509_crt_t ca = certificate_new(NULL), certificate = certificate_new(NULL);
	struct identity *identity = NULL;
	gnutls_datum_t der;

	assert_int_equal(gnutls_x509_crt_set_dn(ca, "CN=The CA,O=X", NULL), 0);
	assert_int_equal(gnutls_x509_crt_set_dn(certificate, "CN=leaf", NULL), 0);
	assert_int_equal(gnutls_x509_crt_sign2(certificate, ca, key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_DER, &der), 0);
	gnutls_x509_crt_deinit(ca);
	gnutls_x509_crt_deinit(certificate);
	assert_int_equal(read_der(&der, &identity, NULL), 0);
	assert_string_equal(identity->subject, "CN=leaf");
	assert_string_equal(identity->issuer, "CN=The CA,O=X");
	identity_unref(&identity);
}

static void
test_without_subject_and_names(void **state UNUSED)
{
	struct identity *identity = NULL, *more;
	struct error error = {0};

	if (read_names(NULL, &identity, &error) < 0)
		fail_msg("%s", error.text);
	assert_string_equal(identity->subject, "");
	for (size_t kind = 0; kind < IDENTITY_SAN_COUNT; kind++) {
		assert_non_null(identity->san[kind]);
		assert_null(identity->san[kind][0]);
	}
	more = identity_ref(identity);
	identity_unref(&identity);
	assert_null(identity);
	assert_string_equal(more->subject, "");
	identity_unref(&more);
	identity_unref(&more);
	identity_unref(NULL);
}

static const struct {
	unsigned char tag;
	const char *data;
	size_t length;
	const char *words;
} bad_names[] = {
	{TAG_DNS, "good.org\0.evil.org", 18, "NUL, control or malformed"},
	{TAG_DNS, "good.org\0", 9, "NUL, control or malformed"},
	{TAG_DNS, "\0", 1, "NUL, control or malformed"},
	{TAG_URI, "spiffe://a/b\nc", 14, "NUL, control or malformed"},
	{TAG_URI, "spiffe://a/\x1b[2J", 15, "NUL, control or malformed"},
	{TAG_EMAIL, "a\x7f@b", 4, "NUL, control or malformed"},
	{TAG_EMAIL, "a@\xff", 3, "NUL, control or malformed"},
	{TAG_DNS, "\xc3\xa4.org", 6, "beyond ASCII"},
	{TAG_IP, "\1\2\3", 3, "4 or 16"},
	{TAG_IP, "\1\2\3\4\5\6\7\10", 8, "4 or 16"},
};

static void
test_names_that_would_fool_are_refused(void **state UNUSED)
{
	static struct names names;

	for (size_t i = 0; i < ARRAY_LENGTH(bad_names); i++) {
		struct identity *identity = (void *) 1;
		struct error error = {0};

		/* behind a good one, so that the whole list must be looked at */
		names.length = 0;
		names_add_text(&names, TAG_DNS, "good.org");
		names_add(&names, bad_names[i].tag, bad_names[i].data, bad_names[i].length);
		if (read_names(&names, &identity, &error) != -EBADMSG)
			fail_msg("row %zu was taken", i);
		assert_ptr_equal(identity, (void *) 1);
		assert_int_equal(error.code, -EBADMSG);
		if (!strstr(error.text, bad_names[i].words))
			fail_msg("row %zu: %s", i, error.text);
	}
}

/* GnuTLS writes what it finds odd in hexadecimal ("#13..."); whatever it does, no such byte may get through. */
static void
test_subjects_that_would_fool(void **state UNUSED)
{
	static const struct {
		const char *name;
		unsigned length;
	} subjects[] = {{"a\0b", 3}, {"a\nb", 3}, {"a\x1b[2J", 5}, {"a\xc2\x9b", 3}};

	for (size_t i = 0; i < ARRAY_LENGTH(subjects); i++) {
		gnutls_x509_crt_t certificate = certificate_new(NULL);
		struct identity *identity = NULL;
		gnutls_datum_t der;
		int r;

		assert_int_equal(gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0,
							       subjects[i].name, subjects[i].length),
				 0);
		der = certificate_finish(certificate);
		r = read_der(&der, &identity, NULL);
		if (r < 0) {
			assert_int_equal(r, -EBADMSG);
			continue;
		}
		assert_int_equal(error_clean_span(identity->subject), strlen(identity->subject));
		assert_true(strncmp(identity->subject, "CN=", 3) == 0);
		assert_true(strlen(identity->subject) > 4); /* not cut at the NUL */
		identity_unref(&identity);
	}
}

static void
test_long_chains_of_names(void **state UNUSED)
{
	static struct names names;
	struct identity *identity = NULL;
	struct error error = {0};
	char text[64];

	names.length = 0;
	for (int i = 0; i < 64; i++) {
		(void) snprintf(text, sizeof(text), "host%d.example.org", i);
		names_add_text(&names, TAG_DNS, text);
		(void) snprintf(text, sizeof(text), "spiffe://example.org/%d", i);
		names_add_text(&names, TAG_URI, text);
	}
	assert_int_equal(read_names(&names, &identity, &error), 0);
	assert_string_equal(identity->san[IDENTITY_SAN_DNS][63], "host63.example.org");
	assert_null(identity->san[IDENTITY_SAN_DNS][64]);
	assert_string_equal(identity->san[IDENTITY_SAN_URI][63], "spiffe://example.org/63");
	identity_unref(&identity);
	names_add_text(&names, TAG_URI, "spiffe://example.org/64");
	assert_int_equal(read_names(&names, &identity, &error), -EBADMSG);
	assert_non_null(strstr(error.text, "more than 64"));
	assert_null(identity);
}

static void
test_long_names(void **state UNUSED)
{
	static struct names names;
	struct identity *identity = NULL;
	char uri[2050];

	memset(uri, 'a', sizeof(uri));
	memcpy(uri, "spiffe://", 9);
	names.length = 0;
	names_add(&names, TAG_URI, uri, 2048);
	assert_int_equal(read_names(&names, &identity, NULL), 0);
	assert_int_equal(strlen(identity->san[IDENTITY_SAN_URI][0]), 2048);
	identity_unref(&identity);
	names.length = 0;
	names_add(&names, TAG_URI, uri, 2049);
	assert_int_equal(read_names(&names, &identity, NULL), -EBADMSG);
}

/* One program looks at the first list, the other at the second: refused. */
static void
test_two_lists_of_names(void **state UNUSED)
{
	static const unsigned char issuer_names[] = {0x55, 0x1d, 0x12};
	static struct names names;
	gnutls_x509_crt_t certificate;
	struct identity *identity = NULL;
	gnutls_datum_t der;
	unsigned char *at;

	names.length = 0;
	names_add_text(&names, TAG_DNS, "a.org");
	certificate = certificate_new(&names);
	assert_int_equal(gnutls_x509_crt_set_extension_by_oid(certificate, "2.5.29.18",
							      "\x30\x07\x82\x05"
							      "b.org",
							      9, 0),
			 0);
	der = certificate_finish(certificate);
	at = memmem(der.data, der.size, issuer_names, sizeof(issuer_names));
	assert_non_null(at);
	assert_int_equal(identity_read(der.data, der.size, &identity, NULL), 0);
	identity_unref(&identity);
	at[2] = 0x11; /* now a second 2.5.29.17; the signature is not looked at here */
	assert_int_equal(read_der(&der, &identity, NULL), -EBADMSG);
	assert_null(identity);
}

static void
test_what_is_no_certificate(void **state UNUSED)
{
	static struct names names;
	struct identity *identity = NULL;
	gnutls_datum_t der;

	assert_int_equal(identity_read("", 0, &identity, NULL), -EBADMSG);
	assert_int_equal(identity_read("x", 1, &identity, NULL), -EBADMSG);
	names.length = 0;
	names_add_text(&names, TAG_DNS, "a.org");
	der = certificate_finish(certificate_new(&names));
	for (unsigned length = 0; length < der.size; length++)
		assert_int_equal(identity_read(der.data, length, &identity, NULL), -EBADMSG);
	assert_null(identity);
	gnutls_free(der.data);
}

/* The names are whole, the list around them is not. */
static void
test_broken_list_of_names(void **state UNUSED)
{
	gnutls_x509_crt_t certificate = certificate_new(NULL);
	struct identity *identity = NULL;
	gnutls_datum_t der;

	assert_int_equal(gnutls_x509_crt_set_extension_by_oid(certificate, "2.5.29.17",
							      "\x30\x20\x82\x05"
							      "b.org",
							      9, 0),
			 0);
	der = certificate_finish(certificate);
	assert_int_equal(read_der(&der, &identity, NULL), -EBADMSG);
	assert_null(identity);
}

static void
test_canonical_names(void **state UNUSED)
{
	static const struct {
		const char *text, *canonical;
	} names[] = {
		{"", ""},
		{"CN=a,O=b", "CN=a,O=b"},
		{"CN=a\\,b\\+c", "CN=a\\2Cb\\2Bc"},
		{"CN=a\\2cb", "CN=a\\2Cb"},
		{"CN=\\#a\\\\", "CN=\\23a\\5C"},
		{"CN=\\ a", "CN=\\20a"},
	};
	char email[] = "A@b@C.Org", bare[] = "ABC";

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		CLEANUP_FREE char *canonical = NULL;

		assert_int_equal(name_canonical_dn(names[i].text, &canonical), 0);
		assert_string_equal(canonical, names[i].canonical);
	}
	assert_int_equal(name_canonical_dn("CN=a\\", &(char *){NULL}), -EINVAL);
	name_fold_email(email);
	assert_string_equal(email, "A@b@c.org");
	name_fold_email(bare);
	assert_string_equal(bare, "ABC");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_fields),
		cmocka_unit_test(test_chain_is_kept_as_fields),
		cmocka_unit_test(test_issuer),
		cmocka_unit_test(test_without_subject_and_names),
		cmocka_unit_test(test_names_that_would_fool_are_refused),
		cmocka_unit_test(test_subjects_that_would_fool),
		cmocka_unit_test(test_long_chains_of_names),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_two_lists_of_names),
		cmocka_unit_test(test_what_is_no_certificate),
		cmocka_unit_test(test_broken_list_of_names),
		cmocka_unit_test(test_canonical_names),
	};

	return cmocka_run_group_tests(tests, key_new, key_free);
}
