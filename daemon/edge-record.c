/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The GnuTLS calls libmicrohttpd makes for a session, seen on their way: handshake, receive, pending (and send, which
 * is in edge-send.c).
 *
 * They are defined in the executable and exported (exports.list), so that the dynamic linker binds libmicrohttpd to
 * them. Sessions that are not ours (a plugin may speak TLS too) go straight through.
 */
#include "edge.h"

#include <dlfcn.h>
#include <errno.h>
#include <netinet/tcp.h>

enum { STEPS_AT_ONCE = 100 };

typedef int handshake_call(gnutls_session_t session);
typedef ssize_t receive_call(gnutls_session_t session, void *data, size_t size);
typedef size_t pending_call(gnutls_session_t session);

/* GnuTLS's own, looked up when first needed. */
static handshake_call *_Atomic next_handshake;
static receive_call *_Atomic next_receive;
static pending_call *_Atomic next_pending;

static void *
find_next(const char *name)
{
	void *symbol = dlsym(RTLD_NEXT, name);
	if (!symbol)
		abort(); /* linked against a GnuTLS without it: cannot have started */
	return symbol;
}

static int
call_handshake(gnutls_session_t session)
{
	if (!next_handshake)
		next_handshake = (handshake_call *) find_next("gnutls_handshake");
	return next_handshake(session);
}

static ssize_t
call_receive(gnutls_session_t session, void *data, size_t size)
{
	if (!next_receive)
		next_receive = (receive_call *) find_next("gnutls_record_recv");
	return next_receive(session, data, size);
}

static size_t
call_pending(gnutls_session_t session)
{
	if (!next_pending)
		next_pending = (pending_call *) find_next("gnutls_record_check_pending");
	return next_pending(session);
}

struct handshake *
edge_record_handshake(gnutls_session_t session)
{
	struct edge_connection *connection = edge_table_find(session);
	return connection ? &connection->handshake : NULL;
}

int
edge_record_check(struct error *error)
{
	if (dlsym(RTLD_DEFAULT, "gnutls_handshake") == (void *) gnutls_handshake &&
	    dlsym(RTLD_DEFAULT, "gnutls_record_recv") == (void *) gnutls_record_recv &&
	    dlsym(RTLD_DEFAULT, "gnutls_record_send") == (void *) gnutls_record_send &&
	    dlsym(RTLD_DEFAULT, "gnutls_record_check_pending") == (void *) gnutls_record_check_pending &&
	    dlsym(RTLD_NEXT, "gnutls_record_recv") != (void *) gnutls_record_recv)
		return 0;
	return error_set(error, -ENOTSUP,
			 "the executable does not export its framing gate to libmicrohttpd; "
			 "link it with daemon/exports.list");
}

/* --- handshake --------------------------------------------------------------------------------------------------- */

/* Shows by what the peer was let in, and looks once more if the policy changed before it was to be seen. */
static int
connection_admit(struct edge_connection *connection)
{
	struct handshake *handshake = &connection->handshake;
	for (;;) {
		uint64_t epoch = handshake->epoch;
		pthread_mutex_lock(&connection->lock);
		struct chain *before = connection->chain;
		connection->chain = STEAL(handshake->chain);
		pthread_mutex_unlock(&connection->lock);
		chain_unref(&before);
		int r = handshake_confirm(handshake, connection->session);
		if (r < 0 || handshake->epoch == epoch)
			return r;
	}
}

static int
connection_opened(struct edge_connection *connection)
{
	int refused = connection_admit(connection);
	if (refused < 0)
		return refused;
	int r = gate_new(&connection->profile->gate, &connection->gate);
	if (r < 0)
		return GNUTLS_E_MEMORY_ERROR;
	edge_count(connection, connection->handshake.resumed ? EDGE_RESUMED : EDGE_FULL);
	stats_add(connection->endpoint->stats, EDGE_OPEN_HANDSHAKING, (uint64_t) -1);
	edge_turn_give(connection);
	/* Without it a TLS 1.3 client that uses Nagle's algorithm holds its request back until our delayed
	 * acknowledgement of its Finished: 40 ms. */
	const int one = 1;
	(void) setsockopt(connection->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
	pthread_mutex_lock(&connection->lock);
	connection->state = EDGE_OPEN;
	edge_expect(connection, EDGE_IDLE);
	pthread_mutex_unlock(&connection->lock);
	return GNUTLS_E_SUCCESS;
}

/* In epoll mode libmicrohttpd keeps a connection it calls readable ready for ever when the handshake wants more than
 * has come, and spins. A suspended one costs nothing. */
static int
handshake_wait(struct edge_connection *connection)
{
	bool reading = gnutls_record_get_direction(connection->session) == 0 && !connection->held;
	if (reading)
		edge_socket_wait(connection);
	/* Before it is watched: its next turn may come at once. */
	edge_turn_give(connection);
	return edge_suspend(connection, EDGE_FOR_PEER, reading ? EPOLLIN | EPOLLRDHUP : EPOLLOUT)
		       ? GNUTLS_E_AGAIN
		       : GNUTLS_E_PREMATURE_TERMINATION;
}

/* As far as it goes with what has come, but not for ever: "interrupted" lets others in between. */
static int
handshake_step(struct edge_connection *connection)
{
	gnutls_session_t session = connection->session;
	for (unsigned i = 0; i < STEPS_AT_ONCE; i++) {
		edge_socket_begin();
		int result = handshake_judge(&connection->handshake, session, call_handshake(session));
		if (edge_socket_settle(connection) < 0)
			return GNUTLS_E_MEMORY_ERROR;
		bool reading = gnutls_record_get_direction(session) == 0;
		if (result != GNUTLS_E_AGAIN || !reading || edge_socket_drained())
			return result;
	}
	return GNUTLS_E_INTERRUPTED;
}

/* The same, and what there is to say to it leaves at once. */
static int
handshake_fly(struct edge_connection *connection)
{
	if (connection->shaken)
		return GNUTLS_E_SUCCESS;
	flight_begin();
	int result = handshake_step(connection);
	int r = flight_end(connection->fd, &connection->held);
	if (r == 0 || (gnutls_error_is_fatal(result) && result != GNUTLS_E_SUCCESS))
		return result;
	connection->shaken = result == GNUTLS_E_SUCCESS;
	return r == -EAGAIN ? GNUTLS_E_AGAIN : GNUTLS_E_PUSH_ERROR;
}

int
gnutls_handshake(gnutls_session_t session)
{
	struct edge_connection *connection = edge_table_find(session);
	if (!connection)
		return call_handshake(session);
	edge_socket_wake(connection);
	int r = flight_continue(connection->fd, &connection->held);
	if (r < 0 && r != -EAGAIN)
		return GNUTLS_E_PUSH_ERROR;
	int result = r < 0 ? GNUTLS_E_AGAIN : handshake_fly(connection);
	if (result == GNUTLS_E_SUCCESS)
		return connection_opened(connection);
	return result == GNUTLS_E_AGAIN ? handshake_wait(connection) : result;
}

/* --- receiving --------------------------------------------------------------------------------------------------- */

static void
expect(struct edge_connection *connection, enum edge_deadline what)
{
	pthread_mutex_lock(&connection->lock);
	edge_expect(connection, what);
	pthread_mutex_unlock(&connection->lock);
}

/* The gate has let `length` bytes pass: which deadline counts now, and is the message whole. */
static void
note_progress(struct edge_connection *connection, long length)
{
	enum gate_phase phase = gate_phase(connection->gate);
	bool whole = length > 0 && phase != GATE_BODY && !(phase == GATE_REFUSED && gate_pending(connection->gate));
	if (whole) {
		pthread_mutex_lock(&connection->lock);
		connection->busy = true;
		edge_expect_nothing(connection); /* now it is ours to be in time */
		pthread_mutex_unlock(&connection->lock);
	} else if (phase != connection->phase && phase == GATE_HEAD) {
		expect(connection, EDGE_HEADER);
	} else if (phase != connection->phase && phase == GATE_BODY) {
		expect(connection, EDGE_BODY);
	}
	connection->phase = phase;
}

static long
pass_withheld(struct edge_connection *connection, void *data, size_t size)
{
	if (!gate_pending(connection->gate))
		return 0;
	long n = gate_pass(connection->gate, NULL, 0, data, size);
	if (n > 0)
		note_progress(connection, n);
	return n;
}

/* Renegotiation is how a client of TLS 1.2 makes a server work for nothing: GnuTLS reports it, and the connection ends.
 * So does a record that cannot be read. */
static void
note_failure(struct edge_connection *connection, ssize_t failure)
{
	if (failure == GNUTLS_E_REHANDSHAKE)
		edge_count(connection, EDGE_RENEGOTIATIONS);
	else if (gnutls_error_is_fatal((int) failure) && failure != GNUTLS_E_PREMATURE_TERMINATION &&
		 failure != GNUTLS_E_PULL_ERROR && failure != GNUTLS_E_FATAL_ALERT_RECEIVED)
		edge_count(connection, EDGE_BAD_RECORDS);
}

static ssize_t
receive_step(struct edge_connection *connection, void *data, size_t size)
{
	for (unsigned i = 0; i < STEPS_AT_ONCE; i++) {
		edge_socket_begin();
		ssize_t came = call_receive(connection->session, data, size);
		if (edge_socket_settle(connection) < 0)
			return GNUTLS_E_MEMORY_ERROR;
		if (came < 0)
			note_failure(connection, came);
		if (came != GNUTLS_E_AGAIN || edge_socket_drained())
			return came;
	}
	return GNUTLS_E_INTERRUPTED;
}

static ssize_t
connection_receive(struct edge_connection *connection, void *data, size_t size)
{
	/* libmicrohttpd also reads after a resume, with the request whole and its answer to come. The next request must
	 * wait, and so must the news that the client has closed its side. "Interrupted" makes it ask again later;
	 * "again" would make it wait for the descriptor, which knows nothing of bytes withheld here. */
	if (connection->busy)
		return GNUTLS_E_INTERRUPTED;
	if (!connection->gate)
		return GNUTLS_E_INTERNAL_ERROR;
	for (;;) {
		long n = pass_withheld(connection, data, size);
		if (n == 0) {
			ssize_t came = receive_step(connection, data, gate_wanted(connection->gate, size));
			if (came <= 0)
				return came;
			n = gate_pass(connection->gate, data, (size_t) came, data, size);
			if (n >= 0)
				note_progress(connection, n);
		}
		if (n < 0)
			return GNUTLS_E_MEMORY_ERROR;
		if (n > 0)
			return n;
	}
}

ssize_t
gnutls_record_recv(gnutls_session_t session, void *data, size_t size)
{
	struct edge_connection *connection = edge_table_find(session);
	return connection ? connection_receive(connection, data, size) : call_receive(session, data, size);
}

size_t
gnutls_record_check_pending(gnutls_session_t session)
{
	struct edge_connection *connection = edge_table_find(session);
	if (!connection || (!connection->ahead && !(connection->gate && gate_pending(connection->gate))))
		return call_pending(session);
	return 1;
}

void
edge_record_next(struct edge_connection *connection)
{
	pthread_mutex_lock(&connection->lock);
	connection->busy = false;
	connection->served = true;
	connection->phase = GATE_IDLE;
	edge_expect(connection, EDGE_IDLE);
	pthread_mutex_unlock(&connection->lock);
}
