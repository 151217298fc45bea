/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* fake-server.h - a server, supervisor and endpoint made of constants, for tests of the control plane.
 *
 * Two plugins: "leak" (instance 3, with two sites to dump) and "cache" (evicts). Changes are counted.
 *
 * Threads: as the real ones. Owns: its configuration.
 */
#include "server.h"
#include "verdict.h"

struct fake_server {
	struct config *config;
	int evictions, restarts, enables, disables, reloads, tls_reloads, samplings;
	uint64_t sampling, evict_target, restart_if_instance, restart_timeout;
	int evict_level;
	int failure;  /* negative errno every change fails with; 0: none */
	size_t sites; /* how many sites leak's dump has */
	bool hold;    /* changes wait until it is false */
	bool inside;  /* one waits */
	bool unwatched; /* there is no overseer */
	bool stopped;   /* leak's restarts took back too little */
	enum verdict_outcome outcome; /* of leak, 0: confirmed */
};

struct fake_server *fake_server(struct server *server);
struct server *fake_server_new(void);
void fake_server_delete(struct server **server);
/* Brings the tls sets of this configuration into force. */
void fake_server_tls(struct server *server, const struct config *config);
/* A counter of the struct, while jobs may run. */
int fake_server_read(struct server *server, const int *counter);
/* Lets waiting changes go on; waits until one is inside. */
void fake_server_release(struct server *server);
void fake_server_wait_inside(struct server *server);
