/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pki-fixture.h"

#include "cleanup.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { ENTRIES = 64, DAY = 86400 };

struct entry {
	char name[64];
	gnutls_x509_crt_t certificate;
	gnutls_x509_privkey_t key;
	gnutls_datum_t der;
};

struct pki {
	char folder[64];
	struct entry entries[ENTRIES];
	size_t count;
	char *paths[4 * ENTRIES];
	size_t path_count;
	unsigned serial;
};

static void
must(int result)
{
	if (result < 0)
		fail_msg("GnuTLS: %s", gnutls_strerror(result));
}

struct pki *
pki_new(void)
{
	struct pki *pki = calloc(1, sizeof(*pki));
	assert_non_null(pki);
	strcpy(pki->folder, "/tmp/mtlsd-pki-XXXXXX");
	assert_non_null(mkdtemp(pki->folder));
	return pki;
}

void
pki_free(struct pki **pkip)
{
	struct pki *pki = *pkip;
	*pkip = NULL;
	for (size_t i = 0; i < pki->path_count; i++) {
		(void) unlink(pki->paths[i]);
		free(pki->paths[i]);
	}
	for (size_t i = 0; i < pki->count; i++) {
		gnutls_x509_crt_deinit(pki->entries[i].certificate);
		gnutls_x509_privkey_deinit(pki->entries[i].key);
		gnutls_free(pki->entries[i].der.data);
	}
	(void) rmdir(pki->folder);
	free(pki);
}

const char *
pki_path(struct pki *pki, const char *file)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", pki->folder, file);
	for (size_t i = 0; i < pki->path_count; i++)
		if (strcmp(pki->paths[i], path) == 0)
			return pki->paths[i];
	assert_true(pki->path_count < ARRAY_LENGTH(pki->paths));
	pki->paths[pki->path_count] = strdup(path);
	return pki->paths[pki->path_count++];
}

void
pki_write(struct pki *pki, const char *file, const void *data, size_t size)
{
	FILE *out = fopen(pki_path(pki, file), "we");
	assert_non_null(out);
	assert_int_equal(fchmod(fileno(out), 0600), 0);
	assert_int_equal(fwrite(data, 1, size, out), size);
	assert_int_equal(fclose(out), 0);
}

static struct entry *
find(struct pki *pki, const char *name)
{
	for (size_t i = 0; i < pki->count; i++)
		if (strcmp(pki->entries[i].name, name) == 0)
			return &pki->entries[i];
	fail_msg("the fixture has no \"%s\"", name);
	return NULL;
}

const gnutls_datum_t *
pki_der(struct pki *pki, const char *name)
{
	return &find(pki, name)->der;
}

static struct entry *
add_entry(struct pki *pki, const char *name)
{
	struct entry *entry = &pki->entries[pki->count++];
	assert_true(pki->count < ENTRIES);
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	must(gnutls_x509_privkey_init(&entry->key));
	return entry;
}

/* All but what is special about it, and its signature. */
static void
describe(struct pki *pki, struct entry *entry, const char *name, int days)
{
	unsigned serial = htonl(++pki->serial);
	time_t now = time(NULL);
	must(gnutls_x509_crt_init(&entry->certificate));
	must(gnutls_x509_crt_set_version(entry->certificate, 3));
	must(gnutls_x509_crt_set_serial(entry->certificate, &serial, sizeof(serial)));
	must(gnutls_x509_crt_set_dn_by_oid(entry->certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name,
					   (unsigned) strlen(name)));
	must(gnutls_x509_crt_set_activation_time(entry->certificate, now - (days < 0 ? -days + 1 : 1) * DAY));
	must(gnutls_x509_crt_set_expiration_time(entry->certificate, now + days * DAY + DAY / 2));
	must(gnutls_x509_crt_set_key(entry->certificate, entry->key));
}

static struct entry *
begin(struct pki *pki, const char *name, const char *subject, gnutls_pk_algorithm_t pk, int days)
{
	struct entry *entry = add_entry(pki, name);
	must(gnutls_x509_privkey_generate(entry->key, pk,
					  pk == GNUTLS_PK_RSA     ? 2048
					  : pk == GNUTLS_PK_ECDSA ? GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1)
								  : 0,
					  0));
	describe(pki, entry, subject, days);
	return entry;
}

static void
finish(struct pki *pki, struct entry *entry, struct entry *issuer)
{
	char file[80];
	gnutls_datum_t pem = {0};
	unsigned char id[64];
	size_t size = sizeof(id);
	must(gnutls_x509_crt_get_subject_key_id(issuer->certificate, id, &size, NULL));
	must(gnutls_x509_crt_set_authority_key_id(entry->certificate, id, size));
	must(gnutls_x509_crt_sign2(entry->certificate, issuer->certificate, issuer->key, GNUTLS_DIG_SHA256, 0));
	must(gnutls_x509_crt_export2(entry->certificate, GNUTLS_X509_FMT_DER, &entry->der));
	must(gnutls_x509_crt_export2(entry->certificate, GNUTLS_X509_FMT_PEM, &pem));
	snprintf(file, sizeof(file), "%s.pem", entry->name);
	pki_write(pki, file, pem.data, pem.size);
	gnutls_free(pem.data);
	must(gnutls_x509_privkey_export2_pkcs8(entry->key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem));
	snprintf(file, sizeof(file), "%s.key", entry->name);
	pki_write(pki, file, pem.data, pem.size);
	gnutls_free(pem.data);
}

static void
make_authority(struct entry *entry)
{
	unsigned char id[64];
	size_t size = sizeof(id);
	must(gnutls_x509_crt_get_key_id(entry->certificate, 0, id, &size));
	must(gnutls_x509_crt_set_subject_key_id(entry->certificate, id, size));
	must(gnutls_x509_crt_set_basic_constraints(entry->certificate, 1, -1));
	must(gnutls_x509_crt_set_key_usage(entry->certificate, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN));
}

void
pki_authority(struct pki *pki, const char *name, const char *parent, int days)
{
	struct entry *entry = begin(pki, name, name, GNUTLS_PK_ECDSA, days);
	make_authority(entry);
	finish(pki, entry, parent ? find(pki, parent) : entry);
}

void
pki_successor(struct pki *pki, const char *name, const char *of, int days)
{
	struct entry *entry = begin(pki, name, of, GNUTLS_PK_ECDSA, days);
	make_authority(entry);
	finish(pki, entry, entry);
}

void
pki_twin(struct pki *pki, const char *name, const char *of, int days)
{
	struct entry *entry = add_entry(pki, name);
	must(gnutls_x509_privkey_cpy(entry->key, find(pki, of)->key));
	describe(pki, entry, of, days);
	make_authority(entry);
	finish(pki, entry, entry);
}

void
pki_leaf(struct pki *pki, const char *name, const char *issuer, gnutls_pk_algorithm_t pk, const char *names,
	 enum pki_purpose purpose, int days)
{
	struct entry *entry = begin(pki, name, name, pk, days);
	char text[512], *save = NULL;
	snprintf(text, sizeof(text), "%s", names);
	for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		must(gnutls_x509_crt_set_subject_alt_name(entry->certificate, GNUTLS_SAN_DNSNAME, word,
							  (unsigned) strlen(word), GNUTLS_FSAN_APPEND));
	must(gnutls_x509_crt_set_key_usage(entry->certificate, GNUTLS_KEY_DIGITAL_SIGNATURE));
	must(gnutls_x509_crt_set_key_purpose_oid(
		entry->certificate, purpose == PKI_SERVER ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT, 0));
	finish(pki, entry, find(pki, issuer));
}

void
pki_crl(struct pki *pki, const char *file, const char *issuer, const char *revoked, int days)
{
	struct entry *signer = find(pki, issuer);
	gnutls_x509_crl_t crl;
	gnutls_datum_t pem = {0};
	time_t now = time(NULL);
	must(gnutls_x509_crl_init(&crl));
	must(gnutls_x509_crl_set_version(crl, 2));
	must(gnutls_x509_crl_set_this_update(crl, now - (days < 0 ? -days + 1 : 1) * DAY));
	must(gnutls_x509_crl_set_next_update(crl, now + days * DAY));
	if (revoked)
		must(gnutls_x509_crl_set_crt(crl, find(pki, revoked)->certificate, now - DAY));
	must(gnutls_x509_crl_sign2(crl, signer->certificate, signer->key, GNUTLS_DIG_SHA256, 0));
	must(gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &pem));
	pki_write(pki, file, pem.data, pem.size);
	gnutls_free(pem.data);
	gnutls_x509_crl_deinit(crl);
}
