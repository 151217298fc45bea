/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "flight.h"

#include "cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

struct flight {
	size_t at, length;
	unsigned char bytes[];
};

static _Thread_local struct {
	bool collecting;
	size_t length;
	unsigned char bytes[FLIGHT_ROOM];
} waiting;

/* How much left; as much as the socket takes. */
static ssize_t
bytes_send(int fd, const unsigned char *bytes, size_t length)
{
	size_t at = 0;
	while (at < length) {
		ssize_t n = send(fd, bytes + at, length - at, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? (ssize_t) at : -errno;
		at += (size_t) n;
	}
	return (ssize_t) at;
}

/* What the thread has collected; the rest of it moves to the front. */
static int
waiting_send(int fd)
{
	ssize_t n = bytes_send(fd, waiting.bytes, waiting.length);
	if (n < 0) {
		waiting.length = 0;
		return (int) n;
	}
	waiting.length -= (size_t) n;
	memmove(waiting.bytes, waiting.bytes + n, waiting.length);
	return waiting.length ? -EAGAIN : 0;
}

void
flight_begin(void)
{
	waiting.collecting = true;
	waiting.length = 0;
}

int
flight_end(int fd, struct flight **rest)
{
	waiting.collecting = false;
	int r = waiting.length ? waiting_send(fd) : 0;
	if (r != -EAGAIN)
		return r;
	struct flight *flight = malloc(sizeof(*flight) + waiting.length);
	if (!flight)
		return -ENOMEM;
	*flight = (struct flight){.length = waiting.length};
	memcpy(flight->bytes, waiting.bytes, waiting.length);
	waiting.length = 0;
	*rest = flight;
	return -EAGAIN;
}

int
flight_continue(int fd, struct flight **rest)
{
	struct flight *flight = *rest;
	if (!flight)
		return 0;
	ssize_t n = bytes_send(fd, flight->bytes + flight->at, flight->length - flight->at);
	if (n < 0)
		return (int) n;
	flight->at += (size_t) n;
	if (flight->at < flight->length)
		return -EAGAIN;
	flight_free(rest);
	return 0;
}

static size_t
parts_length(const struct iovec *parts, size_t count)
{
	size_t length = 0;
	for (size_t i = 0; i < count; i++)
		length += parts[i].iov_len;
	return length;
}

ssize_t
flight_write(int fd, struct flight **rest, const struct iovec *parts, size_t count)
{
	size_t length = parts_length(parts, count);
	int r = flight_continue(fd, rest);
	if (r == 0 && waiting.collecting && waiting.length + length > FLIGHT_ROOM)
		r = waiting_send(fd);
	if (r < 0) {
		errno = -r;
		return -1;
	}
	if (!waiting.collecting || length > FLIGHT_ROOM) {
		const struct msghdr message = {.msg_iov = (struct iovec *) (uintptr_t) parts, .msg_iovlen = count};
		return sendmsg(fd, &message, MSG_NOSIGNAL);
	}
	for (size_t i = 0; i < count; i++) {
		memcpy(waiting.bytes + waiting.length, parts[i].iov_base, parts[i].iov_len);
		waiting.length += parts[i].iov_len;
	}
	return (ssize_t) length;
}

void
flight_free(struct flight **rest)
{
	free(*rest);
	*rest = NULL;
}
