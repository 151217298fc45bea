/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A service manager's two ends played here: descriptors passed from number 3 on, and a socket for notifications. */
#include "handover.h"
#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include <cmocka.h>

enum { PASSED = 3 };

struct manager {
	char folder[64], path[96];
	int notified;
	int saved[PASSED];
};

/* The numbers belong to the test program: they are put back when it is over. */
static int
manager_start(void **state)
{
	struct manager *manager = calloc(1, sizeof(*manager));
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	for (int i = 0; i < PASSED; i++)
		manager->saved[i] = fcntl(SD_LISTEN_FDS_START + i, F_DUPFD_CLOEXEC, 100);
	strcpy(manager->folder, "/tmp/test-handover-XXXXXX");
	assert_non_null(mkdtemp(manager->folder));
	snprintf(manager->path, sizeof(manager->path), "%s/notify", manager->folder);
	strcpy(address.sun_path, manager->path);
	manager->notified = fcntl(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), F_DUPFD_CLOEXEC, 50);
	assert_int_equal(bind(manager->notified, (struct sockaddr *) &address, sizeof(address)), 0);
	*state = manager;
	return 0;
}

static int
manager_end(void **state)
{
	struct manager *manager = *state;

	unsetenv("FDSTORE");
	unsetenv("NOTIFY_SOCKET");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	for (int i = 0; i < PASSED; i++) {
		(void) close(SD_LISTEN_FDS_START + i);
		if (manager->saved[i] >= 0) {
			(void) dup2(manager->saved[i], SD_LISTEN_FDS_START + i);
			(void) close(manager->saved[i]);
		}
	}
	(void) close(manager->notified);
	(void) unlink(manager->path);
	(void) rmdir(manager->folder);
	free(manager);
	return 0;
}

static void
has_store(struct manager *manager)
{
	setenv("FDSTORE", "8", 1);
	setenv("NOTIFY_SOCKET", manager->path, 1);
}

/* Descriptors go to the numbers from 3 on; names are separated by colons. */
static void
passes(const int *fds, int count, const char *names)
{
	char number[32];
	for (int i = 0; i < count; i++)
		assert_int_equal(dup2(fds[i], SD_LISTEN_FDS_START + i), SD_LISTEN_FDS_START + i);
	snprintf(number, sizeof(number), "%d", getpid());
	setenv("LISTEN_PID", number, 1);
	snprintf(number, sizeof(number), "%d", count);
	setenv("LISTEN_FDS", number, 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

/* A listening socket at a high number, so that passing does not overwrite it. */
static int
listening(int family, struct sockaddr_storage *ret)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t length = sizeof(*ret);
	int first = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = fcntl(first, F_DUPFD_CLOEXEC, 60);

	(void) close(first);
	if (family == AF_INET)
		assert_int_equal(bind(fd, (struct sockaddr *) &v4, sizeof(v4)), 0);
	else
		assert_int_equal(bind(fd, (struct sockaddr *) &v6, sizeof(v6)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *) ret, &length), 0);
	return fd;
}

/* One notification, and the descriptor that came with it (-1: none). */
static int
hears(struct manager *manager, char text[static 512])
{
	char space[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {text, 511};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
	int fd = -1;

	ssize_t n = recvmsg(manager->notified, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	text[n > 0 ? n : 0] = '\0';
	const struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

/* State is handed out once; what nobody asks for is given up, and no socket with it. */
static void
state_is_taken_once(void **state)
{
	struct manager *manager = *state;
	struct sockaddr_storage address;
	char text[512], byte = 0;
	int fds[PASSED];

	has_store(manager);
	for (int i = 0; i < 2; i++) {
		int first = memfd_create("state", MFD_CLOEXEC);
		fds[i] = fcntl(first, F_DUPFD_CLOEXEC, 70);
		(void) close(first);
	}
	fds[2] = listening(AF_INET, &address);
	assert_int_equal(write(fds[0], "x", 1), 1);
	passes(fds, PASSED, "kept-tickets-main:kept-tickets-old:kept-sock");
	assert_int_equal(handover_take("main"), -ENOENT);
	int found = handover_take("tickets-main");
	assert_true(found >= 0);
	assert_int_equal(pread(found, &byte, 1, 0), 1);
	assert_int_equal(byte, 'x');
	(void) close(found);
	assert_int_equal(handover_take("tickets-main"), -ENOENT);

	handover_prune_state();
	assert_int_equal(hears(manager, text), -1);
	assert_string_equal(text, "FDSTOREREMOVE=1\nFDNAME=kept-tickets-old");
	assert_int_equal(hears(manager, text), -1);
	assert_string_equal(text, "");
	handover_prune_state(); /* once is enough */
	assert_int_equal(hears(manager, text), -1);
	assert_string_equal(text, "");
	bool kept = false;
	found = handover_find((struct sockaddr *) &address, sizeof(struct sockaddr_in), &kept);
	assert_true(found >= 0 && kept);
	(void) close(found);
	for (int i = 0; i < PASSED; i++)
		(void) close(fds[i]);
}

static ino_t
inode_of(int fd)
{
	char path[64], target[64] = "";
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_true(readlink(path, target, sizeof(target) - 1) > 0);
	return (ino_t) strtoull(strchr(target, '[') ? strchr(target, '[') + 1 : "0", NULL, 10);
}

static void
needs_a_store(void **state)
{
	struct manager *manager = *state;
	assert_false(handover_available());
	assert_int_equal(handover_keep("x", 0), -EOPNOTSUPP);
	setenv("NOTIFY_SOCKET", manager->path, 1);
	assert_false(handover_available());
	setenv("FDSTORE", "0", 1);
	assert_false(handover_available());
	has_store(manager);
	assert_true(handover_available());
}

static void
keeps_and_forgets(void **state)
{
	struct manager *manager = *state;
	struct sockaddr_storage bound;
	char text[512];

	has_store(manager);
	int fd = listening(AF_INET6, &bound);
	assert_int_equal(handover_keep("[::1]:443", fd), 0);
	int copy = hears(manager, text);
	assert_non_null(strstr(text, "FDSTORE=1"));
	assert_non_null(strstr(text, "FDPOLL=0"));
	assert_non_null(strstr(text, "FDNAME=kept-[__1]_443"));
	assert_true(copy >= 0);
	assert_int_equal(inode_of(copy), inode_of(fd));
	handover_forget("[::1]:443");
	assert_int_equal(hears(manager, text), -1);
	assert_string_equal(text, "FDSTOREREMOVE=1\nFDNAME=kept-[__1]_443");
	(void) close(copy);
	(void) close(fd);
}

static void
finds_by_address(void **state)
{
	struct sockaddr_storage first, second, other;
	bool kept = false;
	int a = listening(AF_INET, &first), b = listening(AF_INET6, &second), c = listening(AF_INET, &other);

	(void) state;
	passes((int[]){a, b}, 2, "kept-a:mine");
	assert_int_equal(handover_find((struct sockaddr *) &other, sizeof(struct sockaddr_in), &kept), -ENOENT);

	int found = handover_find((struct sockaddr *) &first, sizeof(struct sockaddr_in), &kept);
	assert_true(found >= 0);
	assert_true(kept);
	assert_int_equal(inode_of(found), inode_of(a));
	(void) close(found);
	/* Taken: the original is closed, its number still taken. */
	assert_int_equal(handover_find((struct sockaddr *) &first, sizeof(struct sockaddr_in), &kept), -ENOENT);
	assert_int_equal(inode_of(SD_LISTEN_FDS_START), 0);

	for (int i = 0; i < 2; i++) { /* a socket unit's own may be asked for again */
		found = handover_find((struct sockaddr *) &second, sizeof(struct sockaddr_in6), &kept);
		assert_true(found >= 0);
		assert_false(kept);
		assert_int_equal(inode_of(found), inode_of(b));
		(void) close(found);
	}
	(void) close(a);
	(void) close(b);
	(void) close(c);
}

static void
prunes_what_nobody_asked_for(void **state)
{
	struct manager *manager = *state;
	struct sockaddr_storage first, second, third;
	char text[512];
	bool kept = false;
	int a = listening(AF_INET, &first), b = listening(AF_INET, &second), c = listening(AF_INET, &third);

	passes((int[]){a, b, c}, 3, "kept-a:kept-b:web");
	int found = handover_find((struct sockaddr *) &first, sizeof(struct sockaddr_in), &kept);
	assert_true(found >= 0);
	setenv("NOTIFY_SOCKET", manager->path, 1); /* without a store: no barrier that nobody here would answer */
	assert_int_equal(handover_prune(), 1);
	(void) hears(manager, text);
	assert_string_equal(text, "FDSTOREREMOVE=1\nFDNAME=kept-b");
	assert_int_equal(inode_of(SD_LISTEN_FDS_START + 1), 0);
	assert_int_equal(inode_of(SD_LISTEN_FDS_START + 2), inode_of(c));
	assert_int_equal(handover_prune(), 0);
	(void) close(found);
	(void) close(a);
	(void) close(b);
	(void) close(c);
}

/* What a client put into the queue of the run before is there for the next. */
static void
a_listener_takes_up_the_queue(void **state)
{
	struct manager *manager = *state;
	struct sockaddr_storage bound;
	struct listener *listener = NULL;
	struct error error = {0};
	char address[LISTENER_ADDRESS], text[512];
	int a = listening(AF_INET, &bound), client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	has_store(manager);
	assert_int_equal(connect(client, (struct sockaddr *) &bound, sizeof(struct sockaddr_in)), 0);
	passes((int[]){a}, 1, "kept-a");
	(void) close(a);
	listener_format((struct sockaddr *) &bound, address);
	assert_int_equal(listener_open(address, 16, &listener, &error), 0);
	assert_true(listener_shared(listener));
	listener_keep(listener); /* is there already */
	assert_int_equal(hears(manager, text), -1);
	assert_string_equal(text, "");
	int served = accept4(listener_fd(listener), NULL, NULL, SOCK_CLOEXEC);
	assert_true(served >= 0);
	listener_forget(listener);
	(void) hears(manager, text);
	assert_non_null(strstr(text, "FDSTOREREMOVE=1"));
	assert_false(listener_shared(listener));
	listener_close(&listener);
	(void) close(served);
	(void) close(client);
}

static void
a_listener_keeps_no_port_of_chance(void **state)
{
	struct manager *manager = *state;
	struct listener *listener = NULL;
	char text[512];

	has_store(manager);
	assert_int_equal(listener_open("127.0.0.1:0", 16, &listener, NULL), 0);
	listener_keep(listener);
	assert_false(listener_shared(listener));
	assert_int_equal(hears(manager, text), -1);
	assert_string_equal(text, "");
	listener_close(&listener);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(needs_a_store, manager_start, manager_end),
		cmocka_unit_test_setup_teardown(keeps_and_forgets, manager_start, manager_end),
		cmocka_unit_test_setup_teardown(finds_by_address, manager_start, manager_end),
		cmocka_unit_test_setup_teardown(prunes_what_nobody_asked_for, manager_start, manager_end),
		cmocka_unit_test_setup_teardown(state_is_taken_once, manager_start, manager_end),
		cmocka_unit_test_setup_teardown(a_listener_takes_up_the_queue, manager_start, manager_end),
		cmocka_unit_test_setup_teardown(a_listener_keeps_no_port_of_chance, manager_start, manager_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
