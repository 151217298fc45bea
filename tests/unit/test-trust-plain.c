/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chains that are proved without GnuTLS's trees: it never says yes where GnuTLS says no, and means the same by it. */
#include "certificate.h"
#include "cleanup.h"
#include "pki-fixture.h"
#include "trust-internal.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { DAY = 86400 };

static struct pki *pki;

static int
start(void **state)
{
	(void) state;
	pki = pki_new();
	return 0;
}

static int
stop(void **state)
{
	(void) state;
	pki_free(&pki);
	return 0;
}

/* --- making ------------------------------------------------------------------------------------------------------ */

struct made {
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t certificate;
};

enum flaw {
	NONE,
	/* of a root */
	NO_AUTHORITY,
	NO_CERT_SIGN,
	NAME_CONSTRAINTS,
	PURPOSE,
	DEPTH_0,
	OVER,
	OTHER_KEY_ID,
	NO_KEY_ID,
	KEY_P384,
	KEY_RSA,
	/* of a leaf */
	AUTHORITY,
	NO_PURPOSE,
	SERVER_PURPOSE,
	ANY_PURPOSE,
	TWO_PURPOSES,
	NOT_YET,
	EXPIRED,
	CRITICAL_UNKNOWN,
	UNKNOWN,
	SHA1,
	WEAK_KEY,
	SAME_NAME,
};

static void
set_purposes(gnutls_x509_crt_t certificate, bool leaf, enum flaw flaw)
{
	if (flaw == SERVER_PURPOSE || flaw == TWO_PURPOSES || flaw == PURPOSE)
		gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
	if (flaw == ANY_PURPOSE)
		gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_ANY, 0);
	else if (leaf && flaw != SERVER_PURPOSE && flaw != NO_PURPOSE)
		gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_CLIENT, 0);
}

static void
set_extensions(gnutls_x509_crt_t certificate, bool leaf, enum flaw flaw)
{
	static const unsigned char null[] = {5, 0}, other[] = {1, 2, 3};
	unsigned char id[64];
	size_t size = sizeof(id);
	bool authority = leaf ? flaw == AUTHORITY : flaw != NO_AUTHORITY;
	gnutls_x509_crt_set_basic_constraints(certificate, authority, flaw == DEPTH_0 ? 0 : -1);
	gnutls_x509_crt_set_key_usage(certificate, leaf || flaw == NO_CERT_SIGN ? GNUTLS_KEY_DIGITAL_SIGNATURE
										: GNUTLS_KEY_KEY_CERT_SIGN);
	set_purposes(certificate, leaf, flaw);
	if (!leaf && flaw != NO_KEY_ID) {
		gnutls_x509_crt_get_key_id(certificate, 0, id, &size);
		gnutls_x509_crt_set_subject_key_id(certificate, id, size);
	}
	if (flaw == NAME_CONSTRAINTS) {
		gnutls_x509_name_constraints_t constraints;
		const gnutls_datum_t name = {(unsigned char *) (uintptr_t) "example.org", 11};
		gnutls_x509_name_constraints_init(&constraints);
		gnutls_x509_name_constraints_add_permitted(constraints, GNUTLS_SAN_DNSNAME, &name);
		gnutls_x509_crt_set_name_constraints(certificate, constraints, 1);
		gnutls_x509_name_constraints_deinit(constraints);
	}
	if (flaw == CRITICAL_UNKNOWN || flaw == UNKNOWN)
		gnutls_x509_crt_set_extension_by_oid(certificate, "1.2.3.4", null, sizeof(null),
						     flaw == CRITICAL_UNKNOWN);
	if (flaw == OTHER_KEY_ID && leaf)
		gnutls_x509_crt_set_authority_key_id(certificate, other, sizeof(other));
	if (leaf)
		gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, "a.example.com", 13, 0);
}

static void
make_key(gnutls_x509_privkey_t *ret, enum flaw flaw)
{
	gnutls_ecc_curve_t curve = flaw == KEY_P384   ? GNUTLS_ECC_CURVE_SECP384R1
				   : flaw == WEAK_KEY ? GNUTLS_ECC_CURVE_SECP192R1
						      : GNUTLS_ECC_CURVE_SECP256R1;
	bool rsa = flaw == KEY_RSA;
	gnutls_x509_privkey_init(ret);
	assert_int_equal(gnutls_x509_privkey_generate(*ret, rsa ? GNUTLS_PK_RSA : GNUTLS_PK_ECDSA,
						      rsa ? 2048 : (unsigned) GNUTLS_CURVE_TO_BITS(curve), 0),
			 0);
}

/* issuer: NULL makes a root. */
static struct made
make(const char *name, const struct made *issuer, enum flaw flaw)
{
	static unsigned char serial[] = {0, 0x80, 1};
	struct made made;
	gnutls_datum_t der = {0};
	time_t now = time(NULL);
	bool leaf = issuer != NULL;
	make_key(&made.key, flaw);
	gnutls_x509_crt_init(&made.certificate);
	gnutls_x509_crt_set_version(made.certificate, 3);
	serial[2]++;
	gnutls_x509_crt_set_serial(made.certificate, serial, sizeof(serial));
	gnutls_x509_crt_set_activation_time(made.certificate, now + (flaw == NOT_YET ? DAY : -50 * DAY));
	gnutls_x509_crt_set_expiration_time(made.certificate,
					    now + (flaw == EXPIRED || flaw == OVER ? -DAY : 50 * DAY));
	gnutls_x509_crt_set_dn(made.certificate, flaw == SAME_NAME ? "CN=ca" : name, NULL);
	gnutls_x509_crt_set_key(made.certificate, made.key);
	set_extensions(made.certificate, leaf, flaw);
	const struct made *signer = leaf ? issuer : &made;
	assert_int_equal(gnutls_x509_crt_sign2(made.certificate, signer->certificate, signer->key,
					       flaw == SHA1 ? GNUTLS_DIG_SHA1 : GNUTLS_DIG_SHA256, 0),
			 0);
	gnutls_x509_crt_export2(made.certificate, GNUTLS_X509_FMT_DER, &der);
	gnutls_x509_crt_deinit(made.certificate);
	gnutls_x509_crt_init(&made.certificate);
	assert_int_equal(gnutls_x509_crt_import(made.certificate, &der, GNUTLS_X509_FMT_DER), 0);
	gnutls_free(der.data);
	return made;
}

static void
made_clear(struct made *made)
{
	gnutls_x509_crt_deinit(made->certificate);
	gnutls_x509_privkey_deinit(made->key);
}

static void
append(struct made *made, FILE *to)
{
	gnutls_datum_t pem;
	gnutls_x509_crt_export2(made->certificate, GNUTLS_X509_FMT_PEM, &pem);
	assert_int_equal(fwrite(pem.data, 1, pem.size, to), pem.size);
	gnutls_free(pem.data);
}

/* --- judging ----------------------------------------------------------------------------------------------------- */

/* The same authorities, with the short way and without. */
struct pair {
	struct trust *plain, *any;
};

static struct pair
load(struct made *first, struct made *second, const char *crl)
{
	struct config_tls tls = {.name = (char *) "main",
				 .client_ca = (char *) pki_path(pki, "both.pem"),
				 .client_crl = (char *) crl,
				 .crl = crl ? CONFIG_CRL_REQUIRED : CONFIG_CRL_OFF};
	struct pair pair = {NULL};
	struct error error = {0};
	FILE *out = fopen(tls.client_ca, "we");
	assert_non_null(out);
	append(first, out);
	if (second)
		append(second, out);
	assert_int_equal(fclose(out), 0);
	if (trust_load(&tls, NULL, &pair.plain, &error) < 0)
		return pair; /* no authority */
	assert_int_equal(trust_load(&tls, NULL, &pair.any, &error), 0);
	trust_plain_free(&pair.any->plain);
	assert_int_equal(trust_plain_new(NULL, 0, &pair.any->plain), 0);
	return pair;
}

static void
pair_clear(struct pair *pair)
{
	trust_unref(&pair->plain);
	trust_unref(&pair->any);
}

static void
same_chain(const struct chain *a, const struct chain *b)
{
	assert_int_equal(a->not_before, b->not_before);
	assert_int_equal(a->not_after, b->not_after);
	assert_int_equal(a->fresh_until, b->fresh_until);
	assert_int_equal(a->link_count, b->link_count);
	for (size_t i = 0; i < a->link_count; i++) {
		assert_int_equal(a->links[i].serial_length, b->links[i].serial_length);
		assert_memory_equal(a->links[i].serial, b->links[i].serial, a->links[i].serial_length);
		assert_int_equal(a->links[i].issuer.size, b->links[i].issuer.size);
		assert_memory_equal(a->links[i].issuer.data, b->links[i].issuer.data, a->links[i].issuer.size);
	}
}

static bool
is_proved_plainly(const struct trust *trust, const struct chain_bytes *sent)
{
	struct chain_link links[CHAIN_SENT];
	struct chain chain = {.links = links};
	return trust_plain_prove(trust->plain, sent, time(NULL), &chain);
}

/* Both verdicts, which must be one. */
static enum tls_refusal
judge(const struct pair *pair, const void *der, size_t size, bool *ret_plainly)
{
	struct chain_bytes sent = {der, size};
	CLEANUP(chain_unref) struct chain *a = NULL, *b = NULL;
	time_t now = time(NULL);
	enum tls_refusal with = trust_check(pair->plain, &sent, 1, now, &a),
			 without = trust_check(pair->any, &sent, 1, now, &b);
	assert_int_equal(with, without);
	if (with == TLS_ACCEPTED)
		same_chain(a, b);
	*ret_plainly = is_proved_plainly(pair->plain, &sent);
	return with;
}

static enum tls_refusal
judge_made(const struct pair *pair, const struct made *leaf, bool *ret_plainly)
{
	gnutls_datum_t der;
	assert_int_equal(gnutls_x509_crt_export2(leaf->certificate, GNUTLS_X509_FMT_DER, &der), 0);
	enum tls_refusal refusal = judge(pair, der.data, der.size, ret_plainly);
	gnutls_free(der.data);
	return refusal;
}

/* --- kinds ------------------------------------------------------------------------------------------------------- */

static void
test_kinds(void **state)
{
	static const struct {
		enum flaw root, leaf;
		bool plainly;
		enum tls_refusal refusal;
	} rows[] = {
		{NONE, NONE, true, TLS_ACCEPTED},
		{DEPTH_0, NONE, true, TLS_ACCEPTED},
		{NO_KEY_ID, NONE, true, TLS_ACCEPTED},
		{KEY_P384, NONE, true, TLS_ACCEPTED},
		{KEY_RSA, NONE, true, TLS_ACCEPTED},
		{NONE, KEY_P384, true, TLS_ACCEPTED},
		{NONE, KEY_RSA, true, TLS_ACCEPTED},
		{NONE, NO_PURPOSE, true, TLS_ACCEPTED},
		{NONE, TWO_PURPOSES, true, TLS_ACCEPTED},
		{NONE, UNKNOWN, true, TLS_ACCEPTED},
		{NONE, ANY_PURPOSE, false, TLS_ACCEPTED},
		{NO_CERT_SIGN, NONE, false, TLS_BAD_CERTIFICATE},
		{NAME_CONSTRAINTS, NONE, false, TLS_BAD_CERTIFICATE},
		{PURPOSE, NONE, false, TLS_ACCEPTED},
		{OVER, NONE, false, TLS_EXPIRED},
		{NONE, AUTHORITY, false, TLS_ACCEPTED},
		{NONE, SERVER_PURPOSE, false, TLS_BAD_PURPOSE},
		{NONE, NOT_YET, false, TLS_NOT_YET_VALID},
		{NONE, EXPIRED, false, TLS_EXPIRED},
		{NONE, CRITICAL_UNKNOWN, false, TLS_BAD_CERTIFICATE},
		{NONE, SHA1, false, TLS_BAD_CERTIFICATE},
		{NONE, WEAK_KEY, false, TLS_BAD_CERTIFICATE},
		{NONE, OTHER_KEY_ID, false, TLS_UNKNOWN_CA},
		{NONE, SAME_NAME, false, TLS_ACCEPTED},
	};
	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct made root = make("CN=ca", NULL, rows[i].root), leaf = make("CN=leaf", &root, rows[i].leaf),
			    other = make("CN=ca", NULL, rows[i].root);
		struct pair pair = load(&root, NULL, NULL), wrong = load(&other, NULL, NULL);
		bool plainly;
		enum tls_refusal refusal = judge_made(&pair, &leaf, &plainly);
		if (refusal != rows[i].refusal || plainly != rows[i].plainly)
			fail_msg("row %zu: %s, %s", i, tls_refusal_name(refusal), plainly ? "plainly" : "by GnuTLS");
		/* A root of the same name that has not signed it. */
		assert_int_not_equal(judge_made(&wrong, &leaf, &plainly), TLS_ACCEPTED);
		assert_false(plainly);
		pair_clear(&wrong);
		pair_clear(&pair);
		made_clear(&other);
		made_clear(&leaf);
		made_clear(&root);
	}
}

static void
test_several_authorities(void **state)
{
	struct made first = make("CN=ca", NULL, NONE), second = make("CN=ca", NULL, NONE),
		    other = make("CN=other", NULL, NONE), middle = make("CN=middle", &first, AUTHORITY),
		    leaf = make("CN=leaf", &first, NONE), deep = make("CN=deep", &middle, NONE);
	bool plainly;
	(void) state;
	struct pair pair = load(&other, &first, NULL);
	assert_int_equal(judge_made(&pair, &leaf, &plainly), TLS_ACCEPTED);
	assert_true(plainly);
	pair_clear(&pair);
	/* An old key and a new one. */
	pair = load(&second, &first, NULL);
	assert_int_equal(judge_made(&pair, &leaf, &plainly), TLS_ACCEPTED);
	assert_false(plainly);
	pair_clear(&pair);
	/* What stands below another is not where the path ends. */
	pair = load(&first, &middle, NULL);
	(void) judge_made(&pair, &deep, &plainly);
	assert_false(plainly);
	pair_clear(&pair);
	made_clear(&deep);
	made_clear(&leaf);
	made_clear(&middle);
	made_clear(&other);
	made_clear(&second);
	made_clear(&first);
}

static void
test_lists(void **state)
{
	static const struct {
		const char *crl, *leaf;
		enum tls_refusal refusal;
	} rows[] = {
		{"leaver.crl", "good", TLS_ACCEPTED}, {"leaver.crl", "leaver", TLS_REVOKED},
		{"stale.crl", "good", TLS_CRL_STALE}, {"stale.crl", "leaver", TLS_REVOKED},
		{"other.crl", "good", TLS_CRL_STALE},
	};
	(void) state;
	pki_authority(pki, "ca", NULL, 300);
	pki_authority(pki, "other", NULL, 300);
	pki_leaf(pki, "good", "ca", GNUTLS_PK_ECDSA, "good", PKI_CLIENT, 50);
	pki_leaf(pki, "leaver", "ca", GNUTLS_PK_ECDSA, "leaver", PKI_CLIENT, 50);
	pki_crl(pki, "leaver.crl", "ca", "leaver", 9);
	pki_crl(pki, "stale.crl", "ca", "leaver", -2);
	pki_crl(pki, "other.crl", "other", NULL, 9);
	struct made root;
	gnutls_x509_privkey_init(&root.key);
	gnutls_x509_crt_init(&root.certificate);
	assert_int_equal(gnutls_x509_crt_import(root.certificate, pki_der(pki, "ca"), GNUTLS_X509_FMT_DER), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		const gnutls_datum_t *der = pki_der(pki, rows[i].leaf);
		struct pair pair = load(&root, NULL, pki_path(pki, rows[i].crl));
		bool plainly;
		assert_int_equal(judge(&pair, der->data, der->size, &plainly), rows[i].refusal);
		assert_true(plainly); /* that is before lists are asked */
		pair_clear(&pair);
	}
	made_clear(&root);
}

/* --- changes ----------------------------------------------------------------------------------------------------- */

static size_t
write_head(unsigned char *to, unsigned char tag, size_t length)
{
	to[0] = tag;
	if (length < 128) {
		to[1] = (unsigned char) length;
		return 2;
	}
	to[1] = 0x82;
	to[2] = (unsigned char) (length >> 8);
	to[3] = (unsigned char) length;
	return 4;
}

/* A certificate of these bytes, properly signed. */
static size_t
sign(gnutls_privkey_t key, const unsigned char *bytes, size_t size, unsigned char *ret)
{
	static const unsigned char algorithm[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
						  0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
	const gnutls_datum_t data = {(unsigned char *) (uintptr_t) bytes, (unsigned) size};
	gnutls_datum_t signature = {0};
	assert_int_equal(gnutls_privkey_sign_data2(key, GNUTLS_SIGN_ECDSA_SHA256, 0, &data, &signature), 0);
	size_t used = write_head(ret, 0x30, size + sizeof(algorithm) + 3 + signature.size);
	memcpy(ret + used, bytes, size);
	used += size;
	memcpy(ret + used, algorithm, sizeof(algorithm));
	used += sizeof(algorithm);
	used += write_head(ret + used, 0x03, signature.size + 1);
	ret[used++] = 0;
	memcpy(ret + used, signature.data, signature.size);
	used += signature.size;
	gnutls_free(signature.data);
	return used;
}

/* What an authority that makes mistakes might sign: every byte of a good certificate changed, in several ways. */
static void
test_changes_everywhere(void **state)
{
	static const unsigned char values[] = {0x00, 0x01, 0x03, 0x05, 0x0c, 0x13, 0x30, 0x31, 0x80, 0x86, 0xa0, 0xff};
	struct made root = make("CN=ca", NULL, NONE), leaf = make("CN=leaf,O=Example,C=DE", &root, UNKNOWN);
	struct pair pair = load(&root, NULL, NULL);
	struct certificate parts;
	unsigned char bytes[2048], made[2048];
	gnutls_privkey_t key;
	gnutls_datum_t der;
	unsigned plain = 0, refused = 0;
	bool plainly;
	(void) state;
	gnutls_privkey_init(&key);
	assert_int_equal(gnutls_privkey_import_x509(key, root.key, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(leaf.certificate, GNUTLS_X509_FMT_DER, &der), 0);
	assert_true(certificate_read(der.data, der.size, &parts));
	size_t size = parts.signed_part.size;
	memcpy(bytes, parts.signed_part.data, size);
	assert_int_equal(judge(&pair, made, sign(key, bytes, size, made), &plainly), TLS_ACCEPTED);
	assert_true(plainly);
	for (size_t i = 0; i < size; i++) {
		unsigned char before = bytes[i];
		for (unsigned j = 0; j < 8 + ARRAY_LENGTH(values); j++) {
			bytes[i] = j < 8 ? (unsigned char) (before ^ 1 << j) : values[j - 8];
			refused += judge(&pair, made, sign(key, bytes, size, made), &plainly) != TLS_ACCEPTED;
			plain += plainly;
		}
		bytes[i] = before;
	}
	assert_true(plain > 500 && refused > 500);
	gnutls_free(der.data);
	gnutls_privkey_deinit(key);
	pair_clear(&pair);
	made_clear(&leaf);
	made_clear(&root);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_several_authorities),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_changes_everywhere),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
