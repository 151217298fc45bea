/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "certificate.h"

#include "cleanup.h"

enum {
	SERIAL = 20,     /* RFC 5280, 4.1.2.2 */
	EXTENSIONS = 16, /* more are not usual */
	KEY_ID = 64,
	RSA_BYTES_MIN = 256,
	RSA_BYTES_MAX = 1024,
	P256_POINT = 65,
	P384_POINT = 97,
	ED25519_KEY = 32,
};

struct oid {
	size_t size;
	const char *bytes;
};

static const struct oid ec_key = {7, "\x2a\x86\x48\xce\x3d\x02\x01"};
static const struct oid p256 = {8, "\x2a\x86\x48\xce\x3d\x03\x01\x07"}, p384 = {5, "\x2b\x81\x04\x00\x22"};
static const struct oid rsa_key = {9, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"};
static const struct oid ed25519 = {3, "\x2b\x65\x70"};

static bool
is_oid(const struct der *der, const struct oid *oid)
{
	return der_is(der, oid->bytes, oid->size);
}

static bool
is_whole_oid(const struct der *oid)
{
	char text[CERTIFICATE_OID];
	return der_write_oid(oid, text, sizeof(text));
}

/* --- algorithms and keys ----------------------------------------------------------------------------------------- */

static bool
take_null(struct der *from)
{
	struct der content;
	return der_take_last(from, DER_NULL, &content) && content.size == 0;
}

/* An AlgorithmIdentifier's content. */
static bool
read_algorithm(struct der from, enum certificate_algorithm *ret)
{
	static const struct {
		struct oid oid;
		bool null; /* as parameter; else there is none */
	} rows[CERTIFICATE_ALGORITHM_COUNT] = {
		[CERTIFICATE_ECDSA_SHA256] = {{8, "\x2a\x86\x48\xce\x3d\x04\x03\x02"}, false},
		[CERTIFICATE_ECDSA_SHA384] = {{8, "\x2a\x86\x48\xce\x3d\x04\x03\x03"}, false},
		[CERTIFICATE_ECDSA_SHA512] = {{8, "\x2a\x86\x48\xce\x3d\x04\x03\x04"}, false},
		[CERTIFICATE_RSA_SHA256] = {{9, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"}, true},
		[CERTIFICATE_RSA_SHA384] = {{9, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c"}, true},
		[CERTIFICATE_RSA_SHA512] = {{9, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d"}, true},
		[CERTIFICATE_ED25519] = {{3, "\x2b\x65\x70"}, false},
	};
	struct der oid;
	if (!der_take(&from, DER_OID, &oid, NULL))
		return false;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (!is_oid(&oid, &rows[i].oid))
			continue;
		*ret = (enum certificate_algorithm) i;
		return rows[i].null ? take_null(&from) : from.size == 0;
	}
	return false;
}

/* The bytes of a BIT STRING that has whole ones. */
static bool
take_bytes(struct der *from, struct der *ret)
{
	struct der content;
	if (!der_take_last(from, DER_BITS, &content) || content.size < 2 || content.data[0] != 0)
		return false;
	*ret = (struct der){content.data + 1, content.size - 1};
	return true;
}

static bool
is_rsa_key(struct der bytes)
{
	struct der key, modulus;
	uint64_t exponent;
	if (!der_take_last(&bytes, DER_SEQUENCE, &key) || !der_take(&key, DER_INTEGER, &modulus, NULL) ||
	    !der_take_number(&key, &exponent) || key.size)
		return false;
	/* A sign byte, then the highest bit: as long as it says. */
	return modulus.size > RSA_BYTES_MIN && modulus.size <= RSA_BYTES_MAX + 1 && modulus.data[0] == 0 &&
	       modulus.data[1] & 0x80 && modulus.data[modulus.size - 1] & 1 && exponent > 2 && exponent & 1 &&
	       exponent < UINT32_MAX;
}

static bool
is_ec_key(struct der parameters, const struct der *bytes)
{
	struct der curve;
	if (!der_take_last(&parameters, DER_OID, &curve) || bytes->data[0] != 4)
		return false;
	return (is_oid(&curve, &p256) && bytes->size == P256_POINT) ||
	       (is_oid(&curve, &p384) && bytes->size == P384_POINT);
}

static bool
is_plain_key(struct der info)
{
	struct der algorithm, oid, bytes;
	if (!der_take(&info, DER_SEQUENCE, &algorithm, NULL) || !take_bytes(&info, &bytes) ||
	    !der_take(&algorithm, DER_OID, &oid, NULL))
		return false;
	if (is_oid(&oid, &ec_key))
		return is_ec_key(algorithm, &bytes);
	if (is_oid(&oid, &rsa_key))
		return take_null(&algorithm) && is_rsa_key(bytes);
	return is_oid(&oid, &ed25519) && algorithm.size == 0 && bytes.size == ED25519_KEY;
}

/* --- names ---------------------------------------------------------------------------------------------------------
 */

static bool
is_attribute(struct der attribute)
{
	static const uint8_t strings[] = {DER_UTF8, DER_NUMERIC, DER_PRINTABLE, DER_TELETEX, DER_IA5, DER_BMP};
	struct der oid, value;
	if (!der_take(&attribute, DER_OID, &oid, NULL) || !is_whole_oid(&oid))
		return false;
	uint8_t tag = der_tag(&attribute);
	return tag && memchr(strings, tag, sizeof(strings)) && der_take_last(&attribute, tag, &value);
}

/* A Name, with its head; an empty one is good. */
static bool
take_name(struct der *from, struct der *ret)
{
	struct der parts, set, attribute;
	if (!der_take(from, DER_SEQUENCE, &parts, ret))
		return false;
	while (parts.size) {
		if (!der_take(&parts, DER_SET, &set, NULL) || !set.size)
			return false;
		while (set.size)
			if (!der_take(&set, DER_SEQUENCE, &attribute, NULL) || !is_attribute(attribute))
				return false;
	}
	return true;
}

/* --- extensions -------------------------------------------------------------------------------------------------- */

static bool
read_constraints(struct der value, struct certificate *certificate)
{
	struct der content, flag;
	uint64_t depth;
	if (!der_take_last(&value, DER_SEQUENCE, &content))
		return false;
	if (der_tag(&content) == DER_BOOLEAN) {
		if (!der_take(&content, DER_BOOLEAN, &flag, NULL) || !der_is(&flag, "\xff", 1))
			return false;
		certificate->is_authority = true;
	}
	if (content.size && (!certificate->is_authority || !der_take_number(&content, &depth) || content.size))
		return false;
	return true;
}

static bool
read_usage(struct der value, struct certificate *certificate)
{
	return der_take_flags(&value, &certificate->key_usage) && !value.size;
}

static bool
read_purposes(struct der value, struct certificate *certificate)
{
	struct der oid;
	if (!der_take_last(&value, DER_SEQUENCE, &certificate->purposes) || !certificate->purposes.size)
		return false;
	for (struct der rest = certificate->purposes; rest.size;)
		if (!der_take(&rest, DER_OID, &oid, NULL) || !is_whole_oid(&oid))
			return false;
	return true;
}

/* GeneralName: e-mail, DNS, URI and address; the others are nobody's business here. */
static bool
read_names(struct der value, struct certificate *certificate)
{
	struct der name;
	if (!der_take_last(&value, DER_SEQUENCE, &certificate->names) || !certificate->names.size)
		return false;
	for (struct der rest = certificate->names; rest.size;) {
		uint8_t tag = der_tag(&rest);
		if (tag != DER_CONTEXT + 1 && tag != DER_CONTEXT + 2 && tag != DER_CONTEXT + 6 &&
		    tag != DER_CONTEXT + 7)
			return false;
		if (!der_take(&rest, tag, &name, NULL) || !name.size)
			return false;
		if (tag == DER_CONTEXT + 7 && name.size != 4 && name.size != 16)
			return false;
	}
	return true;
}

static bool
read_subject_key_id(struct der value, struct certificate *certificate)
{
	struct der *id = &certificate->subject_key_id;
	return der_take_last(&value, DER_OCTETS, id) && id->size > 0 && id->size <= KEY_ID;
}

/* The key's identifier alone; with issuer and serial number it is not plain. */
static bool
read_authority_key_id(struct der value, struct certificate *certificate)
{
	struct der content, *id = &certificate->authority_key_id;
	return der_take_last(&value, DER_SEQUENCE, &content) && der_take_last(&content, DER_CONTEXT + 0, id) &&
	       id->size > 0 && id->size <= KEY_ID;
}

/* Name and policy constraints, inhibitAnyPolicy. */
static bool
read_bounds(struct der value, struct certificate *certificate)
{
	(void) value;
	certificate->is_bounded = true;
	return true;
}

/* The issuer's alternative names: nobody asks for them, but the library refuses a certificate in which they are broken.
 */
static bool
read_by_library(struct der value, struct certificate *certificate)
{
	(void) value;
	(void) certificate;
	return false;
}

static const struct extension {
	struct oid oid;
	bool (*read)(struct der value, struct certificate *certificate);
	bool may_be_critical;
} extensions[] = {
	{{3, "\x55\x1d\x13"}, read_constraints, true},     {{3, "\x55\x1d\x0f"}, read_usage, true},
	{{3, "\x55\x1d\x25"}, read_purposes, true},        {{3, "\x55\x1d\x11"}, read_names, true},
	{{3, "\x55\x1d\x0e"}, read_subject_key_id, false}, {{3, "\x55\x1d\x23"}, read_authority_key_id, false},
	{{3, "\x55\x1d\x1e"}, read_bounds, false},         {{3, "\x55\x1d\x24"}, read_bounds, false},
	{{3, "\x55\x1d\x36"}, read_bounds, false},         {{3, "\x55\x1d\x12"}, read_by_library, false},
};

static bool
read_extension(const struct der *oid, bool critical, struct der value, struct certificate *certificate)
{
	for (size_t i = 0; i < ARRAY_LENGTH(extensions); i++) {
		const struct extension *row = &extensions[i];
		if (is_oid(oid, &row->oid))
			return (!critical || row->may_be_critical) && row->read(value, certificate);
	}
	/* Of no concern, and nobody has to understand it. */
	return !critical && is_whole_oid(oid);
}

static bool
read_extensions(struct der from, struct certificate *certificate)
{
	struct der seen[EXTENSIONS], list;
	if (!der_take_last(&from, DER_SEQUENCE, &list) || !list.size)
		return false;
	for (size_t count = 0; list.size; count++) {
		struct der extension, flag = {0}, value;
		if (count == EXTENSIONS || !der_take(&list, DER_SEQUENCE, &extension, NULL) ||
		    !der_take(&extension, DER_OID, &seen[count], NULL))
			return false;
		if (der_tag(&extension) == DER_BOOLEAN &&
		    (!der_take(&extension, DER_BOOLEAN, &flag, NULL) || !der_is(&flag, "\xff", 1)))
			return false;
		if (!der_take_last(&extension, DER_OCTETS, &value))
			return false;
		for (size_t i = 0; i < count; i++)
			if (der_equal(&seen[i], &seen[count])) /* RFC 5280, 4.2: never twice */
				return false;
		if (!read_extension(&seen[count], flag.size > 0, value, certificate))
			return false;
	}
	return true;
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

static bool
read_serial(struct der *from, struct der *ret)
{
	if (!der_take(from, DER_INTEGER, ret, NULL) || !ret->size || ret->data[0] & 0x80)
		return false;
	if (ret->data[0] == 0) /* a sign byte where one is needed; zero is no serial number */
		return ret->size > 1 && ret->size <= SERIAL + 1 && ret->data[1] & 0x80;
	return ret->size <= SERIAL;
}

static bool
read_signed_part(struct der from, const struct der *algorithm, struct certificate *certificate)
{
	struct der version, own_algorithm, dates, key, rest;
	uint64_t number;
	if (!der_take(&from, DER_CONSTRUCTED + 0, &version, NULL) || !der_take_number(&version, &number) ||
	    version.size || number != 2 || !read_serial(&from, &certificate->serial) ||
	    !der_take(&from, DER_SEQUENCE, &own_algorithm, NULL) || !der_equal(&own_algorithm, algorithm) ||
	    !take_name(&from, &certificate->issuer) || !der_take(&from, DER_SEQUENCE, &dates, NULL) ||
	    !der_take_time(&dates, &certificate->not_before) || !der_take_time(&dates, &certificate->not_after) ||
	    dates.size || !take_name(&from, &certificate->subject) ||
	    !der_take(&from, DER_SEQUENCE, &key, &certificate->key) || !is_plain_key(key))
		return false;
	return from.size == 0 ||
	       (der_take_last(&from, DER_CONSTRUCTED + 3, &rest) && read_extensions(rest, certificate));
}

bool
certificate_read(const void *data, size_t size, struct certificate *ret)
{
	struct certificate certificate = {0};
	struct der all = {data, size}, content, part, algorithm;
	if (!der_take_last(&all, DER_SEQUENCE, &content) ||
	    !der_take(&content, DER_SEQUENCE, &part, &certificate.signed_part) ||
	    !der_take(&content, DER_SEQUENCE, &algorithm, NULL) || !read_algorithm(algorithm, &certificate.algorithm) ||
	    !take_bytes(&content, &certificate.signature) || !read_signed_part(part, &algorithm, &certificate))
		return false;
	*ret = certificate;
	return true;
}
