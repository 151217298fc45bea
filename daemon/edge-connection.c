/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections: birth and death, the one deadline that counts, suspension. */
#include "edge.h"

#include "event.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>

/* RFC 9112, 9.6: close in stages. Long enough for a round trip to anywhere and a retransmission. */
static const uint64_t linger_time = 2000000;
/* RFC 9112, 9.3.1: a client may send its next request while we close the connection it believes to be idle, and must
 * guess whether it was served. One that has been idle for this long hardly does. */
static const uint64_t drain_grace = 1000000;
/* One that has connected and not asked yet is about to: it may be on a slow way or a busy machine. */
static const uint64_t first_grace = 5000000;

enum { TRIM_AFTER = 256 }; /* connections: some 4 MiB */
static const uint64_t trim_delay = 3000000;

void
edge_profile_unref(struct edge_profile **profile)
{
	struct edge_profile *old = *profile;
	*profile = NULL;
	if (!old || atomic_fetch_sub_explicit(&old->references, 1, memory_order_acq_rel) != 1)
		return;
	tls_set_unref(&old->set);
	free(old->listener);
	free(old);
}

void
edge_count(const struct edge_connection *connection, unsigned counter)
{
	stats_add(connection->endpoint->stats, counter, 1);
}

/* --- deadlines --------------------------------------------------------------------------------------------------- */

void
edge_expect_by(struct edge_connection *connection, enum edge_deadline what, uint64_t at)
{
	connection->due = at;
	connection->due_for = what;
	if (connection->armed && connection->armed <= at)
		return; /* the wheel asks early enough and is told the new time then */
	connection->armed = at;
	deadline_arm(connection->endpoint->wheel, &connection->deadline, at);
}

/* How long a connection may be idle that is to end. */
static uint64_t
closing_patience(const struct edge_connection *connection)
{
	uint64_t grace = connection->served ? drain_grace : first_grace,
		 timeout = connection->profile->timeouts[EDGE_IDLE];

	return grace < timeout ? grace : timeout;
}

void
edge_expect(struct edge_connection *connection, enum edge_deadline what)
{
	uint64_t timeout = what == EDGE_SHORTLY ? linger_time : connection->profile->timeouts[what];
	if (what == EDGE_IDLE && edge_closing(connection))
		timeout = closing_patience(connection);
	edge_expect_by(connection, what, deadline_now(connection->endpoint->wheel) + timeout);
}

void
edge_expect_nothing(struct edge_connection *connection)
{
	connection->due = UINT64_MAX;
}

static void
connection_late(struct edge_connection *connection)
{
	enum edge_deadline what = connection->due_for;
	bool expected = what == EDGE_SHORTLY || (what == EDGE_IDLE && edge_closing(connection));
	if (!expected)
		edge_count(connection, EDGE_TIMEOUT + what);
	if (what != EDGE_IDLE) {
		edge_kill(connection);
		return;
	}
	/* Gently: a request that has just arrived is still served. */
	connection->deaf = true;
	(void) shutdown(connection->fd, SHUT_RD);
	edge_expect(connection, EDGE_SHORTLY);
}

void
edge_connection_give(struct edge_connection *connection)
{
	socklen_t length = sizeof(connection->cookie);
	connection->state = EDGE_GIVEN;
	(void) getsockopt(connection->fd, SOL_SOCKET, SO_COOKIE, &connection->cookie, &length);
}

/* What libmicrohttpd has no memory for it closes before its thread has seen it, and says so to nobody: the descriptor
 * is closed, or somebody else's. */
static bool
connection_is_lost(const struct edge_connection *connection)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);
	if (connection->state != EDGE_GIVEN || connection->due > deadline_now(connection->endpoint->wheel))
		return false;
	return getsockopt(connection->fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0 || cookie != connection->cookie;
}

static void
connection_expire(struct deadline *deadline)
{
	struct edge_connection *connection = CONTAINER_OF(deadline, struct edge_connection, deadline);
	pthread_mutex_lock(&connection->lock);
	connection->armed = 0;
	if (connection_is_lost(connection)) {
		pthread_mutex_unlock(&connection->lock);
		/* If a new connection has its place in the table already, it was freed there, or waits for us to end.
		 */
		if (edge_table_claim(connection)) {
			edge_count(connection, EDGE_REFUSED_OTHER);
			edge_connection_free(&connection);
		}
		return;
	}
	if (connection->due != UINT64_MAX && !connection->dead) {
		if (connection->due > deadline_now(connection->endpoint->wheel))
			edge_expect_by(connection, connection->due_for, connection->due);
		else
			connection_late(connection);
	}
	pthread_mutex_unlock(&connection->lock);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

int
edge_connection_new(struct endpoint *endpoint, struct edge_profile *profile, int fd, const struct sockaddr *address,
		    struct edge_connection **ret)
{
	static atomic_uint numbers;
	struct edge_connection *connection = calloc(1, sizeof(*connection));
	if (!connection)
		return -ENOMEM;
	connection->endpoint = endpoint;
	connection->profile = profile;
	atomic_fetch_add_explicit(&profile->references, 1, memory_order_relaxed);
	connection->fd = fd;
	connection->number = atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed) & 0x7fffffff;
	memcpy(&connection->address, address,
	       address->sa_family == AF_INET6 ? sizeof(connection->address.v6) : sizeof(connection->address.v4));
	connection->key = peer_limit_key(address);
	connection->handshake.set = tls_set_pin(profile->set);
	connection->handshake.no_tickets = profile->no_tickets;
	connection->due = UINT64_MAX;
	pthread_mutex_init(&connection->lock, NULL);
	pthread_cond_init(&connection->told, NULL);
	deadline_init(&connection->deadline, connection_expire);
	*ret = connection;
	return 0;
}

static void
log_refusal(const struct edge_connection *connection, enum tls_refusal refusal)
{
	char address[LISTENER_ADDRESS], host[LISTENER_HOST];
	unsigned short port;

	listener_format(&connection->address.any, address);
	listener_format_host(&connection->address.any, host, &port);
	event_log(EVENT_CLIENT_REFUSED,
		  LOG_FIELDS({"MTLSD_LISTENER", connection->profile->listener}, {"MTLSD_PEER", host},
			     {"MTLSD_REFUSAL", tls_refusal_name(refusal)}),
		  "%s: client %s refused in the handshake: %s", connection->profile->listener, address,
		  tls_refusal_name(refusal));
}

/* A handshake that neither succeeded nor ran out of time was refused, by us or by the peer. */
static void
settle_handshake(struct edge_connection *connection)
{
	if (connection->state == EDGE_OPEN || connection->state == EDGE_LINGERING)
		return;
	stats_add(connection->endpoint->stats, EDGE_OPEN_HANDSHAKING, (uint64_t) -1);
	if (connection->state != EDGE_SHAKING || connection->dead)
		return;
	enum tls_refusal refusal = connection->handshake.refusal ? connection->handshake.refusal : TLS_PROTOCOL;
	edge_count(connection, EDGE_REFUSAL + refusal);
	log_refusal(connection, refusal);
}

/* Ends all but the struct and its place in the counts. */
static void
connection_retire(struct edge_connection *connection)
{
	edge_table_remove(connection);
	deadline_cancel(connection->endpoint->wheel, &connection->deadline);
	if (connection->shared) {
		connection_close(connection->shared);
		connection_unref(&connection->shared);
	}
	edge_turn_give(connection);
	settle_handshake(connection);
	gate_free(&connection->gate);
	edge_send_forget(connection);
	free(connection->ahead);
	connection->ahead = NULL;
	flight_free(&connection->held);
}

/* A socket that is closed with unread bytes sends a reset, and a reset makes the client's kernel forget what it has not
 * read yet: the alert or the page that says why. */
static bool
connection_linger(struct edge_connection *connection)
{
	bool words = connection->last_words || (connection->state != EDGE_OPEN && connection->handshake.alerted);
	if (!words || connection->dead || atomic_load(&connection->endpoint->stopping))
		return false;
	int copy = fcntl(connection->fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return false;
	(void) shutdown(copy, SHUT_WR);
	connection_retire(connection);
	connection->state = EDGE_LINGERING;
	connection->fd = copy;
	connection->suspended = EDGE_RUNNING;
	connection->armed = 0;
	if (edge_table_insert(connection) < 0) {
		(void) close(copy);
		edge_connection_free(&connection);
		return true;
	}
	pthread_mutex_lock(&connection->lock);
	edge_expect(connection, EDGE_SHORTLY);
	edge_watch(connection, EPOLLIN | EPOLLRDHUP);
	bool unwatched = connection->dead;
	pthread_mutex_unlock(&connection->lock);
	if (unwatched) {
		(void) close(copy);
		edge_connection_free(&connection);
	}
	return true;
}

void
edge_connection_closed(struct edge_connection **connection)
{
	edge_unwatch(*connection);
	if (!connection_linger(*connection))
		edge_connection_free(connection);
	*connection = NULL;
}

/* The C library keeps what is freed for the next who asks, and after a crowd nobody may for hours. What it leaves
 * behind is given back a moment after it went. Clients that come and go at an even rate move nothing: what one leaves
 * the next one takes. It holds the locks of the allocator for some milliseconds. */
static void
note_closed(struct endpoint *endpoint)
{
	unsigned left = atomic_load_explicit(&endpoint->open, memory_order_relaxed);
	if (atomic_load_explicit(&endpoint->peak, memory_order_relaxed) < left + TRIM_AFTER ||
	    atomic_exchange(&endpoint->trim_armed, true))
		return;
	deadline_arm(endpoint->wheel, &endpoint->trim, deadline_now(endpoint->wheel) + trim_delay);
}

void
edge_connection_trim(struct deadline *deadline)
{
	struct endpoint *endpoint = CONTAINER_OF(deadline, struct endpoint, trim);
	unsigned left = atomic_load(&endpoint->open);
	atomic_store(&endpoint->trim_armed, false);
	if (atomic_load(&endpoint->peak) < left + TRIM_AFTER)
		return; /* others came meanwhile */
	atomic_store(&endpoint->peak, left);
	(void) malloc_trim(0);
}

void
edge_connection_free(struct edge_connection **connection)
{
	struct edge_connection *old = *connection;
	*connection = NULL;
	if (!old)
		return;
	struct endpoint *endpoint = old->endpoint;
	connection_retire(old);
	handshake_clear(&old->handshake);
	chain_unref(&old->chain);
	tls_set_unpin(&old->handshake.set);
	edge_profile_unref(&old->profile);
	peer_limit_give(endpoint->peers, &old->key);
	stats_add(endpoint->stats, EDGE_OPEN_CONNECTIONS, (uint64_t) -1);
	pthread_cond_destroy(&old->told);
	pthread_mutex_destroy(&old->lock);
	free(old);
	note_closed(endpoint);
	atomic_fetch_sub(&endpoint->open, 1); /* last: an endpoint without open connections may be freed */
}

void
edge_kill(struct edge_connection *connection)
{
	if (connection->dead)
		return;
	connection->dead = true;
	/* Not yet seen by libmicrohttpd's thread: the descriptor may be closed already. It looks when it starts. */
	if (connection->state == EDGE_GIVEN)
		return;
	(void) shutdown(connection->fd, SHUT_RDWR);
	if (connection->suspended) {
		connection->suspended = EDGE_RUNNING;
		edge_serve_resume(connection);
	}
}

bool
edge_closing(const struct edge_connection *connection)
{
	return connection->deaf || atomic_load_explicit(&connection->endpoint->draining, memory_order_relaxed) ||
	       atomic_load_explicit(&connection->profile->gone, memory_order_relaxed);
}

void
edge_wind_down(struct edge_connection *connection)
{
	uint64_t now = deadline_now(connection->endpoint->wheel), patience = closing_patience(connection);
	switch (connection->state) {
	case EDGE_WAITING:
		if (connection->due > now + patience)
			edge_expect_by(connection, EDGE_SHORTLY, now + patience);
		break;
	case EDGE_GIVEN:
	case EDGE_SHAKING:
		break; /* its handshake has a deadline, and its first request a short one */
	case EDGE_OPEN:
		if (connection->busy || connection->due_for != EDGE_IDLE || connection->due == UINT64_MAX)
			break; /* the answer announces the end */
		/* Counted from when it became idle. */
		connection->due -= connection->profile->timeouts[EDGE_IDLE] - patience;
		edge_expect_by(connection, EDGE_IDLE,
			       connection->due < now + patience ? connection->due : now + patience);
		break;
	case EDGE_LINGERING:
		break;
	}
}

/* --- suspension -------------------------------------------------------------------------------------------------- */

bool
edge_suspend(struct edge_connection *connection, enum edge_suspension why, uint32_t events)
{
	pthread_mutex_lock(&connection->lock);
	/* stopping: libmicrohttpd aborts the process if it is stopped with suspended connections. */
	bool alive = !connection->dead && !atomic_load(&connection->endpoint->stopping);
	if (alive) {
		connection->suspended = why;
		edge_serve_suspend(connection);
		if (connection->deaf)
			events &= ~(uint32_t) EPOLLRDHUP; /* that was us */
		edge_watch(connection, events);
	}
	pthread_mutex_unlock(&connection->lock);
	return alive;
}

void
edge_resume(struct edge_connection *connection, enum edge_suspension why)
{
	pthread_mutex_lock(&connection->lock);
	if (connection->suspended == why) {
		connection->suspended = EDGE_RUNNING;
		edge_serve_resume(connection);
	}
	pthread_mutex_unlock(&connection->lock);
}
