/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connection.h"

#include "exposure.h"
#include "instance.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* One plugin's pointer, in the connection's list and in the list of all. */
struct entry {
	struct entry *next;                 /* of the connection */
	struct entry *all_next, **all_link; /* of everything, to be found by instance */
	struct connection *connection;
	struct instance *instance;
	void *data;
	void (*release)(void *);
};

struct connection {
	atomic_uint refs;
	struct connection_peer peer;
	char *address, *listener, *tls_version, *cipher;
	unsigned char binding[CONNECTION_BINDING];
	struct entry *entries;
	bool closed;
	/* The transport's thread only: a connection's requests come one after another. */
	struct exposure **reached;
	size_t reached_count;
};

/* Guards every entry and the lists they stand in. One lock for all connections: it is taken only where plugins attach
 * data to connections, and never across a plugin call. */
static pthread_mutex_t entries_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t hook_ended = PTHREAD_COND_INITIALIZER;
static struct entry *entries_all;
/* Entries taken out of the lists whose release hook still runs. */
static struct entry *entries_running;

int
connection_new(const struct connection_peer *peer, struct connection **ret)
{
	CLEANUP(connection_unref) struct connection *connection = calloc(1, sizeof(*connection));
	if (connection == NULL)
		return -ENOMEM;
	atomic_init(&connection->refs, 1);
	connection->address = strdup(peer->address);
	connection->listener = strdup(peer->listener);
	connection->tls_version = strdup(peer->tls_version);
	connection->cipher = strdup(peer->cipher);
	if (connection->address == NULL || connection->listener == NULL || connection->tls_version == NULL ||
	    connection->cipher == NULL)
		return -ENOMEM;
	connection->peer = (struct connection_peer){
		.identity = identity_ref(peer->identity),
		.address = connection->address,
		.port = peer->port,
		.listener = connection->listener,
		.tls_version = connection->tls_version,
		.cipher = connection->cipher,
		.resumed = peer->resumed,
		.binding = peer->binding != NULL ? connection->binding : NULL,
	};
	if (peer->binding != NULL)
		memcpy(connection->binding, peer->binding, sizeof(connection->binding));
	*ret = STEAL(connection);
	return 0;
}

const struct connection_peer *
connection_peer(const struct connection *connection)
{
	return &connection->peer;
}

struct connection *
connection_ref(struct connection *connection)
{
	atomic_fetch_add(&connection->refs, 1);
	return connection;
}

void
connection_unref(struct connection **connectionp)
{
	struct connection *connection = *connectionp;
	if (connection == NULL)
		return;
	*connectionp = NULL;
	if (atomic_fetch_sub(&connection->refs, 1) > 1)
		return;
	assert(connection->entries == NULL); /* connection_close comes first */
	identity_unref(&connection->peer.identity);
	free(connection->address);
	free(connection->listener);
	free(connection->tls_version);
	free(connection->cipher);
	free(connection->reached);
	free(connection);
}

/* --- exposures --------------------------------------------------------------------------------------------------- */

/* Forgets instances that have ended: a connection may live through many restarts. */
static void
reached_tidy(struct connection *connection)
{
	size_t kept = 0;

	for (size_t i = 0; i < connection->reached_count; i++) {
		if (exposure_has_ended(connection->reached[i]))
			exposure_release(&connection->reached[i]);
		else
			connection->reached[kept++] = connection->reached[i];
	}
	connection->reached_count = kept;
}

static void
reach_first(struct connection *connection, struct exposure *exposure)
{
	reached_tidy(connection);
	struct exposure **grown =
		reallocarray(connection->reached, connection->reached_count + 1, sizeof(struct exposure *));
	if (grown == NULL)
		return; /* told with a later request */
	connection->reached = grown;
	grown[connection->reached_count++] = exposure_hold(exposure);
	exposure_open(exposure, connection->peer.identity->certificate_sha256, connection->peer.resumed);
}

void
connection_reach(struct connection *connection, struct exposure *exposure)
{
	for (size_t i = 0; i < connection->reached_count; i++)
		if (connection->reached[i] == exposure)
			return;
	reach_first(connection, exposure);
}

static void
reached_close(struct connection *connection)
{
	for (size_t i = 0; i < connection->reached_count; i++) {
		exposure_close(connection->reached[i]);
		exposure_release(&connection->reached[i]);
	}
	connection->reached_count = 0;
}

/* --- data of plugins --------------------------------------------------------------------------------------------- */

/* With the lock held: takes the entry out of the list of all and among the running. */
static void
entry_detach(struct entry *entry)
{
	*entry->all_link = entry->all_next;
	if (entry->all_next != NULL)
		entry->all_next->all_link = entry->all_link;
	entry->all_next = entries_running;
	entry->all_link = &entries_running;
	if (entries_running != NULL)
		entries_running->all_link = &entry->all_next;
	entries_running = entry;
}

/* Without the lock: runs the hook, then forgets the entry. */
static void
entry_run(struct entry *entry)
{
	if (entry->release != NULL) {
		struct instance_call call;
		instance_call_begin(entry->instance, &call, NULL);
		entry->release(entry->data);
		instance_call_end(&call);
	}
	pthread_mutex_lock(&entries_lock);
	*entry->all_link = entry->all_next;
	if (entry->all_next != NULL)
		entry->all_next->all_link = entry->all_link;
	pthread_cond_broadcast(&hook_ended);
	pthread_mutex_unlock(&entries_lock);
	free(entry);
}

void
connection_close(struct connection *connection)
{
	reached_close(connection);
	pthread_mutex_lock(&entries_lock);
	connection->closed = true;
	struct entry *entries = connection->entries;
	connection->entries = NULL;
	for (struct entry *entry = entries; entry != NULL; entry = entry->next)
		entry_detach(entry);
	pthread_mutex_unlock(&entries_lock);
	while (entries != NULL) {
		struct entry *next = entries->next;
		entry_run(entries);
		entries = next;
	}
}

/* With the lock held. */
static struct entry **
entry_find(struct connection *connection, const struct instance *instance)
{
	struct entry **link = &connection->entries;
	while (*link != NULL && (*link)->instance != instance)
		link = &(*link)->next;
	return link;
}

int
connection_set_data(struct connection *connection, struct instance *instance, void *data, void (*release)(void *))
{
	struct entry *entry = calloc(1, sizeof(*entry));
	if (entry == NULL)
		return -ENOMEM;
	*entry = (struct entry){.connection = connection, .instance = instance, .data = data, .release = release};
	pthread_mutex_lock(&entries_lock);
	if (connection->closed) {
		pthread_mutex_unlock(&entries_lock);
		free(entry);
		return -ENOTCONN;
	}
	struct entry **link = entry_find(connection, instance), *before = *link;
	if (before != NULL) {
		*link = before->next;
		entry_detach(before);
	}
	entry->next = connection->entries;
	connection->entries = entry;
	entry->all_next = entries_all;
	entry->all_link = &entries_all;
	if (entries_all != NULL)
		entries_all->all_link = &entry->all_next;
	entries_all = entry;
	pthread_mutex_unlock(&entries_lock);
	if (before != NULL)
		entry_run(before);
	return 0;
}

void *
connection_data(struct connection *connection, const struct instance *instance)
{
	pthread_mutex_lock(&entries_lock);
	const struct entry *entry = *entry_find(connection, instance);
	void *data = entry != NULL ? entry->data : NULL;
	pthread_mutex_unlock(&entries_lock);
	return data;
}

/* With the lock held: the first entry of the instance in a list, or NULL. */
static struct entry *
entry_of(struct entry *list, const struct instance *instance)
{
	while (list != NULL && list->instance != instance)
		list = list->all_next;
	return list;
}

void
connection_release_instance(struct instance *instance)
{
	pthread_mutex_lock(&entries_lock);
	for (;;) {
		struct entry *entry = entry_of(entries_all, instance);
		if (entry != NULL) {
			*entry_find(entry->connection, instance) = entry->next;
			entry_detach(entry);
			pthread_mutex_unlock(&entries_lock);
			entry_run(entry);
			pthread_mutex_lock(&entries_lock);
		} else if (entry_of(entries_running, instance) != NULL) {
			pthread_cond_wait(&hook_ended, &entries_lock); /* another thread runs one of its hooks */
		} else {
			break;
		}
	}
	pthread_mutex_unlock(&entries_lock);
}
