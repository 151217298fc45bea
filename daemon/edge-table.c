/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections by descriptor. One table for the process: GnuTLS calls carry a session and nothing else. */
#include "edge.h"

#include <errno.h>
#include <sys/resource.h>

enum { MOST_DESCRIPTORS = 1 << 20 };

struct slot {
	_Atomic(gnutls_session_t) session; /* compared without the lock, never followed */
	struct edge_connection *connection;
};

/* slots and slot_count are written once, before the first connection. The lock guards every slot's connection. */
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct slot *slots;
static size_t slot_count;

int
edge_table_init(void)
{
	struct rlimit limit = {0};
	int r = 0;
	pthread_mutex_lock(&table_lock);
	if (!slots) {
		(void) getrlimit(RLIMIT_NOFILE, &limit);
		size_t count = limit.rlim_max < MOST_DESCRIPTORS ? (size_t) limit.rlim_max : MOST_DESCRIPTORS;
		slots = calloc(count, sizeof(*slots)); /* pages come with the descriptors that use them */
		slot_count = slots ? count : 0;
		r = slots ? 0 : -ENOMEM;
	}
	pthread_mutex_unlock(&table_lock);
	return r;
}

int
edge_table_insert(struct edge_connection *connection)
{
	struct edge_connection *stale = NULL;
	if (connection->fd < 0 || (size_t) connection->fd >= slot_count)
		return -EMFILE;
	pthread_mutex_lock(&table_lock);
	/* libmicrohttpd may drop a connection before its thread has seen it, and says so to nobody. */
	stale = slots[connection->fd].connection;
	slots[connection->fd].connection = connection;
	pthread_mutex_unlock(&table_lock);
	edge_connection_free(&stale);
	return 0;
}

void
edge_table_set_session(struct edge_connection *connection)
{
	atomic_store_explicit(&slots[connection->fd].session, connection->session, memory_order_release);
}

void
edge_table_remove(struct edge_connection *connection)
{
	struct slot *slot = &slots[connection->fd];
	pthread_mutex_lock(&table_lock);
	if (slot->connection == connection) {
		slot->connection = NULL;
		atomic_store_explicit(&slot->session, NULL, memory_order_release);
	}
	pthread_mutex_unlock(&table_lock);
	/* Whoever found it before has locked it under the table's lock: wait for them. */
	pthread_mutex_lock(&connection->lock);
	pthread_mutex_unlock(&connection->lock);
}

bool
edge_table_claim(struct edge_connection *connection)
{
	struct slot *slot = &slots[connection->fd];
	pthread_mutex_lock(&table_lock);
	bool ours = slot->connection == connection;
	if (ours)
		slot->connection = NULL;
	pthread_mutex_unlock(&table_lock);
	return ours;
}

struct edge_connection *
edge_table_find(gnutls_session_t session)
{
	int in = -1, out = -1;
	/* The way in of ours is no descriptor (edge-socket.c). */
	gnutls_transport_get_int2(session, &in, &out);
	if (out < 0 || (size_t) out >= slot_count ||
	    atomic_load_explicit(&slots[out].session, memory_order_acquire) != session)
		return NULL;
	return slots[out].connection;
}

struct edge_connection *
edge_table_of(int fd)
{
	return slots[fd].connection;
}

bool
edge_table_serves(int fd)
{
	return fd >= 0 && (size_t) fd < slot_count &&
	       atomic_load_explicit(&slots[fd].session, memory_order_acquire) != NULL;
}

struct edge_connection *
edge_table_by_descriptor(int fd)
{
	pthread_mutex_lock(&table_lock);
	struct edge_connection *connection = slots[fd].connection;
	pthread_mutex_unlock(&table_lock);
	assert(connection);
	return connection;
}

struct edge_connection *
edge_table_lock(int fd, uint32_t number)
{
	if (fd < 0 || (size_t) fd >= slot_count)
		return NULL;
	pthread_mutex_lock(&table_lock);
	struct edge_connection *connection = slots[fd].connection;
	if (connection && connection->number == number)
		pthread_mutex_lock(&connection->lock);
	else
		connection = NULL;
	pthread_mutex_unlock(&table_lock);
	return connection;
}

void
edge_table_visit(const struct endpoint *endpoint, void (*visit)(struct edge_connection *connection))
{
	pthread_mutex_lock(&table_lock);
	for (size_t i = 0; i < slot_count; i++) {
		struct edge_connection *connection = slots[i].connection;
		if (!connection || connection->endpoint != endpoint)
			continue;
		pthread_mutex_lock(&connection->lock);
		visit(connection);
		pthread_mutex_unlock(&connection->lock);
	}
	pthread_mutex_unlock(&table_lock);
}

/* Both locks held. */
static void
gather(struct edge_connection *connection, time_t expired, struct edge_admission *ret, size_t *count)
{
	uint16_t port;
	bool admitted = connection->chain && (connection->state == EDGE_SHAKING || connection->state == EDGE_OPEN);
	if (!admitted || connection->dead || (expired && connection->chain->not_after >= expired))
		return;
	struct edge_admission *admission = &ret[(*count)++];
	admission->fd = connection->fd;
	admission->number = connection->number;
	admission->chain = chain_ref(connection->chain);
	admission->policy = tls_policy_ref(tls_set_policy(connection->profile->set));
	listener_format_host(&connection->address.any, admission->address, &port);
}

bool
edge_table_gather(const struct endpoint *endpoint, time_t expired, size_t *cursor,
		  struct edge_admission ret[EDGE_ADMISSIONS], size_t *ret_count)
{
	enum { SLOTS_AT_ONCE = 4096 }; /* those who accept wait for the lock */
	size_t count = 0, end = slot_count - *cursor > SLOTS_AT_ONCE ? *cursor + SLOTS_AT_ONCE : slot_count;
	pthread_mutex_lock(&table_lock);
	for (; *cursor < end && count < EDGE_ADMISSIONS; (*cursor)++) {
		struct edge_connection *connection = slots[*cursor].connection;
		if (!connection || connection->endpoint != endpoint)
			continue;
		pthread_mutex_lock(&connection->lock);
		gather(connection, expired, ret, &count);
		pthread_mutex_unlock(&connection->lock);
	}
	pthread_mutex_unlock(&table_lock);
	*ret_count = count;
	return *cursor < slot_count;
}

void
edge_table_clear(const struct endpoint *endpoint)
{
	for (size_t i = 0; i < slot_count; i++) {
		pthread_mutex_lock(&table_lock);
		struct edge_connection *connection = slots[i].connection;
		pthread_mutex_unlock(&table_lock);
		if (connection && connection->endpoint == endpoint)
			edge_connection_free(&connection);
	}
}
