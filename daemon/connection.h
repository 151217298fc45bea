/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* connection.h - what requests of one connection share: the verified peer and plugins' connection-scoped data.
 *
 * Counted: a deferred request may outlive the socket. connection_close runs the release hooks once; instances that end
 * before the connection run theirs by connection_release_instance.
 *
 * Threads: any; the table of plugin data has its own lock, never held across a plugin call.
 * Owns: a reference of the identity, its strings, plugin data entries, a hold on the exposures it has told of itself.
 */
#include "identity.h"

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct exposure;
struct instance;

struct connection_peer {
	struct identity *identity; /* referenced by the connection, never NULL */
	const char *address;       /* "192.0.2.1" or "2001:db8::1" */
	uint16_t port;
	const char *listener;    /* its configured name */
	const char *tls_version; /* "TLS1.3" */
	const char *cipher;
	bool resumed;
	const unsigned char *binding; /* CONNECTION_BINDING bytes, the tls-exporter of RFC 9266; NULL: there is none */
};
enum { CONNECTION_BINDING = 32 };

/* Everything in peer is copied or referenced. */
int connection_new(const struct connection_peer *peer, struct connection **ret);
const struct connection_peer *connection_peer(const struct connection *connection);
struct connection *connection_ref(struct connection *connection);
void connection_unref(struct connection **connection);
/* A request of the connection is about to reach the instance with this exposure: the first is told to it. Later ones
 * cost a comparison. For the thread that has the transport's side of the connection, which closes it too. */
void connection_reach(struct connection *connection, struct exposure *exposure);
/* The socket is gone: runs every release hook in its instance's scope. */
void connection_close(struct connection *connection);

/* One pointer per (connection, instance); release may be NULL. Replaces (and releases) what was there.
 * -ENOTCONN after connection_close (the hook is then not kept and not run). */
int connection_set_data(struct connection *connection, struct instance *instance, void *data, void (*release)(void *));
void *connection_data(struct connection *connection, const struct instance *instance);
/* Releases the data of every connection that belongs to the instance; called when it is drained. */
void connection_release_instance(struct instance *instance);
