/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lies between GnuTLS and the socket: reading ahead, flights in one write, and no socket options a request.
 *
 * GnuTLS asks for the five bytes of a record's header, then for the rest. A record is a request more often than not, so
 * that one call fetches both, into a buffer of the thread. What GnuTLS does not take before it returns (the request
 * that came with the last message of the handshake, say) moves to the connection: only then it costs memory.
 *
 * "Again" makes libmicrohttpd wait for the descriptor to tell of more. GnuTLS also says it in the middle of a message,
 * and behind one of its own (a key update), with more to be had here or in the socket; so it is passed on only when the
 * socket was found empty.
 */
#include "edge.h"

#include <errno.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/syscall.h>

/* A whole record: header, 2^14 bytes and what encryption may add (RFC 8446, 5.2; RFC 5246, 6.2.3). */
enum { READ_AHEAD = 5 + 16384 + 2048 };

struct edge_ahead {
	size_t used, length;
	unsigned char bytes[];
};

/* Of the connection the thread is receiving for; empty in between. */
static _Thread_local struct {
	bool drained; /* the socket had nothing more */
	size_t used, length;
	unsigned char bytes[READ_AHEAD];
} ahead;

static size_t
take(unsigned char *bytes, size_t *used, size_t length, void *data, size_t size)
{
	size_t n = length - *used < size ? length - *used : size;
	memcpy(data, bytes + *used, n);
	*used += n;
	return n;
}

static ssize_t
socket_pull(gnutls_transport_ptr_t pointer, void *data, size_t size)
{
	struct edge_connection *connection = pointer;
	if (connection->ahead) {
		struct edge_ahead *kept = connection->ahead;
		size_t n = take(kept->bytes, &kept->used, kept->length, data, size);
		if (kept->used == kept->length) {
			free(kept);
			connection->ahead = NULL;
		}
		return (ssize_t) n;
	}
	if (ahead.used == ahead.length) {
		ssize_t came;
		do
			came = recv(connection->fd, ahead.bytes, sizeof(ahead.bytes), 0);
		while (came < 0 && errno == EINTR);
		ahead.used = 0;
		ahead.length = came > 0 ? (size_t) came : 0;
		ahead.drained = came < 0;
		if (came <= 0) {
			gnutls_transport_set_errno(connection->session, came < 0 ? errno : 0);
			return came;
		}
	}
	return (ssize_t) take(ahead.bytes, &ahead.used, ahead.length, data, size);
}

static ssize_t
socket_push(gnutls_transport_ptr_t pointer, const giovec_t *parts, int count)
{
	struct edge_connection *connection = edge_table_of((int) (intptr_t) pointer);
	ssize_t n = flight_write(connection->fd, &connection->held, parts, (size_t) count);
	connection->spoke = true;
	if (n < 0)
		gnutls_transport_set_errno(connection->session, errno);
	return n;
}

void
edge_socket_attach(struct edge_connection *connection)
{
	/* The way out knows the descriptor, by which the table finds the connection of a session. */
	gnutls_transport_set_ptr2(connection->session, (gnutls_transport_ptr_t) connection,
				  (gnutls_transport_ptr_t) (intptr_t) connection->fd);
	gnutls_transport_set_pull_function(connection->session, socket_pull);
	gnutls_transport_set_vec_push_function(connection->session, socket_push);
}

/* After a flight the peer has much to say before we can go on, its Finished at the least. Clients that are careful
 * about the boxes on the way send the six bytes of a ChangeCipherSpec alone before it (RFC 8446, D.4), and nobody needs
 * to be woken for those. Only while nothing of what is awaited was read: else the end of a message could be as short.
 */
void
edge_socket_wait(struct edge_connection *connection)
{
	const int enough = 7;
	if (!connection->spoke)
		return;
	connection->patient = setsockopt(connection->fd, SOL_SOCKET, SO_RCVLOWAT, &enough, sizeof(enough)) == 0;
}

void
edge_socket_wake(struct edge_connection *connection)
{
	const int any = 1;
	connection->spoke = false;
	if (connection->patient)
		(void) setsockopt(connection->fd, SOL_SOCKET, SO_RCVLOWAT, &any, sizeof(any));
	connection->patient = false;
}

void
edge_socket_begin(void)
{
	ahead.drained = false;
}

bool
edge_socket_drained(void)
{
	return ahead.drained;
}

int
edge_socket_settle(struct edge_connection *connection)
{
	size_t left = ahead.length - ahead.used;
	if (left == 0)
		return 0;
	/* Nothing was kept before: only when that is used up the thread's buffer is filled. */
	assert(!connection->ahead);
	struct edge_ahead *kept = malloc(sizeof(*kept) + left);
	if (kept) {
		*kept = (struct edge_ahead){.length = left};
		memcpy(kept->bytes, ahead.bytes + ahead.used, left);
	}
	ahead.used = ahead.length = 0;
	connection->ahead = kept;
	return kept ? 0 : -ENOMEM;
}

/* Libmicrohttpd corks the socket and tells it to push after every answer: two calls where one write of a whole answer
 * needs none. Refused in this way it takes the socket for one without such options and never asks again. Everybody
 * else's calls, and ours before the session exists, go through. */
int
setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
	if (level == IPPROTO_TCP && (option == TCP_NODELAY || option == TCP_CORK) && edge_table_serves(fd)) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return (int) syscall(SYS_setsockopt, fd, level, option, value, length);
}
