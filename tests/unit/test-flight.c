/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Flights over a socket pair that keeps writes apart, and over one that is full. */
#include "flight.h"

#include "cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static ssize_t
write_text(int fd, struct flight **rest, const char *text)
{
	size_t half = strlen(text) / 2;
	const struct iovec parts[] = {{(char *) (uintptr_t) text, half},
				      {(char *) (uintptr_t) text + half, strlen(text) - half}};
	return flight_write(fd, rest, parts, ARRAY_LENGTH(parts));
}

static void
expect(int fd, const char *text)
{
	char bytes[64];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(bytes, text, strlen(text));
}

/* Each write is a message of its own here, so that it can be told how many there were. */
static void
test_one_write_a_flight(void **state)
{
	int fds[2];
	struct flight *rest = NULL;
	char bytes[64];
	(void) state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	flight_begin();
	assert_int_equal(write_text(fds[0], &rest, "hello, "), 7);
	assert_int_equal(write_text(fds[0], &rest, "you"), 3);
	assert_int_equal(recv(fds[1], bytes, sizeof(bytes), 0), -1);
	assert_int_equal(flight_end(fds[0], &rest), 0);
	assert_null(rest);
	expect(fds[1], "hello, you");
	/* Outside of flights nothing waits; an empty one writes nothing. */
	assert_int_equal(write_text(fds[0], &rest, "one"), 3);
	expect(fds[1], "one");
	flight_begin();
	assert_int_equal(flight_end(fds[0], &rest), 0);
	assert_int_equal(recv(fds[1], bytes, sizeof(bytes), 0), -1);
	(void) close(fds[1]);
	flight_begin();
	assert_int_equal(write_text(fds[0], &rest, "lost"), 4);
	assert_int_equal(flight_end(fds[0], &rest), -EPIPE);
	assert_null(rest);
	(void) close(fds[0]);
}

/* Reads all there is; what it reads must go on counting from `number`. */
static unsigned
drain(int fd, unsigned number)
{
	unsigned char bytes[1000];
	for (ssize_t n; (n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0;)
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(bytes[i], number++ % 251);
	return number;
}

/* Counts on; returns how much the other side took. */
static size_t
write_numbers(int fd, struct flight **rest, unsigned number, size_t size)
{
	static unsigned char bytes[3 * FLIGHT_ROOM];
	const struct iovec part = {bytes, size};
	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char) ((number + i) % 251);
	ssize_t n = flight_write(fd, rest, &part, 1);
	if (n < 0)
		assert_int_equal(errno, EAGAIN);
	return n < 0 ? 0 : (size_t) n;
}

/* Whatever is full when, everything arrives once and in order. */
static void
test_a_full_socket(void **state)
{
	static const size_t sizes[] = {
		1, 500, FLIGHT_ROOM / 2, FLIGHT_ROOM - 1, FLIGHT_ROOM, FLIGHT_ROOM + 1, 3 * FLIGHT_ROOM};
	int fds[2], small = 1;
	struct flight *rest = NULL;
	unsigned sent = 0, came = 0, full = 0, kept = 0;
	(void) state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	for (unsigned i = 0; i < 5000; i++) {
		bool flight = i % 3;
		if (flight)
			flight_begin();
		for (unsigned j = 0; j < 1 + i % 4; j++) {
			size_t size = sizes[(i * 5 + j) % ARRAY_LENGTH(sizes)],
			       n = write_numbers(fds[0], &rest, sent, size);
			sent += (unsigned) n;
			full += n < size;
			if (n < size)
				break;
		}
		if (flight) {
			int r = flight_end(fds[0], &rest);
			assert_true(r == 0 || r == -EAGAIN);
			assert_int_equal(r == 0, rest == NULL);
			kept += r != 0;
		}
		if (i % 7 == 0)
			came = drain(fds[1], came);
		/* A flight begins when the one before has left. */
		while (flight_continue(fds[0], &rest) == -EAGAIN)
			came = drain(fds[1], came);
	}
	while (flight_continue(fds[0], &rest) == -EAGAIN)
		came = drain(fds[1], came);
	assert_int_equal(drain(fds[1], came), sent);
	assert_true(full > 100 && kept > 100);
	assert_true(flight_continue(fds[0], &rest) == 0 && !rest);
	(void) close(fds[0]);
	(void) close(fds[1]);
}

static void
test_what_is_left_is_freed(void **state)
{
	int fds[2], small = 1;
	struct flight *rest = NULL;
	(void) state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	while (write_numbers(fds[0], &rest, 0, 1000) == 1000)
		continue;
	flight_begin();
	assert_int_equal(write_numbers(fds[0], &rest, 0, 1000), 1000);
	assert_int_equal(flight_end(fds[0], &rest), -EAGAIN);
	(void) close(fds[1]);
	assert_int_equal(flight_continue(fds[0], &rest), -EPIPE);
	assert_non_null(rest);
	flight_free(&rest);
	assert_null(rest);
	flight_free(&rest);
	(void) close(fds[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_write_a_flight),
		cmocka_unit_test(test_a_full_socket),
		cmocka_unit_test(test_what_is_left_is_freed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
