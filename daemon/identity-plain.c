/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The identity of a plain certificate, read without the library. */
#include "certificate.h"
#include "identity-internal.h"

#include <errno.h>

enum { NAME_PARTS = 16, NAME_LENGTH = 1024, VALUE_LENGTH = 255 };

struct part {
	const char *type;
	struct der value;
};

/* --- distinguished names ----------------------------------------------------------------------------------------- */

/* Characters that stand for themselves wherever they are, but for blanks at an end. */
static bool
is_safe(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ' ' || c == '-' ||
	       c == '.' || c == ':' || c == '/' || c == '(' || c == ')' || c == '\'';
}

/* Of a text that its kind of string can hold. */
static bool
is_safe_text(const struct der *text)
{
	if (!text->size || text->size > VALUE_LENGTH || text->data[0] == ' ' || text->data[text->size - 1] == ' ')
		return false;
	for (size_t i = 0; i < text->size; i++)
		if (!is_safe(text->data[i]))
			return false;
	return true;
}

/* type: which attribute it is; its value must be of a kind that belongs to it. */
static bool
read_attribute(struct der from, struct part *ret)
{
	enum { DIRECTORY, PRINTABLE, IA5 };
	static const struct {
		const char *name;
		size_t size;
		const char *oid;
		int kind;
	} rows[] = {
		{"CN", 3, "\x55\x04\x03", DIRECTORY},
		{"O", 3, "\x55\x04\x0a", DIRECTORY},
		{"OU", 3, "\x55\x04\x0b", DIRECTORY},
		{"C", 3, "\x55\x04\x06", PRINTABLE},
		{"L", 3, "\x55\x04\x07", DIRECTORY},
		{"ST", 3, "\x55\x04\x08", DIRECTORY},
		{"DC", 10, "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", IA5},
	};
	struct der oid;
	if (!der_take(&from, DER_OID, &oid, NULL))
		return false;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		uint8_t tag = der_tag(&from);
		if (!der_is(&oid, rows[i].oid, rows[i].size))
			continue;
		ret->type = rows[i].name;
		return (rows[i].kind == IA5 ? tag == DER_IA5
					    : tag == DER_PRINTABLE || (rows[i].kind == DIRECTORY && tag == DER_UTF8)) &&
		       der_take_last(&from, tag, &ret->value) && is_safe_text(&ret->value);
	}
	return false;
}

/* RFC 4514: the last part first. */
static bool
write_name(const struct der *name, char ret[static NAME_LENGTH])
{
	struct part parts[NAME_PARTS];
	struct der from = *name, list, set, attribute;
	size_t count = 0, used = 0;
	if (!der_take_last(&from, DER_SEQUENCE, &list))
		return false;
	for (; list.size; count++)
		if (count == NAME_PARTS || !der_take(&list, DER_SET, &set, NULL) ||
		    !der_take_last(&set, DER_SEQUENCE, &attribute) || !read_attribute(attribute, &parts[count]))
			return false;
	while (count-- > 0) {
		const struct part *part = &parts[count];
		size_t length = strlen(part->type);
		if (used + length + part->value.size + 3 > NAME_LENGTH)
			return false;
		if (used)
			ret[used++] = ',';
		memcpy(ret + used, part->type, length);
		used += length;
		ret[used++] = '=';
		memcpy(ret + used, part->value.data, part->value.size);
		used += part->value.size;
	}
	ret[used] = '\0';
	return true;
}

/* --- the rest ---------------------------------------------------------------------------------------------------- */

static int
add_purposes(struct identity_record *record, struct der list, struct error *error)
{
	struct der oid;
	char text[CERTIFICATE_OID];
	int r = 0;
	while (r == 0 && der_take(&list, DER_OID, &oid, NULL) && der_write_oid(&oid, text, sizeof(text)))
		r = identity_add_purpose(record, text, error);
	return r;
}

static int
add_names(struct identity_record *record, struct der list, struct error *error)
{
	int r = 0;
	while (r == 0 && list.size) {
		uint8_t tag = der_tag(&list);
		struct der name;
		unsigned type = tag == DER_CONTEXT + 1   ? GNUTLS_SAN_RFC822NAME
				: tag == DER_CONTEXT + 2 ? GNUTLS_SAN_DNSNAME
				: tag == DER_CONTEXT + 6 ? GNUTLS_SAN_URI
							 : GNUTLS_SAN_IPADDRESS;
		if (!der_take(&list, tag, &name, NULL))
			break;
		const gnutls_datum_t datum = {(unsigned char *) (uintptr_t) name.data, (unsigned) name.size};
		r = identity_add_san(record, type, &datum, error);
	}
	return r;
}

static int
fill(struct identity_record *record, const struct certificate *certificate, const void *der, size_t length,
     const char *subject, const char *issuer, struct error *error)
{
	struct identity *identity = &record->identity;
	int r;

	identity->subject = strdup(subject);
	identity->issuer = strdup(issuer);
	identity->not_before = certificate->not_before;
	identity->not_after = certificate->not_after;
	if (!identity->subject || !identity->issuer)
		return identity_out_of_memory(error);
	r = identity_write_hex(certificate->serial.data, certificate->serial.size, &identity->serial, error);
	if (r == 0)
		r = identity_write_digest(certificate->key.data, certificate->key.size, "the certificate's public key",
					  &identity->spki_sha256, error);
	if (r == 0)
		r = identity_write_digest(der, length, "the certificate's fingerprint", &identity->certificate_sha256,
					  error);
	if (r == 0)
		r = add_names(record, certificate->names, error);
	return r == 0 ? add_purposes(record, certificate->purposes, error) : r;
}

int
identity_read_plain(struct identity_record *record, const void *der, size_t length, struct error *error)
{
	struct certificate certificate;
	char subject[NAME_LENGTH], issuer[NAME_LENGTH];

	if (!certificate_read(der, length, &certificate) || !write_name(&certificate.subject, subject) ||
	    !write_name(&certificate.issuer, issuer))
		return -ENOTSUP;
	return fill(record, &certificate, der, length, subject, issuer, error);
}
