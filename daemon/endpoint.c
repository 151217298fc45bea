/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "endpoint.h"

#include "edge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

/* --- listeners and their profiles -------------------------------------------------------------------------------- */

/* A plugin may take larger bodies than others: which plugin a request is for is known only behind the gate. */
static uint64_t
largest_body(const struct config *config)
{
	uint64_t largest = config->limits.body_size;
	for (size_t i = 0; i < config->plugin_count; i++)
		if (config->plugins[i].body_size > largest)
			largest = config->plugins[i].body_size;
	return largest;
}

static int
profile_new(const struct config *config, const struct config_listener *listener, struct tls_set *set,
	    struct edge_profile **ret)
{
	const struct config_limits *limits = &config->limits;
	CLEANUP(edge_profile_unref) struct edge_profile *profile = calloc(1, sizeof(*profile));
	if (!profile)
		return -ENOMEM;
	profile->references = 1;
	profile->set = tls_set_ref(set);
	profile->listener = strdup(listener->name);
	if (!profile->listener)
		return -ENOMEM;
	profile->no_tickets = !listener->tickets;
	profile->gate = (struct gate_limits){
		.header_size = limits->header_size,
		.header_count = (size_t) limits->header_count,
		.body_size = largest_body(config),
	};
	profile->timeouts[EDGE_HANDSHAKE] = limits->handshake_timeout;
	profile->timeouts[EDGE_HEADER] = limits->header_timeout;
	profile->timeouts[EDGE_BODY] = limits->body_timeout;
	profile->timeouts[EDGE_WRITE] = limits->write_timeout;
	profile->timeouts[EDGE_IDLE] = limits->idle_timeout;
	*ret = STEAL(profile);
	return 0;
}

struct listeners {
	struct edge_listener *items;
	size_t count;
	struct listener **borrowed; /* sockets that are still the endpoint's: not ours to close on failure */
	size_t borrowed_count;
};

static bool
is_borrowed(const struct listeners *listeners, const struct listener *socket)
{
	for (size_t i = 0; i < listeners->borrowed_count; i++)
		if (listeners->borrowed[i] == socket)
			return true;
	return false;
}

static void
listeners_clear(struct listeners *listeners)
{
	for (size_t i = 0; i < listeners->count; i++) {
		edge_profile_unref(&listeners->items[i].profile);
		if (!is_borrowed(listeners, listeners->items[i].socket))
			listener_close(&listeners->items[i].socket);
	}
	free(listeners->items);
	free(listeners->borrowed);
	*listeners = (struct listeners){0};
}

static struct edge_listener *
find_listener(struct edge_listener *listeners, size_t count, const char *address)
{
	for (size_t i = 0; i < count; i++)
		if (listeners[i].socket && strcmp(listener_configured(listeners[i].socket), address) == 0)
			return &listeners[i];
	return NULL;
}

/* Keeps the socket of an address that stays, so that no client in its queue is lost. */
static int
listener_prepare(struct endpoint *endpoint, const struct config *config, const struct config_listener *wanted,
		 const struct tls_sets *sets, struct listeners *into, struct error *error)
{
	struct edge_listener *item = &into->items[into->count];
	struct edge_listener *old = find_listener(endpoint->listeners, endpoint->listener_count, wanted->address);
	int r = 0;
	if (old) {
		item->socket = old->socket;
		item->id = old->id;
		into->borrowed[into->borrowed_count++] = old->socket;
	} else {
		r = listener_open(wanted->address, wanted->backlog, &item->socket, error);
		item->id = endpoint->next_id++;
	}
	if (r < 0)
		return error_prefix(error, "listener %s", wanted->name);
	into->count++;
	r = profile_new(config, wanted, sets->sets[wanted->tls_set - config->tls], &item->profile);
	return r < 0 ? error_set(error, r, "out of memory") : 0;
}

static int
listeners_prepare(struct endpoint *endpoint, const struct config *config, const struct tls_sets *sets,
		  struct listeners *ret, struct error *error)
{
	CLEANUP(listeners_clear) struct listeners listeners = {0};
	int r = 0;
	listeners.items = calloc(config->listener_count + 1, sizeof(*listeners.items));
	listeners.borrowed = calloc(config->listener_count + 1, sizeof(struct listener *));
	if (!listeners.items || !listeners.borrowed)
		return error_set(error, -ENOMEM, "out of memory");
	for (size_t i = 0; i < config->listener_count; i++) {
		r = listener_prepare(endpoint, config, &config->listeners[i], sets, &listeners, error);
		if (r < 0)
			return r;
	}
	*ret = listeners;
	listeners = (struct listeners){0};
	return 0;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static int
endpoint_init(struct endpoint *endpoint)
{
	endpoint->epoll = epoll_create1(EPOLL_CLOEXEC);
	endpoint->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	endpoint->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (endpoint->epoll < 0 || endpoint->wake < 0 || endpoint->reserve < 0)
		return -errno;
	int r = stats_new(EDGE_COUNTERS, &endpoint->stats);
	if (r == 0)
		r = deadline_wheel_new(NULL, &endpoint->wheel);
	if (r == 0)
		r = peer_limit_new(&endpoint->peers);
	if (r == 0)
		r = tls_store_new(&endpoint->tls);
	if (r == 0)
		r = identity_cache_new(&endpoint->identities);
	if (r == 0)
		r = edge_table_init();
	return r;
}

static void
endpoint_adopt(struct endpoint *endpoint, const struct config *config, struct listeners *listeners)
{
	endpoint->listeners = listeners->items;
	endpoint->listener_count = listeners->count;
	endpoint->most = config->limits.connections;
	endpoint->most_per_address = config->limits.connections_per_address;
	free(listeners->borrowed);
	*listeners = (struct listeners){0};
	for (size_t i = 0; i < endpoint->listener_count; i++)
		listener_keep(endpoint->listeners[i].socket);
}

int
endpoint_new(const struct config *config, struct request_service *service, struct endpoint **ret, struct error *error)
{
	CLEANUP(endpoint_free) struct endpoint *endpoint = calloc(1, sizeof(*endpoint));
	CLEANUP(tls_sets_clear) struct tls_sets sets = {0};
	struct listeners listeners = {0};
	if (!endpoint)
		return error_set(error, -ENOMEM, "out of memory");
	endpoint->epoll = endpoint->wake = endpoint->reserve = -1;
	endpoint->service = service;
	deadline_init(&endpoint->trim, edge_connection_trim);
	edge_turns_init(&endpoint->turns);
	pthread_mutex_init(&endpoint->lock, NULL);
	int r = endpoint_init(endpoint);
	if (r < 0)
		return error_set(error, r, "the endpoint cannot be made: %s", strerror(-r));
	r = tls_store_load(endpoint->tls, config, &sets, NULL, error);
	if (r == 0)
		r = listeners_prepare(endpoint, config, &sets, &listeners, error);
	if (r < 0)
		return r;
	endpoint_adopt(endpoint, config, &listeners);
	if (tls_store_enforce(endpoint->tls, &sets, time(NULL)) < 0)
		return error_set(error, -ENOMEM, "out of memory");
	r = edge_serve_start(endpoint, config->daemon.threads, &config->limits, error);
	if (r < 0)
		return r;
	*ret = STEAL(endpoint);
	return 0;
}

int
endpoint_start(struct endpoint *endpoint, struct error *error)
{
	int r = 0;
	pthread_mutex_lock(&endpoint->lock);
	for (size_t i = 0; i < endpoint->listener_count && r == 0; i++)
		r = edge_watch_listener(endpoint, &endpoint->listeners[i]);
	pthread_mutex_unlock(&endpoint->lock);
	if (r == 0)
		r = edge_watch_start(endpoint);
	return r < 0 ? error_set(error, r, "the endpoint cannot start: %s", strerror(-r)) : 0;
}

static void
wind_down_gone(struct edge_connection *connection)
{
	if (atomic_load(&connection->profile->gone))
		edge_wind_down(connection);
}

/* Sockets that stay are in both lists; what is only in the old one goes. */
static void
listeners_retire(struct endpoint *endpoint, struct edge_listener *old, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct edge_listener *kept = find_listener(endpoint->listeners, endpoint->listener_count,
							   listener_configured(old[i].socket));
		if (!kept) {
			atomic_store(&old[i].profile->gone, true);
			listener_forget(old[i].socket);
			edge_watch_last_call(endpoint, &old[i]);
			listener_close(&old[i].socket);
		}
		edge_profile_unref(&old[i].profile);
	}
	free(old);
}

int
endpoint_reload(struct endpoint *endpoint, const struct config *config, const struct tls_sets *sets,
		struct error *error)
{
	CLEANUP(listeners_clear) struct listeners fresh = {0};
	if (atomic_load(&endpoint->draining))
		return error_set(error, -ESHUTDOWN, "the endpoint is draining");
	int r = listeners_prepare(endpoint, config, sets, &fresh, error);
	if (r < 0)
		return r;
	pthread_mutex_lock(&endpoint->lock);
	for (size_t i = 0; i < fresh.count && r == 0; i++)
		if (!is_borrowed(&fresh, fresh.items[i].socket))
			r = edge_watch_listener(endpoint, &fresh.items[i]);
	/* The policy first: whoever is let in from here on is let in by it. */
	int changed = r == 0 ? tls_store_enforce(endpoint->tls, sets, time(NULL)) : 0;
	r = changed < 0 ? changed : r;
	if (r == 0) {
		struct edge_listener *old = endpoint->listeners;
		size_t count = endpoint->listener_count;
		endpoint_adopt(endpoint, config, &fresh);
		listeners_retire(endpoint, old, count);
	}
	pthread_mutex_unlock(&endpoint->lock);
	if (r < 0)
		return error_set(error, r, "the new listeners cannot be watched: %s", strerror(-r));
	edge_table_visit(endpoint, wind_down_gone);
	return changed;
}

struct tls_store *
endpoint_tls(const struct endpoint *endpoint)
{
	return endpoint->tls;
}

static void
endpoint_deafen(struct endpoint *endpoint)
{
	pthread_mutex_lock(&endpoint->lock);
	for (size_t i = 0; i < endpoint->listener_count; i++) {
		listener_close(&endpoint->listeners[i].socket);
		edge_profile_unref(&endpoint->listeners[i].profile);
	}
	free(endpoint->listeners);
	endpoint->listeners = NULL;
	endpoint->listener_count = 0;
	pthread_mutex_unlock(&endpoint->lock);
}

void
endpoint_drain(struct endpoint *endpoint)
{
	if (atomic_exchange(&endpoint->draining, true))
		return;
	pthread_mutex_lock(&endpoint->lock);
	for (size_t i = 0; i < endpoint->listener_count; i++)
		edge_watch_last_call(endpoint, &endpoint->listeners[i]);
	pthread_mutex_unlock(&endpoint->lock);
	endpoint_deafen(endpoint);
	edge_table_visit(endpoint, edge_wind_down);
}

bool
endpoint_idle(const struct endpoint *endpoint)
{
	return atomic_load(&endpoint->open) == 0;
}

void
endpoint_stats(const struct endpoint *endpoint, struct endpoint_stats *ret)
{
	const struct stats *stats = endpoint->stats;
	*ret = (struct endpoint_stats){
		.accepted = stats_sum(stats, EDGE_ACCEPTED),
		.refused_total_limit = stats_sum(stats, EDGE_REFUSED_TOTAL),
		.refused_address_limit = stats_sum(stats, EDGE_REFUSED_ADDRESS),
		.refused_other = stats_sum(stats, EDGE_REFUSED_OTHER),
		.handshakes_full = stats_sum(stats, EDGE_FULL),
		.handshakes_resumed = stats_sum(stats, EDGE_RESUMED),
		.timeouts_handshake = stats_sum(stats, EDGE_TIMEOUT + EDGE_HANDSHAKE),
		.timeouts_header = stats_sum(stats, EDGE_TIMEOUT + EDGE_HEADER),
		.timeouts_body = stats_sum(stats, EDGE_TIMEOUT + EDGE_BODY),
		.timeouts_write = stats_sum(stats, EDGE_TIMEOUT + EDGE_WRITE),
		.timeouts_idle = stats_sum(stats, EDGE_TIMEOUT + EDGE_IDLE),
		.bad_requests = stats_sum(stats, EDGE_BAD_REQUESTS),
		.bad_records = stats_sum(stats, EDGE_BAD_RECORDS),
		.renegotiations = stats_sum(stats, EDGE_RENEGOTIATIONS),
		.queued_handshakes = stats_sum(stats, EDGE_QUEUED),
		.queued_total = stats_sum(stats, EDGE_QUEUED_TOTAL),
		.requests = stats_sum(stats, EDGE_REQUESTS),
		.open_connections = stats_sum(stats, EDGE_OPEN_CONNECTIONS),
		.open_handshaking = stats_sum(stats, EDGE_OPEN_HANDSHAKING),
	};
	for (unsigned i = 0; i < TLS_REFUSAL_COUNT; i++) {
		ret->handshakes_refused[i] = stats_sum(stats, EDGE_REFUSAL + i);
		ret->cut[i] = stats_sum(stats, EDGE_CUT + i);
	}
}

size_t
endpoint_listeners(const struct endpoint *endpoint, struct endpoint_listener *ret, size_t size)
{
	for (size_t i = 0; i < endpoint->listener_count && i < size; i++) {
		const struct edge_listener *listener = &endpoint->listeners[i];
		ret[i].name = listener->profile->listener;
		ret[i].tls = tls_set_name(listener->profile->set);
		(void) snprintf(ret[i].address, sizeof(ret[i].address), "%s", listener_bound(listener->socket));
	}
	return endpoint->listener_count;
}

static void
close_waiting(struct edge_connection *connection)
{
	/* Nobody but the watch thread, which has ended, would close these. */
	if (connection->state == EDGE_WAITING || connection->state == EDGE_LINGERING)
		(void) close(connection->fd);
}

void
endpoint_free(struct endpoint **endpoint)
{
	if (!*endpoint)
		return;
	struct endpoint *old = STEAL(*endpoint);
	atomic_store(&old->stopping, true);
	edge_watch_stop(old);
	endpoint_deafen(old);
	edge_table_visit(old, edge_kill);
	edge_table_visit(old, close_waiting);
	edge_serve_stop(old);
	edge_table_clear(old);
	if (old->wheel)
		deadline_cancel(old->wheel, &old->trim);
	deadline_wheel_free(&old->wheel);
	peer_limit_free(&old->peers);
	tls_store_free(&old->tls);
	identity_cache_free(&old->identities);
	stats_free(&old->stats);
	if (old->epoll >= 0)
		(void) close(old->epoll);
	if (old->wake >= 0)
		(void) close(old->wake);
	if (old->reserve >= 0)
		(void) close(old->reserve);
	pthread_mutex_destroy(&old->turns.lock);
	pthread_mutex_destroy(&old->lock);
	free(old);
}
