/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "identity-internal.h"

#include "name.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/x509-ext.h>
#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
	SAN_MAX = 64,       /* of each kind */
	NAME_LENGTH = 2048, /* the longest SPIFFE ID; bounds what a pattern can cost */
	DN_LENGTH = 4096,
	DER_LENGTH = 1024 * 1024,
	DIGEST_LENGTH = 32,
	SERIAL_LENGTH = 64, /* RFC 5280 says 20; GnuTLS takes more */
	OID_LENGTH = 128,
};

static const char san_extension[] = "2.5.29.17";
static const char *const no_names[] = {NULL};

static void
record_free(struct identity_record *record)
{
	for (size_t kind = 0; kind < IDENTITY_LISTS; kind++) {
		for (size_t i = 0; i < record->counts[kind]; i++)
			free(record->names[kind][i]);
		free(record->names[kind]);
	}
	for (size_t i = 0; i < record->chain_count; i++) {
		free(record->chain[i].data);
		free(atomic_load_explicit(&record->encoded[i], memory_order_relaxed));
	}
	free(record->chain);
	free((void *) record->encoded);
	free((char *) record->identity.subject);
	free((char *) record->identity.issuer);
	free((char *) record->identity.serial);
	free((char *) record->identity.spki_sha256);
	free((char *) record->identity.certificate_sha256);
	free(record);
}

struct identity *
identity_ref(struct identity *identity)
{
	struct identity_record *record = CONTAINER_OF(identity, struct identity_record, identity);

	(void) atomic_fetch_add_explicit(&record->references, 1, memory_order_relaxed);
	return identity;
}

void
identity_unref(struct identity **identity)
{
	struct identity_record *record;

	if (!identity || !*identity)
		return;
	record = CONTAINER_OF(*identity, struct identity_record, identity);
	*identity = NULL;
	if (atomic_fetch_sub_explicit(&record->references, 1, memory_order_acq_rel) == 1)
		record_free(record);
}

int
identity_out_of_memory(struct error *error)
{
	return error_set(error, -ENOMEM, "out of memory while reading a certificate");
}

static int
library_error(struct error *error, const char *what, int code)
{
	if (code == GNUTLS_E_MEMORY_ERROR)
		return identity_out_of_memory(error);
	return error_set(error, -EBADMSG, "%s cannot be read (%s); have the certificate issued anew", what,
			 gnutls_strerror(code));
}

/* What bytes of a certificate must be to be taken for text: UTF-8 without NUL and control bytes, or plain ASCII where
 * RFC 5280 says IA5String. text has a NUL behind its length bytes. */
static int
text_check(const char *text, size_t length, bool is_ascii, const char *what, struct error *error)
{
	if (error_clean_span(text) != length) /* ends at a NUL too */
		return error_set(error, -EBADMSG, "%s holds NUL, control or malformed bytes; such names are refused",
				 what);
	for (size_t i = 0; is_ascii && i < length; i++)
		if ((unsigned char) text[i] >= 0x80)
			return error_set(error, -EBADMSG,
					 "%s holds bytes beyond ASCII, which RFC 5280 does not allow there", what);
	return 0;
}

static int
text_copy(const gnutls_datum_t *data, size_t length_max, bool is_ascii, const char *what, char **ret,
	  struct error *error)
{
	char *text;
	int r;

	if (data->size > length_max)
		return error_set(error, -EBADMSG, "%s has %u bytes; at most %zu are accepted", what, data->size,
				 length_max);
	text = malloc((size_t) data->size + 1);
	if (!text)
		return identity_out_of_memory(error);
	if (data->size > 0)
		memcpy(text, data->data, data->size);
	text[data->size] = '\0';
	r = text_check(text, data->size, is_ascii, what, error);
	if (r < 0)
		free(text);
	else
		*ret = text;
	return r;
}

int
identity_write_hex(const unsigned char *data, size_t length, const char **ret, struct error *error)
{
	static const char digits[] = "0123456789abcdef";
	char *text = malloc(length * 2 + 1);

	if (!text)
		return identity_out_of_memory(error);
	for (size_t i = 0; i < length; i++) {
		text[i * 2] = digits[data[i] >> 4];
		text[i * 2 + 1] = digits[data[i] & 15];
	}
	text[length * 2] = '\0';
	*ret = text;
	return 0;
}

int
identity_write_digest(const void *data, size_t length, const char *what, const char **ret, struct error *error)
{
	unsigned char digest[DIGEST_LENGTH];
	int r = gnutls_hash_fast(GNUTLS_DIG_SHA256, data, length, digest);

	return r < 0 ? library_error(error, what, r) : identity_write_hex(digest, sizeof(digest), ret, error);
}

/* r, datum: what GnuTLS said about a distinguished name. Takes the datum. */
static int
dn_copy(int r, gnutls_datum_t *datum, const char *what, const char **ret, struct error *error)
{
	char *text, *canonical;

	if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		datum->size = 0; /* RFC 5280 allows an empty one beside alternative names */
	else if (r < 0)
		return library_error(error, what, r);
	r = text_copy(datum, DN_LENGTH, false, what, &text, error);
	gnutls_free(datum->data);
	if (r < 0)
		return r;
	r = name_canonical_dn(text, &canonical);
	free(text);
	if (r == -ENOMEM)
		return identity_out_of_memory(error);
	if (r < 0)
		return error_set(error, -EBADMSG, "%s cannot be written as RFC 4514 says", what);
	*ret = canonical;
	return 0;
}

static int
names_read(gnutls_x509_crt_t certificate, struct identity *identity, struct error *error)
{
	gnutls_datum_t datum = {NULL, 0};
	int r;

	r = gnutls_x509_crt_get_dn3(certificate, &datum, 0);
	r = dn_copy(r, &datum, "the certificate's subject", &identity->subject, error);
	if (r < 0)
		return r;
	datum = (gnutls_datum_t){NULL, 0};
	r = gnutls_x509_crt_get_issuer_dn3(certificate, &datum, 0);
	return dn_copy(r, &datum, "the certificate's issuer", &identity->issuer, error);
}

static int
digests_read(const gnutls_datum_t *der, gnutls_x509_crt_t certificate, struct identity *identity, struct error *error)
{
	unsigned char digest[DIGEST_LENGTH], serial[SERIAL_LENGTH];
	size_t size = sizeof(serial);
	int r;

	r = gnutls_x509_crt_get_serial(certificate, serial, &size);
	if (r < 0)
		return library_error(error, "the certificate's serial number", r);
	r = identity_write_hex(serial, size, &identity->serial, error);
	if (r < 0)
		return r;
	size = sizeof(digest);
	r = gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, digest, &size);
	if (r < 0)
		return library_error(error, "the certificate's public key", r);
	r = identity_write_hex(digest, size, &identity->spki_sha256, error);
	if (r < 0)
		return r;
	return identity_write_digest(der->data, der->size, "the certificate's fingerprint",
				     &identity->certificate_sha256, error);
}

static int
validity_read(gnutls_x509_crt_t certificate, struct identity *identity, struct error *error)
{
	identity->not_before = gnutls_x509_crt_get_activation_time(certificate);
	identity->not_after = gnutls_x509_crt_get_expiration_time(certificate);
	if (identity->not_before == (time_t) -1 || identity->not_after == (time_t) -1)
		return error_set(error, -EBADMSG, "the certificate's validity cannot be read");
	return 0;
}

/* Takes the text. Grows by one: most certificates have a name or two, and every connection keeps them. */
static int
list_add(struct identity_record *record, size_t list, char *text, struct error *error)
{
	size_t count = record->counts[list];
	char **names;

	if (count == SAN_MAX) {
		free(text);
		return error_set(error, -EBADMSG, "the certificate has more than %d %s", SAN_MAX,
				 list == IDENTITY_PURPOSES ? "key purposes" : "alternative names of one kind");
	}
	names = reallocarray(record->names[list], count + 2, sizeof(*names));
	if (!names) {
		free(text);
		return identity_out_of_memory(error);
	}
	names[count] = text;
	names[count + 1] = NULL;
	record->names[list] = names;
	record->counts[list]++;
	if (list == IDENTITY_PURPOSES)
		record->identity.purposes = (const char *const *) names;
	else
		record->identity.san[list] = (const char *const *) names;
	return 0;
}

static int
san_text_read(struct identity_record *record, enum identity_san kind, const gnutls_datum_t *name, struct error *error)
{
	char *text;
	int r;

	r = text_copy(name, NAME_LENGTH, true, "an alternative name of the certificate", &text, error);
	if (r < 0)
		return r;
	if (kind == IDENTITY_SAN_EMAIL)
		name_fold_email(text);
	return list_add(record, kind, text, error);
}

static int
san_address_read(struct identity_record *record, const gnutls_datum_t *name, struct error *error)
{
	int family = name->size == 4 ? AF_INET : AF_INET6;
	char text[INET6_ADDRSTRLEN], *copy;

	if (name->size != 4 && name->size != 16)
		return error_set(error, -EBADMSG, "an address in the certificate has %u bytes; 4 or 16 are addresses",
				 name->size);
	if (!inet_ntop(family, name->data, text, sizeof(text)))
		return error_set(error, -EBADMSG, "an address in the certificate cannot be written");
	copy = strdup(text);
	return copy ? list_add(record, IDENTITY_SAN_IP, copy, error) : identity_out_of_memory(error);
}

int
identity_add_san(struct identity_record *record, unsigned type, const gnutls_datum_t *name, struct error *error)
{
	switch (type) {
	case GNUTLS_SAN_URI:
		return san_text_read(record, IDENTITY_SAN_URI, name, error);
	case GNUTLS_SAN_DNSNAME:
		return san_text_read(record, IDENTITY_SAN_DNS, name, error);
	case GNUTLS_SAN_RFC822NAME:
		return san_text_read(record, IDENTITY_SAN_EMAIL, name, error);
	case GNUTLS_SAN_IPADDRESS:
		return san_address_read(record, name, error);
	default:
		return 0; /* directory and other names: no rule asks for them */
	}
}

static int
san_read_all(struct identity_record *record, gnutls_subject_alt_names_t names, struct error *error)
{
	gnutls_datum_t name, other;
	unsigned type;
	int r = 0;

	for (unsigned i = 0; r == 0; i++) {
		r = gnutls_subject_alt_names_get(names, i, &type, &name, &other);
		if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return 0;
		if (r < 0)
			return library_error(error, "an alternative name of the certificate", r);
		r = identity_add_san(record, type, &name, error);
	}
	return r;
}

static int
san_parse(struct identity_record *record, const gnutls_datum_t *extension, struct error *error)
{
	gnutls_subject_alt_names_t names;
	int r = gnutls_subject_alt_names_init(&names);

	if (r < 0)
		return library_error(error, "the certificate's alternative names", r);
	/* Parsed once: the look-up by index in the certificate would parse the extension again for every name. */
	r = gnutls_x509_ext_import_subject_alt_names(extension, names, 0);
	if (r < 0)
		r = library_error(error, "the certificate's alternative names", r);
	else
		r = san_read_all(record, names, error);
	gnutls_subject_alt_names_deinit(names);
	return r;
}

static int
san_read(struct identity_record *record, gnutls_x509_crt_t certificate, struct error *error)
{
	gnutls_datum_t extension = {NULL, 0};
	unsigned critical;
	int r;

	r = gnutls_x509_crt_get_extension_by_oid2(certificate, san_extension, 0, &extension, &critical);
	if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		return 0;
	if (r < 0)
		return library_error(error, "the certificate's alternative names", r);
	/* A second list cannot be there: GnuTLS refuses repeated extensions at import (RFC 5280, 4.2). */
	r = san_parse(record, &extension, error);
	gnutls_free(extension.data);
	return r;
}

int
identity_add_purpose(struct identity_record *record, const char *oid, struct error *error)
{
	char *copy = strdup(oid);

	return copy ? list_add(record, IDENTITY_PURPOSES, copy, error) : identity_out_of_memory(error);
}

static int
purposes_read(struct identity_record *record, gnutls_x509_crt_t certificate, struct error *error)
{
	for (unsigned i = 0;; i++) {
		char oid[OID_LENGTH];
		size_t size = sizeof(oid);
		unsigned critical;
		int r = gnutls_x509_crt_get_key_purpose_oid(certificate, i, oid, &size, &critical);

		if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return 0;
		if (r < 0)
			return library_error(error, "a key purpose of the certificate", r);
		r = identity_add_purpose(record, oid, error);
		if (r < 0)
			return r;
	}
}

static int
identity_fill(struct identity_record *record, const gnutls_datum_t *der, gnutls_x509_crt_t certificate,
	      struct error *error)
{
	int r;

	r = gnutls_x509_crt_import(certificate, der, GNUTLS_X509_FMT_DER);
	if (r < 0)
		return library_error(error, "the certificate", r);
	r = names_read(certificate, &record->identity, error);
	if (r == 0)
		r = digests_read(der, certificate, &record->identity, error);
	if (r == 0)
		r = validity_read(certificate, &record->identity, error);
	if (r == 0)
		r = san_read(record, certificate, error);
	if (r == 0)
		r = purposes_read(record, certificate, error);
	return r;
}

int
identity_read_any(struct identity_record *record, const void *der, size_t length, struct error *error)
{
	gnutls_datum_t datum = {(unsigned char *) der, (unsigned) length};
	gnutls_x509_crt_t certificate;
	int r;

	if (gnutls_x509_crt_init(&certificate) < 0)
		return identity_out_of_memory(error);
	r = identity_fill(record, &datum, certificate, error);
	gnutls_x509_crt_deinit(certificate);
	return r;
}

int
identity_read_by(identity_reader *reader, const void *der, size_t length, struct identity **ret, struct error *error)
{
	struct identity_record *record = calloc(1, sizeof(*record));
	int r;

	if (!record)
		return identity_out_of_memory(error);
	atomic_init(&record->references, 1);
	for (size_t kind = 0; kind < IDENTITY_SAN_COUNT; kind++)
		record->identity.san[kind] = no_names;
	record->identity.purposes = no_names;
	r = reader(record, der, length, error);
	if (r < 0) {
		record_free(record);
		return r;
	}
	*ret = &record->identity;
	return 0;
}

int
identity_read(const void *der, size_t length, struct identity **ret, struct error *error)
{
	int r;

	if (length > DER_LENGTH)
		return error_set(error, -EBADMSG, "the certificate has %zu bytes; at most %d are accepted", length,
				 DER_LENGTH);
	r = identity_read_by(identity_read_plain, der, length, ret, error);
	return r == -ENOTSUP ? identity_read_by(identity_read_any, der, length, ret, error) : r;
}

int
identity_read_pem(const char *pem, struct identity **ret, struct error *error)
{
	gnutls_datum_t text = {(unsigned char *) pem, (unsigned) strlen(pem)}, der = {NULL, 0};
	int r;

	r = gnutls_pem_base64_decode2("CERTIFICATE", &text, &der);
	if (r < 0)
		return error_set(error, -EBADMSG, "there is no certificate in it (%s); PEM is expected",
				 gnutls_strerror(r));
	r = identity_read(der.data, der.size, ret, error);
	gnutls_free(der.data);
	return r;
}

/* --- the chain, for those who pass it on ---------------------------------------------------------------------------
 */

static int
chain_keep(struct identity_record *record, const struct identity_der *chain, size_t count)
{
	record->chain = calloc(count, sizeof(*record->chain));
	record->encoded = calloc(count, sizeof(*record->encoded));
	if (!record->chain || !record->encoded)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		record->chain[i].data = malloc(chain[i].length + 1);
		if (!record->chain[i].data)
			return -ENOMEM;
		memcpy(record->chain[i].data, chain[i].data, chain[i].length);
		record->chain[i].size = (unsigned) chain[i].length;
		record->chain_count++;
	}
	return 0;
}

int
identity_read_chain(const struct identity_der *chain, size_t count, struct identity **ret, struct error *error)
{
	CLEANUP(identity_unref) struct identity *identity = NULL;
	int r = identity_read(chain[0].data, chain[0].length, &identity, error);

	if (r < 0)
		return r;
	for (size_t i = 1; i < count; i++)
		if (chain[i].length > DER_LENGTH)
			return error_set(error, -EBADMSG,
					 "a certificate of the chain has %zu bytes; at most %d are "
					 "accepted",
					 chain[i].length, DER_LENGTH);
	if (chain_keep(CONTAINER_OF(identity, struct identity_record, identity), chain, count) < 0)
		return identity_out_of_memory(error);
	*ret = STEAL(identity);
	return 0;
}

static char *
chain_encode(const gnutls_datum_t *der)
{
	gnutls_datum_t text = {NULL, 0};
	char *field = NULL;

	if (gnutls_base64_encode2(der, &text) < 0)
		return NULL;
	if (asprintf(&field, ":%.*s:", (int) text.size, text.data) < 0)
		field = NULL;
	gnutls_free(text.data);
	return field;
}

const char *
identity_client_cert(const struct identity *identity, size_t index)
{
	const struct identity_record *record = CONTAINER_OF(identity, const struct identity_record, identity);
	char *before = NULL, *field;

	if (index >= record->chain_count)
		return NULL;
	field = atomic_load(&record->encoded[index]);
	if (field)
		return field;
	field = chain_encode(&record->chain[index]);
	if (!field || atomic_compare_exchange_strong(&record->encoded[index], &before, field))
		return field;
	free(field); /* another thread was faster */
	return before;
}
