/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "hello.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A ClientHello built piece by piece. */
struct builder {
	unsigned char bytes[2048];
	size_t length, extensions; /* where the extensions' length stands; 0: none begun */
};

static void
put(struct builder *b, const void *bytes, size_t length)
{
	assert_true(b->length + length <= sizeof(b->bytes));
	memcpy(b->bytes + b->length, bytes, length);
	b->length += length;
}

static void
put_number(struct builder *b, unsigned number, size_t bytes)
{
	for (size_t i = bytes; i > 0; i--) {
		unsigned char byte = (unsigned char) (number >> (8 * (i - 1)));
		put(b, &byte, 1);
	}
}

/* suites, ended by 0. */
static struct builder
begin(const unsigned *suites)
{
	static const unsigned char random[32] = {1};
	struct builder b = {.length = 0};
	unsigned count = 0;
	while (suites[count])
		count++;
	put_number(&b, 0x0303, 2);
	put(&b, random, sizeof(random));
	put_number(&b, 0, 1); /* session */
	put_number(&b, count * 2, 2);
	for (unsigned i = 0; i < count; i++)
		put_number(&b, suites[i], 2);
	put_number(&b, 0x0100, 2); /* compression: none */
	b.extensions = b.length;
	put_number(&b, 0, 2);
	return b;
}

static void
extension(struct builder *b, unsigned type, const struct builder *body)
{
	put_number(b, type, 2);
	put_number(b, (unsigned) body->length, 2);
	put(b, body->bytes, body->length);
	size_t length = b->length - b->extensions - 2;
	b->bytes[b->extensions] = (unsigned char) (length >> 8);
	b->bytes[b->extensions + 1] = (unsigned char) length;
}

/* A list of 16-bit numbers with its length before it. */
static void
numbers(struct builder *b, unsigned type, size_t length_bytes, const unsigned *list)
{
	struct builder body = {.length = 0};
	unsigned count = 0;
	while (list[count])
		count++;
	put_number(&body, count * 2, length_bytes);
	for (unsigned i = 0; i < count; i++)
		put_number(&body, list[i], 2);
	extension(b, type, &body);
}

static void
server_name(struct builder *b, const char *name)
{
	struct builder body = {.length = 0};
	put_number(&body, (unsigned) strlen(name) + 3, 2);
	put_number(&body, 0, 1);
	put_number(&body, (unsigned) strlen(name), 2);
	put(&body, name, strlen(name));
	extension(b, 0, &body);
}

static const unsigned tls13[] = {0x1301, 0x1302, 0};
static const unsigned both[] = {0x1301, 0xc02b, 0xc02f, 0};
static const unsigned only_13[] = {0x0304, 0}, only_12[] = {0x0303, 0}, either[] = {0x0304, 0x0303, 0};

static unsigned
keys_of(const unsigned *suites, const unsigned *versions, const unsigned *signatures, const unsigned *groups)
{
	struct builder b = begin(suites);
	struct hello hello;
	if (versions)
		numbers(&b, 43, 1, versions);
	if (signatures)
		numbers(&b, 13, 2, signatures);
	if (groups)
		numbers(&b, 10, 2, groups);
	assert_int_equal(hello_read(b.bytes, b.length, &hello), 0);
	return hello.keys;
}

static void
test_keys_a_client_can_verify(void **state)
{
	enum {
		RSA = 1 << HELLO_RSA,
		P256 = 1 << HELLO_P256,
		P384 = 1 << HELLO_P384,
		P521 = 1 << HELLO_P521,
		ED25519 = 1 << HELLO_ED25519
	};
	static const unsigned x25519[] = {29, 0}, p256[] = {23, 0}, all[] = {29, 23, 24, 25, 0};
	static const unsigned everything[] = {0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0401, 0};
	static const unsigned pss[] = {0x0804, 0}, pkcs1[] = {0x0401, 0}, ecdsa[] = {0x0403, 0}, ed[] = {0x0807, 0};
	static const unsigned sha384[] = {0x0503, 0};
	static const unsigned ecdhe_rsa[] = {0xc02f, 0}, ecdhe_ecdsa[] = {0xc02b, 0};
	(void) state;
	assert_int_equal(keys_of(tls13, only_13, everything, x25519), RSA | P256 | P384 | P521 | ED25519);
	assert_int_equal(keys_of(tls13, only_13, pss, x25519), RSA);
	/* PKCS#1 signatures stand for certificates alone in 1.3. */
	assert_int_equal(keys_of(tls13, only_13, pkcs1, x25519), 0);
	assert_int_equal(keys_of(tls13, only_13, ecdsa, x25519), P256);
	assert_int_equal(keys_of(tls13, only_13, sha384, x25519), P384);
	assert_int_equal(keys_of(tls13, only_13, ed, x25519), ED25519);
	/* In 1.2 the hash is not bound to a curve, but the curve must be known and the suite offered. */
	assert_int_equal(keys_of(ecdhe_ecdsa, only_12, everything, all), P256 | P384 | P521 | ED25519);
	assert_int_equal(keys_of(ecdhe_ecdsa, NULL, ecdsa, p256), P256);
	assert_int_equal(keys_of(ecdhe_ecdsa, NULL, ecdsa, x25519), 0);
	assert_int_equal(keys_of(ecdhe_rsa, NULL, everything, all), RSA);
	assert_int_equal(keys_of(ecdhe_rsa, NULL, pkcs1, all), RSA);
	assert_int_equal(keys_of(ecdhe_ecdsa, NULL, pss, all), 0);
	assert_int_equal(keys_of(both, either, everything, x25519), RSA | P256 | P384 | P521 | ED25519);
	/* Without the extension a 1.2 client means RSA and SHA-1; GnuTLS answers it. */
	assert_int_equal(keys_of(ecdhe_rsa, NULL, NULL, all), RSA);
}

static void
test_server_name(void **state)
{
	struct builder b = begin(tls13);
	struct hello hello;
	char longest[HELLO_NAME], beyond[HELLO_NAME + 1];
	(void) state;
	server_name(&b, "A.Example.ORG");
	assert_int_equal(hello_read(b.bytes, b.length, &hello), 0);
	assert_string_equal(hello.server_name, "a.example.org");
	b = begin(tls13);
	assert_int_equal(hello_read(b.bytes, b.length, &hello), 0);
	assert_string_equal(hello.server_name, "");
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	server_name(&b, longest);
	assert_int_equal(hello_read(b.bytes, b.length, &hello), 0);
	assert_string_equal(hello.server_name, longest);
	memset(beyond, 'x', sizeof(beyond));
	beyond[sizeof(beyond) - 1] = '\0';
	b = begin(tls13);
	server_name(&b, beyond);
	assert_int_equal(hello_read(b.bytes, b.length, &hello), 0);
	assert_string_equal(hello.server_name, "");
}

static void
test_tickets(void **state)
{
	struct builder b = begin(both), body = {.length = 0};
	struct hello hello;
	(void) state;
	put(&body, "0123456789abcdefREST", 20);
	extension(&b, 35, &body);
	body.length = 0;
	put_number(&body, 2 * (2 + 16 + 4) + (2 + 3 + 4), 2);
	for (unsigned i = 0; i < 2; i++) {
		put_number(&body, 16, 2);
		put(&body, i ? "fedcba9876543210" : "aaaaaaaaaaaaaaaa", 16);
		put_number(&body, 0x01020304, 4);
	}
	put_number(&body, 3, 2); /* too short to have a name: no ticket of ours */
	put(&body, "psk", 3);
	put_number(&body, 0, 4);
	put(&body, "binders", 7);
	extension(&b, 41, &body);
	assert_int_equal(hello_read(b.bytes, b.length, &hello), 0);
	assert_int_equal(hello.ticket_count, 3);
	assert_memory_equal(hello.tickets[0], "0123456789abcdef", 16);
	assert_memory_equal(hello.tickets[1], "aaaaaaaaaaaaaaaa", 16);
	assert_memory_equal(hello.tickets[2], "fedcba9876543210", 16);
}

static void
test_more_tickets_than_are_looked_at(void **state)
{
	struct builder b = begin(both), body = {.length = 0};
	struct hello hello;
	(void) state;
	put_number(&body, 9 * 22, 2);
	for (unsigned i = 0; i < 9; i++) {
		put_number(&body, 16, 2);
		put(&body, "aaaaaaaaaaaaaaaa", 16);
		put_number(&body, 0, 4);
	}
	extension(&b, 41, &body);
	assert_int_equal(hello_read(b.bytes, b.length, &hello), 0);
	assert_int_equal(hello.ticket_count, HELLO_TICKETS);
}

/* Cut anywhere it is refused or read in part, never read past its end: each cut stands at the end of its own block. */
static void
test_cut_anywhere(void **state)
{
	struct builder b = begin(both);
	static const unsigned everything[] = {0x0403, 0x0807, 0x0804, 0};
	(void) state;
	server_name(&b, "a.example.org");
	numbers(&b, 43, 1, either);
	numbers(&b, 13, 2, everything);
	for (size_t length = 0; length < b.length; length++) {
		CLEANUP_FREE unsigned char *copy = malloc(length ? length : 1);
		struct hello hello = {.keys = 77};
		assert_non_null(copy);
		memcpy(copy, b.bytes, length);
		int r = hello_read(copy, length, &hello);
		if (length == b.extensions) { /* TLS 1.2 may have none */
			assert_int_equal(r, 0);
			assert_int_equal(hello.keys, 1 << HELLO_RSA);
		} else {
			assert_int_equal(r, -EBADMSG);
			assert_int_equal(hello.keys, 77);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_a_client_can_verify),
		cmocka_unit_test(test_server_name),
		cmocka_unit_test(test_tickets),
		cmocka_unit_test(test_more_tickets_than_are_looked_at),
		cmocka_unit_test(test_cut_anywhere),
	};
	return cmocka_run_group_tests_name("hello", tests, NULL, NULL);
}
