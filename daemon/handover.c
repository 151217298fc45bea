/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handover.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

/* Tells our own from what socket units pass. */
static const char prefix[] = "kept-";
enum { NAME_SIZE = 256, PATIENCE = 1000 * 1000 };

struct passed {
	char **names;
	int count;
};

static void
passed_clear(struct passed *passed)
{
	for (int i = 0; i < passed->count; i++)
		free(passed->names[i]);
	free(passed->names);
}

/* The environment is left as it is: a reload asks again. */
static struct passed
passed_read(void)
{
	struct passed passed = {0};
	passed.count = sd_listen_fds_with_names(0, &passed.names);
	if (passed.count < 0)
		passed.count = 0;
	return passed;
}

/* Colons separate names where the manager lists them. */
static void
store_name(const char *name, char stored[static NAME_SIZE])
{
	(void) snprintf(stored, NAME_SIZE, "%s%s", prefix, name);
	for (char *p = stored; *p; p++)
		if (*p == ':')
			*p = '_';
}

static bool
is_ours(const char *name)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* The number stays taken: who looks again must not find a stranger there. */
static void
vacate(int fd)
{
	CLEANUP_CLOSE int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (nothing >= 0)
		(void) dup3(nothing, fd, O_CLOEXEC);
}

/* True where vacate has been. */
static bool
is_vacant(int fd)
{
	struct stat status;
	return fstat(fd, &status) < 0 || S_ISCHR(status.st_mode);
}

static bool
same_address(int fd, const struct sockaddr *wanted, socklen_t wanted_length)
{
	struct sockaddr_storage bound = {0};
	socklen_t length = sizeof(bound);
	if (sd_is_socket(fd, wanted->sa_family, SOCK_STREAM, 1) <= 0 ||
	    getsockname(fd, (struct sockaddr *) &bound, &length) < 0)
		return false;
	if (wanted->sa_family == AF_UNIX) {
		const struct sockaddr_un *a = (const struct sockaddr_un *) &bound, *b = (const void *) wanted;
		return strncmp(a->sun_path, b->sun_path, sizeof(a->sun_path)) == 0;
	}
	if (wanted->sa_family == AF_INET6) {
		const struct sockaddr_in6 *a = (const struct sockaddr_in6 *) &bound, *b = (const void *) wanted;
		return a->sin6_port == b->sin6_port && IN6_ARE_ADDR_EQUAL(&a->sin6_addr, &b->sin6_addr);
	}
	return length == wanted_length && memcmp(&bound, wanted, length) == 0;
}

bool
handover_available(void)
{
	const char *most = getenv("FDSTORE");
	return most && atoi(most) > 0 && getenv("NOTIFY_SOCKET");
}

/* A copy; once: nobody gets another. */
static int
hand_out(int original, bool once)
{
	int fd = fcntl(original, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	if (once)
		vacate(original);
	return fd;
}

static int
find_named(const char *name, bool once)
{
	CLEANUP(passed_clear) struct passed passed = passed_read();
	for (int i = 0; i < passed.count; i++)
		if (strcmp(passed.names[i], name) == 0 && !is_vacant(SD_LISTEN_FDS_START + i))
			return hand_out(SD_LISTEN_FDS_START + i, once);
	return -ENOENT;
}

int
handover_find_named(const char *name)
{
	return find_named(name, false);
}

int
handover_find(const struct sockaddr *address, socklen_t length, bool *ret_kept)
{
	CLEANUP(passed_clear) struct passed passed = passed_read();
	for (int i = 0; i < passed.count; i++) {
		int original = SD_LISTEN_FDS_START + i;
		if (!same_address(original, address, length))
			continue;
		int fd = hand_out(original, is_ours(passed.names[i]));
		if (fd >= 0)
			*ret_kept = is_ours(passed.names[i]);
		return fd;
	}
	return -ENOENT;
}

int
handover_take(const char *name)
{
	char stored[NAME_SIZE];
	store_name(name, stored);
	return find_named(stored, true);
}

int
handover_keep(const char *name, int fd)
{
	char stored[NAME_SIZE], text[NAME_SIZE + 64];
	if (!handover_available())
		return -EOPNOTSUPP;
	store_name(name, stored);
	(void) snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", stored);
	int r = sd_pid_notify_with_fds(0, 0, text, &fd, 1);
	return r > 0 ? 0 : r < 0 ? r : -EOPNOTSUPP;
}

static void
forget(const char *stored)
{
	(void) sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", stored);
}

void
handover_forget(const char *name)
{
	char stored[NAME_SIZE];
	store_name(name, stored);
	forget(stored);
}

static unsigned
prune(bool sockets)
{
	CLEANUP(passed_clear) struct passed passed = passed_read();
	unsigned count = 0;
	for (int i = 0; i < passed.count; i++) {
		int fd = SD_LISTEN_FDS_START + i;
		if (!is_ours(passed.names[i]) || is_vacant(fd) ||
		    (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) > 0) != sockets)
			continue;
		forget(passed.names[i]);
		vacate(fd);
		count++;
	}
	return count;
}

unsigned
handover_prune(void)
{
	unsigned count = prune(true);
	/* Also for what was given up one by one: an address is free only when the manager's copy is closed. */
	if (handover_available())
		(void) sd_notify_barrier(0, PATIENCE);
	return count;
}

void
handover_prune_state(void)
{
	(void) prune(false);
}
