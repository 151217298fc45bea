/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* endpoint.h - the edge: sockets, TLS and HTTP/1.1 framing in front of request.h; the owner of libmicrohttpd.
 *
 * Threads: the functions here are called by the main thread; it runs its own accept, watch and serving threads.
 * Owns: listeners, connections, credential sets, the libmicrohttpd daemon.
 */
#include "config.h"
#include "error.h"
#include "request.h"
#include "tls-refusal.h"
#include "tls-store.h"

#include <stdbool.h>
#include <stdint.h>

struct endpoint;

/* Monotonic totals since start, but open_*, which are now. */
struct endpoint_stats {
	uint64_t accepted, refused_total_limit, refused_address_limit, refused_other;
	uint64_t handshakes_full, handshakes_resumed, handshakes_refused[TLS_REFUSAL_COUNT];
	uint64_t timeouts_handshake, timeouts_header, timeouts_body, timeouts_write, timeouts_idle;
	uint64_t cut[TLS_REFUSAL_COUNT];      /* open connections closed because their peer is not let in any longer */
	uint64_t bad_requests;                /* refused by the framing gate */
	uint64_t bad_records, renegotiations; /* what ended a connection after its handshake */
	uint64_t queued_handshakes;           /* now: wait for their turn */
	uint64_t queued_total;                /* that ever did, each time counted */
	uint64_t requests;                    /* handed to request_begin */
	uint64_t open_connections, open_handshaking;
};

struct endpoint_listener {
	const char *name, *tls;
	char address[80]; /* as bound, with the real port: "[::1]:40123" */
};

/* Opens the listeners, loads the credential sets; serves from endpoint_start on. inherited sockets are matched by name
 * (sd_listen_fds_with_names). */
int endpoint_new(const struct config *config, struct request_service *service, struct endpoint **ret,
		 struct error *error);
int endpoint_start(struct endpoint *endpoint, struct error *error);
/* The credential sets. Loading new ones may take its time, and may be done on any thread. */
struct tls_store *endpoint_tls(const struct endpoint *endpoint);
/* Swaps listeners, credential sets and limits for new connections. All or nothing: on failure the old stay. Connections
 * whose listener is gone are closed after the request they serve. sets: loaded for this configuration. Returns how many
 * policies changed; endpoint_look_again is due if any did. */
int endpoint_reload(struct endpoint *endpoint, const struct config *config, const struct tls_sets *sets,
		    struct error *error);

struct endpoint_look {
	uint64_t seen, closed[TLS_REFUSAL_COUNT];
};
/* Judges the peers of open connections by the policy in force and closes those it does not let in. Any thread; takes
 * microseconds a connection, and where client_ca changed the check of a chain's signatures. expired: only those whose
 * certificates ended before then; 0: all. */
void endpoint_look_again(struct endpoint *endpoint, const struct config *config, time_t expired,
			 struct endpoint_look *ret);
/* Stops accepting, closes idle connections, lets requests end with Connection: close. */
void endpoint_drain(struct endpoint *endpoint);
/* True when no connection is left. */
bool endpoint_idle(const struct endpoint *endpoint);
void endpoint_stats(const struct endpoint *endpoint, struct endpoint_stats *ret);
/* Returns how many listeners there are; fills at most `size`. */
size_t endpoint_listeners(const struct endpoint *endpoint, struct endpoint_listener *ret, size_t size);
/* The version of libmicrohttpd that runs, "0.9.75". */
const char *endpoint_library(void);
/* Closes what is left and joins its threads; accepts NULL. Never blocks on a client. */
void endpoint_free(struct endpoint **endpoint);
