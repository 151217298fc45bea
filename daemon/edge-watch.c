/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The watch thread: accepts, waits for the first byte of new connections and for what suspended ones wait for. */
#include "edge.h"

#include "reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

enum { EVENTS = 64, ACCEPTS_AT_ONCE = 32, THROW_AWAY = 256 * 1024, STARVED_MS = 100 };

/* epoll data: a connection's number and descriptor, or this bit and a listener's id. */
static const uint64_t listener_bit = UINT64_C(1) << 63;
static const uint64_t wake_mark = UINT64_MAX;

void
edge_watch(struct edge_connection *connection, uint32_t events)
{
	struct epoll_event event = {.events = events | EPOLLONESHOT,
				    .data.u64 = (uint64_t) connection->number << 32 | (uint32_t) connection->fd};
	int operation = connection->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (epoll_ctl(connection->endpoint->epoll, operation, connection->fd, &event) == 0)
		connection->watched = true;
	else
		/* Out of watches or memory: nothing would wake it before its deadline, so that it ends here. */
		edge_kill(connection);
}

void
edge_unwatch(struct edge_connection *connection)
{
	if (connection->watched)
		(void) epoll_ctl(connection->endpoint->epoll, EPOLL_CTL_DEL, connection->fd, NULL);
	connection->watched = false;
}

int
edge_watch_listener(struct endpoint *endpoint, struct edge_listener *listener)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = listener_bit | listener->id};
	if (epoll_ctl(endpoint->epoll, EPOLL_CTL_ADD, listener_fd(listener->socket), &event) < 0)
		return -errno;
	return 0;
}

/* --- accepting --------------------------------------------------------------------------------------------------- */

static int
connection_admit(struct endpoint *endpoint, struct edge_listener *listener, int fd, const struct sockaddr *address)
{
	struct peer_key key = peer_limit_key(address);
	struct edge_connection *connection = NULL;
	/* What is left of the memory belongs to those who are here already. */
	if (reserve_missing() > 0 && reserve_fill() > 0) {
		stats_add(endpoint->stats, EDGE_REFUSED_OTHER, 1);
		return -ENOMEM;
	}
	if (atomic_load(&endpoint->open) >= (uint64_t) endpoint->most) {
		stats_add(endpoint->stats, EDGE_REFUSED_TOTAL, 1);
		return -EUSERS;
	}
	int r = peer_limit_take(endpoint->peers, &key, (size_t) endpoint->most_per_address);
	if (r < 0) {
		stats_add(endpoint->stats, r == -EUSERS ? EDGE_REFUSED_ADDRESS : EDGE_REFUSED_OTHER, 1);
		return r;
	}
	r = edge_connection_new(endpoint, listener->profile, fd, address, &connection);
	if (r < 0) {
		peer_limit_give(endpoint->peers, &key);
		stats_add(endpoint->stats, EDGE_REFUSED_OTHER, 1);
		return r;
	}
	unsigned open = atomic_fetch_add(&endpoint->open, 1) + 1;
	if (open > atomic_load_explicit(&endpoint->peak, memory_order_relaxed))
		atomic_store_explicit(&endpoint->peak, open, memory_order_relaxed);
	stats_add(endpoint->stats, EDGE_OPEN_CONNECTIONS, 1);
	stats_add(endpoint->stats, EDGE_OPEN_HANDSHAKING, 1);
	r = edge_table_insert(connection);
	if (r < 0) {
		stats_add(endpoint->stats, EDGE_REFUSED_OTHER, 1);
		edge_connection_free(&connection);
		return r;
	}
	edge_count(connection, EDGE_ACCEPTED);
	pthread_mutex_lock(&connection->lock);
	edge_expect(connection, EDGE_HANDSHAKE);
	edge_watch(connection, EPOLLIN | EPOLLRDHUP);
	bool dead = connection->dead;
	pthread_mutex_unlock(&connection->lock);
	if (dead)
		edge_connection_free(&connection);
	return dead ? -ENOMEM : 0;
}

/* Out of descriptors: the one kept in reserve lets us take the client and close it, instead of leaving it in the queue
 * and being woken for it without end. */
static bool
accept_and_drop(struct endpoint *endpoint, int listening)
{
	if (endpoint->reserve >= 0)
		(void) close(endpoint->reserve);
	int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	bool none_waits = fd < 0 && errno == EAGAIN;
	if (fd >= 0) {
		(void) close(fd);
		stats_add(endpoint->stats, EDGE_REFUSED_OTHER, 1);
	}
	endpoint->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0 || none_waits;
}

enum accept_result { ACCEPT_DONE, ACCEPT_MORE, ACCEPT_STARVED };

/* Lock held. */
static enum accept_result
listener_accept(struct endpoint *endpoint, struct edge_listener *listener)
{
	int listening = listener_fd(listener->socket);
	for (unsigned i = 0; i < ACCEPTS_AT_ONCE; i++) {
		struct sockaddr_storage address = {0};
		socklen_t length = sizeof(address);
		int fd = accept4(listening, (struct sockaddr *) &address, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE))
			return accept_and_drop(endpoint, listening) ? ACCEPT_MORE : ACCEPT_STARVED;
		if (fd < 0 && (errno == ENOMEM || errno == ENOBUFS))
			return ACCEPT_STARVED;
		if (fd < 0)
			return errno == ECONNABORTED || errno == EINTR ? ACCEPT_MORE : ACCEPT_DONE;
		if (connection_admit(endpoint, listener, fd, (struct sockaddr *) &address) < 0)
			(void) close(fd);
	}
	return ACCEPT_MORE;
}

void
edge_watch_last_call(struct endpoint *endpoint, struct edge_listener *listener)
{
	/* By name: a socket leaves the set by being closed only when nobody else holds a copy. */
	(void) epoll_ctl(endpoint->epoll, EPOLL_CTL_DEL, listener_fd(listener->socket), NULL);
	if (listener_shared(listener->socket))
		return;
	while (listener_accept(endpoint, listener) == ACCEPT_MORE)
		;
}

/* Lock held. A listener that has left the set stays outside. */
static void
listeners_listen(struct endpoint *endpoint, bool on)
{
	for (size_t i = 0; i < endpoint->listener_count; i++) {
		const struct edge_listener *listener = &endpoint->listeners[i];
		struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.u64 = listener_bit | listener->id};
		(void) epoll_ctl(endpoint->epoll, EPOLL_CTL_MOD, listener_fd(listener->socket), &event);
	}
}

/* Not even the reserve helped: whoever waits in the queue would wake us without end. */
static void
listener_event(struct endpoint *endpoint, uint32_t id, bool *starved)
{
	pthread_mutex_lock(&endpoint->lock);
	for (size_t i = 0; i < endpoint->listener_count; i++)
		if (endpoint->listeners[i].id == id)
			*starved |= listener_accept(endpoint, &endpoint->listeners[i]) == ACCEPT_STARVED;
	if (*starved)
		listeners_listen(endpoint, false);
	pthread_mutex_unlock(&endpoint->lock);
}

static void
listeners_wake(struct endpoint *endpoint)
{
	pthread_mutex_lock(&endpoint->lock);
	listeners_listen(endpoint, true);
	pthread_mutex_unlock(&endpoint->lock);
}

/* --- connections ------------------------------------------------------------------------------------------------- */

static void
connection_drop(struct edge_connection *connection)
{
	int fd = connection->fd;
	edge_connection_free(&connection);
	(void) close(fd);
}

/* The first byte is here, or the end of a client that never sent one. Lock held; releases it. */
static void
connection_begin(struct edge_connection *connection, uint32_t events)
{
	char byte;
	ssize_t n = connection->dead || events & (EPOLLERR | EPOLLHUP)
			    ? 0
			    : recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	/* Interrupted or woken for nothing is no end: libmicrohttpd's thread finds out. */
	bool alive = n == 1 || (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (alive)
		edge_connection_give(connection);
	pthread_mutex_unlock(&connection->lock);
	if (!alive)
		connection_drop(connection);
	else if (edge_serve_add(connection) < 0) {
		stats_add(connection->endpoint->stats, EDGE_REFUSED_OTHER, 1);
		edge_connection_free(&connection);
	}
}

/* Lock held; releases it. */
static void
connection_throw_away(struct edge_connection *connection)
{
	char bytes[4096];
	ssize_t n;
	bool over = connection->dead;
	while (!over && (n = recv(connection->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) != -1) {
		connection->thrown_away += (size_t) n;
		over = n == 0 || connection->thrown_away > THROW_AWAY;
	}
	over = over || (errno != EAGAIN && errno != EINTR);
	if (!over)
		edge_watch(connection, EPOLLIN | EPOLLRDHUP);
	pthread_mutex_unlock(&connection->lock);
	if (over)
		connection_drop(connection);
}

static void
connection_continue(struct edge_connection *connection)
{
	connection->suspended = EDGE_RUNNING;
	edge_serve_resume(connection);
}

/* Turns have become free. */
static void
call_next(struct endpoint *endpoint)
{
	eventfd_t count;
	int fd;
	uint32_t number;
	(void) eventfd_read(endpoint->wake, &count);
	while (edge_turn_next(endpoint, &fd, &number)) {
		struct edge_connection *connection = edge_table_lock(fd, number);
		if (!connection)
			continue; /* it is being closed, and gives its turn back there */
		if (connection->state == EDGE_WAITING) {
			connection_begin(connection, 0);
			continue;
		}
		if (connection->suspended == EDGE_FOR_PEER)
			connection_continue(connection);
		else
			edge_turn_give(connection); /* killed meanwhile: it ends without one */
		pthread_mutex_unlock(&connection->lock);
	}
}

static void
connection_event(struct edge_connection *connection, uint32_t events)
{
	bool gone = connection->dead || events & (EPOLLERR | EPOLLHUP);
	if (connection->state == EDGE_WAITING) {
		/* Who is gone already needs no turn, only an end. */
		if (gone || edge_turn_take(connection))
			connection_begin(connection, events);
		else
			pthread_mutex_unlock(&connection->lock);
		return;
	}
	if (connection->state == EDGE_LINGERING) {
		connection_throw_away(connection);
		return;
	}
	if (connection->suspended == EDGE_FOR_PEER) {
		if (gone || edge_turn_take(connection))
			connection_continue(connection);
	} else if (connection->suspended == EDGE_FOR_REQUEST &&
		   events & (EPOLLHUP | EPOLLERR | (connection->deaf ? 0 : EPOLLRDHUP))) {
		edge_exchange_client_gone(connection);
	}
	pthread_mutex_unlock(&connection->lock);
}

static void
watch_event(struct endpoint *endpoint, const struct epoll_event *event, bool *starved)
{
	uint64_t data = event->data.u64;
	if (data == wake_mark) {
		call_next(endpoint);
		return;
	}
	if (data & listener_bit) {
		listener_event(endpoint, (uint32_t) data, starved);
		return;
	}
	struct edge_connection *connection = edge_table_lock((int) (uint32_t) data, (uint32_t) (data >> 32));
	if (connection)
		connection_event(connection, event->events);
}

static void *
watch_thread(void *arg)
{
	struct endpoint *endpoint = arg;
	struct epoll_event events[EVENTS];
	bool starved = false; /* of descriptors or memory: nobody is accepted for a moment */
	uint64_t since = 0;
	while (!atomic_load(&endpoint->stopping)) {
		int n = epoll_wait(endpoint->epoll, events, EVENTS, starved ? STARVED_MS : -1);
		if (starved && deadline_now(endpoint->wheel) - since >= STARVED_MS * UINT64_C(1000)) {
			starved = false;
			listeners_wake(endpoint);
		}
		bool before = starved;
		for (int i = 0; i < n; i++)
			watch_event(endpoint, &events[i], &starved);
		if (starved && !before)
			since = deadline_now(endpoint->wheel);
	}
	return NULL;
}

int
edge_watch_start(struct endpoint *endpoint)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = wake_mark};
	if (epoll_ctl(endpoint->epoll, EPOLL_CTL_ADD, endpoint->wake, &event) < 0)
		return -errno;
	int r = pthread_create(&endpoint->watcher, NULL, watch_thread, endpoint);
	if (r)
		return -r;
	endpoint->watching = true;
	(void) pthread_setname_np(endpoint->watcher, "accept");
	return 0;
}

void
edge_watch_stop(struct endpoint *endpoint)
{
	if (!endpoint->watching)
		return;
	atomic_store(&endpoint->stopping, true);
	(void) eventfd_write(endpoint->wake, 1);
	pthread_join(endpoint->watcher, NULL);
	endpoint->watching = false;
}
