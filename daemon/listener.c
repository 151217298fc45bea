/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listener.h"

#include "handover.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

static const char inherited_prefix[] = "inherited:";

struct listener {
	int fd;
	char *configured;
	bool kept; /* the service manager has a copy for whoever comes after us */
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
bind_address(const char *text, const struct sockaddr *address, socklen_t length, int *ret_fd, struct error *error)
{
	const int one = 1;

	CLEANUP_CLOSE int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(error, -errno, "%s: socket: %s", text, strerror(errno));
	(void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (address->sa_family == AF_INET6)
		(void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	int r = bind(fd, address, length);
	if (r < 0 && errno == EADDRINUSE && handover_available()) {
		(void) handover_prune(); /* the manager may hold what an older configuration listened on */
		r = bind(fd, address, length);
	}
	if (r < 0)
		return error_set(error, -errno, "%s: bind: %s", text, strerror(errno));
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int
open_bound(struct listener *listener, int backlog, struct error *error)
{
	const char *text = listener->configured;
	struct sockaddr_storage parsed = {0};
	struct sockaddr *address = (struct sockaddr *) &parsed;
	socklen_t length = 0;
	int r = 0;

	if (parse_address(text, &parsed, &length) < 0)
		return error_set(error, -EINVAL,
				 "%s: not a numeric address with a port, like 127.0.0.1:8443 or [::1]:8443", text);
	listener->fd = handover_find(address, length, &listener->kept);
	if (listener->fd < 0)
		r = bind_address(text, address, length, &listener->fd, error);
	if (r < 0)
		return r;
	if (fcntl(listener->fd, F_SETFL, fcntl(listener->fd, F_GETFL) | O_NONBLOCK) < 0 ||
	    listen(listener->fd, backlog) < 0)
		return error_set(error, -errno, "%s: listen: %s", text, strerror(errno));
	return 0;
}

static int
open_inherited(const char *address, int *ret_fd, struct error *error)
{
	const char *name = address + strlen(inherited_prefix);
	CLEANUP_CLOSE int fd = handover_find_named(name);
	if (fd == -ENOENT)
		return error_set(error, -ENOENT,
				 "%s: no socket of that name was passed; set FileDescriptorName=%s in the socket unit",
				 address, name);
	if (fd < 0)
		return error_set(error, fd, "%s: %s", address, strerror(-fd));
	if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
		return error_set(error, -ENOTSOCK, "%s: what was passed is not a listening stream socket", address);
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
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
					     : open_bound(listener, backlog, error);
	if (r < 0)
		return r;
	/* What is accepted inherits it: answers are written whole, and none must wait for an acknowledgement. */
	const int one = 1;
	(void) setsockopt(listener->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
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
listener_keep(struct listener *listener)
{
	/* Nobody could ask for a port that chance gave. */
	if (listener->kept || listener_inherited(listener) || strcmp(strrchr(listener->configured, ':'), ":0") == 0)
		return;
	listener->kept = handover_keep(listener->bound, listener->fd) == 0;
}

bool
listener_shared(const struct listener *listener)
{
	return listener->kept || listener_inherited(listener);
}

void
listener_forget(struct listener *listener)
{
	if (listener->kept)
		handover_forget(listener->bound);
	listener->kept = false;
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
