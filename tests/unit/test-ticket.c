/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ticket.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIFETIME = 100, PERIOD = 1000 };

static const unsigned char policy_a[TICKET_POLICY] = {1}, policy_b[TICKET_POLICY] = {2};
static const struct hello nobody = {.ticket_count = 0};

/* The name GnuTLS gives to a key: what stands before its tickets. */
static struct hello
with_ticket_of(const unsigned char key[TICKET_KEY], time_t now)
{
	struct hello hello = {.ticket_count = 1};
	unsigned char input[8 + TICKET_KEY], output[64];
	uint64_t step = (uint64_t) now / (3 * LIFETIME);
	for (unsigned i = 0; i < 8; i++)
		input[i] = (unsigned char) (step >> (56 - 8 * i));
	memcpy(input + 8, key, TICKET_KEY);
	assert_int_equal(gnutls_hash_fast(GNUTLS_DIG_SHA3_512, input, sizeof(input), output), 0);
	memcpy(hello.tickets[0], output, HELLO_TICKET_NAME);
	return hello;
}

static struct ticket_ring *
ring_new(void)
{
	struct ticket_ring *ring = NULL;
	assert_int_equal(ticket_ring_new(&ring), 0);
	assert_int_equal(ticket_ring_count(ring), 0);
	return ring;
}

static struct ticket_keys
derive(const struct ticket_ring *ring, const char *set, const unsigned char *policy)
{
	struct ticket_keys keys;
	assert_int_equal(ticket_keys_derive(ring, set, policy, LIFETIME, &keys), 0);
	assert_int_equal(keys.count, ticket_ring_count(ring));
	return keys;
}

/* Through a memory file, as from one run to the next. */
static struct ticket_ring *
next_run(const struct ticket_ring *ring)
{
	struct ticket_ring *next = ring_new();
	int fd = memfd_create("tickets", MFD_CLOEXEC);
	assert_int_equal(ticket_ring_save(ring, fd), 0);
	assert_int_equal(ticket_ring_load(next, fd), 0);
	(void) close(fd);
	return next;
}

static void
test_the_next_run_opens_what_this_one_sealed(void **state)
{
	struct ticket_ring *ring = ring_new();
	time_t start = 100000, later = start + PERIOD + 1;
	(void) state;
	assert_int_equal(ticket_ring_turn(ring, start, PERIOD, LIFETIME), 1);
	assert_int_equal(ticket_ring_turn(ring, later, PERIOD, LIFETIME), 1);
	struct ticket_ring *next = next_run(ring);
	struct ticket_keys before = derive(ring, "main", policy_a), after = derive(next, "main", policy_a);
	assert_int_equal(before.count, 2);
	assert_int_equal(after.count, 2);
	assert_memory_equal(before.pages.data, after.pages.data, (size_t) 2 * TICKET_KEY);
	/* And goes on with their ages. */
	assert_int_equal(ticket_ring_since(next), later);
	assert_int_equal(ticket_ring_turn(next, later + LIFETIME, PERIOD, LIFETIME), 1);
	assert_int_equal(ticket_ring_count(next), 1);
	assert_int_equal(ticket_ring_turn(next, later + PERIOD, PERIOD, LIFETIME), 1);
	ticket_keys_clear(&before);
	ticket_keys_clear(&after);
	ticket_ring_free(&ring);
	ticket_ring_free(&next);
}

static void
test_a_file_that_is_none_is_refused(void **state)
{
	struct ticket_ring *ring = ring_new(), *next = ring_new();
	int fd = memfd_create("tickets", MFD_CLOEXEC);
	struct stat status;
	(void) state;
	assert_int_equal(ticket_ring_load(next, fd), -EBADMSG); /* empty */
	assert_int_equal(ticket_ring_turn(ring, 100000, PERIOD, LIFETIME), 1);
	assert_int_equal(ticket_ring_save(ring, fd), 0);
	assert_int_equal(fstat(fd, &status), 0);
	for (off_t at = 0; at < 40; at++) { /* what it is, how many, how long the first */
		unsigned char byte;
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0xff;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		int r = ticket_ring_load(next, fd);
		assert_true(r == -EBADMSG || at >= 32); /* there begin the bytes of the secret */
		byte ^= 0xff;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	assert_int_equal(ftruncate(fd, status.st_size - 1), 0);
	assert_int_equal(ticket_ring_load(next, fd), -EBADMSG);
	assert_int_equal(ticket_ring_save(ring, -1), -EBADF);
	assert_int_equal(ticket_ring_load(next, -1), -EBADF);
	(void) close(fd);
	ticket_ring_free(&ring);
	ticket_ring_free(&next);
}

static void
test_secrets_are_renewed_and_forgotten(void **state)
{
	struct ticket_ring *ring = ring_new();
	time_t start = 100000;
	(void) state;
	assert_int_equal(ticket_ring_turn(ring, start, PERIOD, LIFETIME), 1);
	assert_int_equal(ticket_ring_since(ring), start);
	assert_int_equal(ticket_ring_turn(ring, start + PERIOD - 1, PERIOD, LIFETIME), 0);
	assert_int_equal(ticket_ring_turn(ring, start + PERIOD, PERIOD, LIFETIME), 1);
	assert_int_equal(ticket_ring_count(ring), 2);
	assert_int_equal(ticket_ring_turn(ring, start + PERIOD + LIFETIME - 1, PERIOD, LIFETIME), 0);
	assert_int_equal(ticket_ring_count(ring), 2);
	assert_int_equal(ticket_ring_turn(ring, start + PERIOD + LIFETIME, PERIOD, LIFETIME), 1);
	assert_int_equal(ticket_ring_count(ring), 1);
	/* A period shorter than the lifetime keeps as many as there is room for. */
	for (unsigned i = 1; i < 10; i++)
		assert_int_equal(ticket_ring_turn(ring, start + 2 * PERIOD + i, 1, LIFETIME), 1);
	assert_int_equal(ticket_ring_count(ring), TICKET_SECRETS);
	/* A clock set back renews, rather than keeping a secret until it has caught up. */
	assert_int_equal(ticket_ring_turn(ring, start, PERIOD, LIFETIME), 1);
	ticket_ring_free(&ring);
	assert_null(ring);
	ticket_ring_free(&ring);
}

static void
test_the_right_key_for_a_ticket(void **state)
{
	struct ticket_ring *ring = ring_new();
	time_t now = 100000;
	(void) state;
	assert_int_equal(ticket_ring_turn(ring, now, PERIOD, LIFETIME), 1);
	struct ticket_keys before = derive(ring, "main", policy_a);
	now += PERIOD;
	assert_int_equal(ticket_ring_turn(ring, now, PERIOD, LIFETIME), 1);
	struct ticket_keys keys = derive(ring, "main", policy_a);
	const unsigned char *newest = keys.pages.data, *old = keys.pages.data + TICKET_KEY;
	assert_memory_equal(old, before.pages.data, TICKET_KEY);
	assert_memory_not_equal(newest, old, TICKET_KEY);
	struct hello hello = with_ticket_of(old, now);
	assert_ptr_equal(ticket_keys_choose(&keys, &hello, now), old);
	hello = with_ticket_of(newest, now);
	assert_ptr_equal(ticket_keys_choose(&keys, &hello, now), newest);
	assert_ptr_equal(ticket_keys_choose(&keys, &nobody, now), newest);
	hello.tickets[0][3] ^= 1;
	assert_ptr_equal(ticket_keys_choose(&keys, &hello, now), newest);
	ticket_keys_clear(&before);
	ticket_keys_clear(&keys);
	assert_null(ticket_keys_choose(&keys, &nobody, now));
	ticket_ring_free(&ring);
}

static void
test_keys_belong_to_a_set_and_a_policy(void **state)
{
	struct ticket_ring *ring = ring_new();
	(void) state;
	assert_int_equal(ticket_ring_turn(ring, 1, PERIOD, LIFETIME), 1);
	struct ticket_keys keys[] = {derive(ring, "main", policy_a), derive(ring, "main", policy_a),
				     derive(ring, "main", policy_b), derive(ring, "other", policy_a)};
	assert_memory_equal(keys[0].pages.data, keys[1].pages.data, TICKET_KEY);
	assert_memory_not_equal(keys[0].pages.data, keys[2].pages.data, TICKET_KEY);
	assert_memory_not_equal(keys[0].pages.data, keys[3].pages.data, TICKET_KEY);
	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
		ticket_keys_clear(&keys[i]);
	ticket_ring_free(&ring);
}

static void
must_read(struct ticket_ring *ring, const char *text, size_t count, bool changed)
{
	struct error error = {0};
	bool was_changed = !changed;
	if (ticket_ring_read(ring, "FILE", text, strlen(text), 5, &was_changed, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(ticket_ring_count(ring), count);
	assert_int_equal(was_changed, changed);
}

#define DIGITS_32 "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static void
test_a_file_of_secrets(void **state)
{
	struct ticket_ring *a = ring_new(), *b = ring_new();
	(void) state;
	must_read(a, DIGITS_32, 1, true);
	must_read(a, "# newest\r\n\n \t" DIGITS_32 " \r\n", 1, false);
	must_read(b, DIGITS_32 DIGITS_32 "\n" DIGITS_32 "\n", 2, true);
	struct ticket_keys of_a = derive(a, "main", policy_a), of_b = derive(b, "main", policy_a);
	/* Who shares a secret shares its key, whatever else is in the file. */
	assert_memory_equal(of_a.pages.data, of_b.pages.data + TICKET_KEY, TICKET_KEY);
	must_read(b, DIGITS_32 "\n" DIGITS_32 DIGITS_32 "\n", 2, true);
	ticket_keys_clear(&of_a);
	ticket_keys_clear(&of_b);
	ticket_ring_free(&a);
	ticket_ring_free(&b);
}

static void
test_bad_files_leave_what_was(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *words;
	} rows[] = {
		{"", -ENODATA, "no secret"},
		{"# only\n\n", -ENODATA, "no secret"},
		{"00", -EINVAL, "line 1"},
		{DIGITS_32 "\n" DIGITS_32 "0\n", -EINVAL, "line 2"},
		{DIGITS_32 "\n\nx0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", -EINVAL, "line 3"},
		{DIGITS_32 DIGITS_32 DIGITS_32 DIGITS_32 "00", -EINVAL, "line 1"},
		{DIGITS_32 "\n" DIGITS_32 "\n" DIGITS_32 "\n" DIGITS_32 "\n" DIGITS_32, -E2BIG, "line 5"},
	};
	struct ticket_ring *ring = ring_new();
	(void) state;
	must_read(ring, DIGITS_32, 1, true);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct error error = {0};
		bool changed = false;
		int r = ticket_ring_read(ring, "FILE", rows[i].text, strlen(rows[i].text), 9, &changed, &error);
		assert_int_equal(r, rows[i].code);
		assert_non_null(strstr(error.text, rows[i].words));
		assert_null(strstr(error.text, "0011"));
		assert_int_equal(ticket_ring_since(ring), 5);
	}
	must_read(ring, DIGITS_32, 1, false);
	ticket_ring_free(&ring);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secrets_are_renewed_and_forgotten),
		cmocka_unit_test(test_the_next_run_opens_what_this_one_sealed),
		cmocka_unit_test(test_a_file_that_is_none_is_refused),
		cmocka_unit_test(test_the_right_key_for_a_ticket),
		cmocka_unit_test(test_keys_belong_to_a_set_and_a_policy),
		cmocka_unit_test(test_a_file_of_secrets),
		cmocka_unit_test(test_bad_files_leave_what_was),
	};
	return cmocka_run_group_tests_name("ticket", tests, NULL, NULL);
}
