/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* der.h - a strict reader of DER: definite lengths in their shortest form, nothing left over unless asked for.
 *
 * Every function answers false for what it does not like, and has read nothing then.
 *
 * Threads: any. Owns: nothing; what it finds lies in the reader's bytes.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BITS = 0x03,
	DER_OCTETS = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_UTF8 = 0x0c,
	DER_NUMERIC = 0x12,
	DER_PRINTABLE = 0x13,
	DER_TELETEX = 0x14,
	DER_IA5 = 0x16,
	DER_UTC_TIME = 0x17,
	DER_TIME = 0x18,
	DER_BMP = 0x1e,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_CONTEXT = 0x80,     /* [n] of a simple type: plus n */
	DER_CONSTRUCTED = 0xa0, /* [n] around others: plus n */
};

struct der {
	const uint8_t *data;
	size_t size;
};

static inline bool
der_is(const struct der *der, const void *data, size_t size)
{
	return der->size == size && (size == 0 || memcmp(der->data, data, size) == 0);
}

static inline bool
der_equal(const struct der *a, const struct der *b)
{
	return der_is(a, b->data, b->size);
}

/* The tag of what comes next; 0: nothing does. */
static inline uint8_t
der_tag(const struct der *from)
{
	return from->size ? from->data[0] : 0;
}

/* The next element, which must have this tag: its content, and with its head. Either may be NULL. */
bool der_take(struct der *from, uint8_t tag, struct der *ret_content, struct der *ret_whole);
/* The same where it must be the last. */
bool der_take_last(struct der *from, uint8_t tag, struct der *ret_content);
/* An unsigned number of up to 64 bits. */
bool der_take_number(struct der *from, uint64_t *ret);
/* A named bit list of up to 16 bits, bit 0 (the first) in the lowest place. */
bool der_take_flags(struct der *from, unsigned *ret);
/* An object identifier in dots, NUL-terminated; arcs below 2^28. */
bool der_write_oid(const struct der *oid, char *ret, size_t size);
/* A time as RFC 5280, 4.1.2.5 has it, from 2000 to 9998. */
bool der_take_time(struct der *from, int64_t *ret);
