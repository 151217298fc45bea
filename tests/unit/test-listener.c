/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listener.h"
#include "peer-limit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cmocka.h>

static struct sockaddr_storage
address_of(const char *text, unsigned short port)
{
	struct sockaddr_storage address = {0};
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) &address;
	struct sockaddr_in *v4 = (struct sockaddr_in *) &address;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
	}
	return address;
}

static void
binds_and_tells_the_port(void **state)
{
	(void) state;
	struct listener *listener = NULL, *second = NULL;
	struct error error = {0};
	assert_int_equal(listener_open("127.0.0.1:0", 16, &listener, &error), 0);
	assert_string_equal(listener_configured(listener), "127.0.0.1:0");
	assert_memory_equal(listener_bound(listener), "127.0.0.1:", 10);
	assert_true(atoi(listener_bound(listener) + 10) > 0);
	assert_false(listener_inherited(listener));
	assert_true(fcntl(listener_fd(listener), F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(listener_fd(listener), F_GETFD) & FD_CLOEXEC);
	/* Taken: the message names the address and the reason. */
	assert_int_equal(listener_open(listener_bound(listener), 16, &second, &error), -EADDRINUSE);
	assert_null(second);
	assert_non_null(strstr(error.text, listener_bound(listener)));
	listener_close(&listener);
	assert_null(listener);
	listener_close(&listener);
}

static void
refuses_what_is_no_numeric_address(void **state)
{
	(void) state;
	static const char *const texts[] = {"",
					    "8443",
					    ":8443",
					    "localhost:8443",
					    "127.0.0.1",
					    "127.0.0.1:",
					    "127.0.0.1:x",
					    "127.0.0.1:65536",
					    "::1:8443",
					    "[::1]",
					    "[::1:8443",
					    "[::1]8443",
					    "[127.0.0.1]:1",
					    "1.2.3:80",
					    "[]:80",
					    "127.0.0.1:-1",
					    "[::1]:99999999999999999999"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct listener *listener = NULL;
		struct error error = {0};
		assert_int_equal(listener_open(texts[i], 16, &listener, &error), -EINVAL);
		assert_null(listener);
		assert_non_null(strstr(error.text, "127.0.0.1:8443")); /* the cure */
	}
}

static void
inherits_by_name(void **state)
{
	(void) state;
	struct listener *original = NULL, *inherited = NULL;
	struct error error = {0};
	assert_int_equal(listener_open("127.0.0.1:0", 16, &original, NULL), 0);
	int fd = listener_fd(original);
	int saved = dup(SD_LISTEN_FDS_START);
	if (fd != SD_LISTEN_FDS_START)
		assert_int_equal(dup2(fd, SD_LISTEN_FDS_START), SD_LISTEN_FDS_START);
	char pid[32];
	(void) snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_FDNAMES", "https", 1);
	for (int i = 0; i < 2; i++) { /* again after a close, as a reload does */
		assert_int_equal(listener_open("inherited:https", 16, &inherited, &error), 0);
		assert_true(listener_inherited(inherited));
		assert_string_equal(listener_bound(inherited), listener_bound(original));
		assert_int_not_equal(listener_fd(inherited), SD_LISTEN_FDS_START);
		listener_close(&inherited);
	}
	assert_int_equal(listener_open("inherited:other", 16, &inherited, &error), -ENOENT);
	assert_non_null(strstr(error.text, "FileDescriptorName=other"));
	assert_null(inherited);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (fd != SD_LISTEN_FDS_START) {
		if (saved >= 0)
			(void) dup2(saved, SD_LISTEN_FDS_START);
		else
			(void) close(SD_LISTEN_FDS_START);
	}
	if (saved >= 0)
		(void) close(saved);
	listener_close(&original);
}

static void
formats_addresses(void **state)
{
	(void) state;
	static const struct {
		const char *address, *text, *host;
	} rows[] = {
		{"192.0.2.1", "192.0.2.1:443", "192.0.2.1"},
		{"2001:db8::1", "[2001:db8::1]:443", "2001:db8::1"},
		{"::ffff:192.0.2.1", "192.0.2.1:443", "192.0.2.1"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sockaddr_storage address = address_of(rows[i].address, 443);
		char text[LISTENER_ADDRESS], host[LISTENER_HOST];
		unsigned short port = 0;
		listener_format((struct sockaddr *) &address, text);
		assert_string_equal(text, rows[i].text);
		listener_format_host((struct sockaddr *) &address, host, &port);
		assert_string_equal(host, rows[i].host);
		assert_int_equal(port, 443);
	}
}

static struct peer_key
key_of(const char *text)
{
	struct sockaddr_storage address = address_of(text, 1);
	return peer_limit_key((struct sockaddr *) &address);
}

static void
an_address_has_its_limit(void **state)
{
	(void) state;
	struct peer_limit *limit = NULL;
	assert_int_equal(peer_limit_new(&limit), 0);
	struct peer_key a = key_of("192.0.2.1"), b = key_of("192.0.2.2"), mapped = key_of("::ffff:192.0.2.1");
	assert_int_equal(peer_limit_take(limit, &a, 2), 0);
	assert_int_equal(peer_limit_take(limit, &mapped, 2), 0); /* the same client */
	assert_int_equal(peer_limit_take(limit, &a, 2), -EUSERS);
	assert_int_equal(peer_limit_take(limit, &b, 2), 0);
	assert_int_equal(peer_limit_take(limit, &b, 0), -EUSERS);
	peer_limit_give(limit, &a);
	assert_int_equal(peer_limit_take(limit, &a, 2), 0);
	assert_int_equal(peer_limit_addresses(limit), 2);
	peer_limit_give(limit, &a);
	peer_limit_give(limit, &a);
	peer_limit_give(limit, &b);
	assert_int_equal(peer_limit_addresses(limit), 0);
	peer_limit_free(&limit);
	assert_null(limit);
	peer_limit_free(&limit);
}

static void
an_ipv6_network_counts_as_one(void **state)
{
	(void) state;
	struct peer_limit *limit = NULL;
	assert_int_equal(peer_limit_new(&limit), 0);
	struct peer_key a = key_of("2001:db8:0:1::1"), same = key_of("2001:db8:0:1:ffff::2"),
			other = key_of("2001:db8:0:2::1");
	assert_int_equal(peer_limit_take(limit, &a, 1), 0);
	assert_int_equal(peer_limit_take(limit, &same, 1), -EUSERS);
	assert_int_equal(peer_limit_take(limit, &other, 1), 0);
	peer_limit_free(&limit);
}

static void
many_addresses(void **state)
{
	(void) state;
	struct peer_limit *limit = NULL;
	assert_int_equal(peer_limit_new(&limit), 0);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 5000; i++) {
			char text[32];
			(void) snprintf(text, sizeof(text), "10.1.%u.%u", i / 256, i % 256);
			struct peer_key key = key_of(text);
			if (round == 0)
				assert_int_equal(peer_limit_take(limit, &key, 1), 0);
			else
				peer_limit_give(limit, &key);
		}
		assert_int_equal(peer_limit_addresses(limit), round == 0 ? 5000 : 0);
	}
	peer_limit_free(&limit);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(binds_and_tells_the_port), cmocka_unit_test(refuses_what_is_no_numeric_address),
		cmocka_unit_test(inherits_by_name),         cmocka_unit_test(formats_addresses),
		cmocka_unit_test(an_address_has_its_limit), cmocka_unit_test(an_ipv6_network_counts_as_one),
		cmocka_unit_test(many_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
