/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

static const char inherited_prefix[] = "inherited:";

struct listener {
	int fd;
	char *configured;
	char bound[LISTENER_ADDRESS];
};

static int
parse_port(const char *text, in_port_t *ret)
{
	unsigned long port = 0;
	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		port = port * 10 + (unsigned long) (*text - '0');
		if (port > 65535)
			return -ERANGE;
	}
	*ret = htons((in_port_t) port);
	return 0;
}

static int
parse_address(const char *text, struct sockaddr_storage *ret, socklen_t *ret_length)
{
	const char *colon = strrchr(text, ':');
	struct sockaddr_storage parsed = {0};
	char host[LISTENER_HOST];
	in_port_t port;

	if (!colon || parse_port(colon + 1, &port) < 0)
		return -EINVAL;
	bool bracketed = text[0] == '[';
	const char *start = bracketed ? text + 1 : text, *end = bracketed ? colon - 1 : colon;
	if ((bracketed && (end < start || *end != ']')) || (size_t) (end - start) >= sizeof(host))
		return -EINVAL;
	memcpy(host, start, (size_t) (end - start));
	host[end - start] = '\0';
	if (bracketed) {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) &parsed;
		v6->sin6_family = AF_INET6;
		v6->sin6_port = port;
		if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
			return -EINVAL;
		*ret_length = sizeof(*v6);
	} else {
		struct sockaddr_in *v4 = (struct sockaddr_in *) &parsed;
		v4->sin_family = AF_INET;
		v4->sin_port = port;
		if (inet_pton(AF_INET, host, &v4->sin_addr) != 1)
			return -EINVAL;
		*ret_length = sizeof(*v4);
	}
	*ret = parsed;
	return 0;
}

static int
open_bound(const char *address, int backlog, int *ret_fd, struct error *error)
{
	struct sockaddr_storage parsed;
	socklen_t length = 0;
	const int one = 1;

	if (parse_address(address, &parsed, &length) < 0)
		return error_set(error, -EINVAL,
				 "%s: not a numeric address with a port, like 127.0.0.1:8443 or [::1]:8443", address);
	CLEANUP_CLOSE int fd = socket(parsed.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(error, -errno, "%s: socket: %s", address, strerror(errno));
	(void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (parsed.ss_family == AF_INET6)
		(void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *) &parsed, length) < 0)
		return error_set(error, -errno, "%s: bind: %s", address, strerror(errno));
	if (listen(fd, backlog) < 0)
		return error_set(error, -errno, "%s: listen: %s", address, strerror(errno));
	*ret_fd = steal_fd(&fd);
	return 0;
}

static void
free_names(char **names, int count)
{
	for (int i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

/* The environment is left as it is: a reload asks again. */
static int
find_inherited(const char *name)
{
	char **names = NULL;
	int count = sd_listen_fds_with_names(0, &names), found = -ENOENT;
	for (int i = 0; i < count; i++) {
		if (strcmp(names[i], name) == 0) {
			found = SD_LISTEN_FDS_START + i;
			break;
		}
	}
	free_names(names, count);
	return found;
}

static int
open_inherited(const char *address, int *ret_fd, struct error *error)
{
	const char *name = address + strlen(inherited_prefix);
	int original = find_inherited(name);
	if (original < 0)
		return error_set(error, -ENOENT,
				 "%s: no socket of that name was passed; set FileDescriptorName=%s in the socket unit",
				 address, name);
	if (sd_is_socket(original, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
		return error_set(error, -ENOTSOCK, "%s: what was passed is not a listening stream socket", address);
	/* A copy: closing ours must leave the passed one for a later reload. */
	CLEANUP_CLOSE int fd = fcntl(original, F_DUPFD_CLOEXEC, 3);
	if (fd < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return error_set(error, -errno, "%s: %s", address, strerror(errno));
	*ret_fd = steal_fd(&fd);
	return 0;
}

int
listener_open(const char *address, int backlog, struct listener **ret, struct error *error)
{
	CLEANUP(listener_close) struct listener *listener = calloc(1, sizeof(*listener));
	struct sockaddr_storage bound = {0};
	socklen_t length = sizeof(bound);

	if (!listener)
		return error_set(error, -ENOMEM, "out of memory");
	listener->fd = -1;
	listener->configured = strdup(address);
	if (!listener->configured)
		return error_set(error, -ENOMEM, "out of memory");
	int r = listener_inherited(listener) ? open_inherited(address, &listener->fd, error)
					     : open_bound(address, backlog, &listener->fd, error);
	if (r < 0)
		return r;
	if (getsockname(listener->fd, (struct sockaddr *) &bound, &length) < 0)
		return error_set(error, -errno, "%s: %s", address, strerror(errno));
	listener_format((struct sockaddr *) &bound, listener->bound);
	*ret = STEAL(listener);
	return 0;
}

int
listener_fd(const struct listener *listener)
{
	return listener->fd;
}

bool
listener_inherited(const struct listener *listener)
{
	return strncmp(listener->configured, inherited_prefix, strlen(inherited_prefix)) == 0;
}

const char *
listener_configured(const struct listener *listener)
{
	return listener->configured;
}

const char *
listener_bound(const struct listener *listener)
{
	return listener->bound;
}

void
listener_close(struct listener **listener)
{
	if (!*listener)
		return;
	if ((*listener)->fd >= 0)
		(void) close((*listener)->fd);
	free((*listener)->configured);
	free(*listener);
	*listener = NULL;
}

void
listener_format_host(const struct sockaddr *address, char host[static LISTENER_HOST], unsigned short *ret_port)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *) address;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *) address;
	(void) snprintf(host, LISTENER_HOST, "unknown");
	*ret_port = 0;
	if (address->sa_family == AF_INET) {
		(void) inet_ntop(AF_INET, &v4->sin_addr, host, LISTENER_HOST);
		*ret_port = ntohs(v4->sin_port);
	} else if (address->sa_family == AF_INET6) {
		if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
			(void) inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], host, LISTENER_HOST);
		else
			(void) inet_ntop(AF_INET6, &v6->sin6_addr, host, LISTENER_HOST);
		*ret_port = ntohs(v6->sin6_port);
	} else if (address->sa_family == AF_UNIX) {
		(void) snprintf(host, LISTENER_HOST, "unix");
	}
}

void
listener_format(const struct sockaddr *address, char text[static LISTENER_ADDRESS])
{
	char host[LISTENER_HOST];
	unsigned short port;
	listener_format_host(address, host, &port);
	(void) snprintf(text, LISTENER_ADDRESS, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}
