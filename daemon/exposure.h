/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* exposure.h - what an instance was exposed to that requests do not count by themselves: errors, connections, full
 * handshakes, distinct clients.
 *
 * A connection holds the exposure of every instance it has reached, which is how later requests of the connection know
 * that they need not count it again; so the exposure outlives the instance until such connections close.
 *
 * Distinct clients are told apart by 16 bits of their certificate's SHA-256, in a table of 65,536 bits (8 KiB). A new
 * client that meets a bit set already is not seen; each that is seen counts for those it stands for (the inverse of the
 * table's free share). So the count has no bias; its standard error is 0.3 % at 1,000, 0.3 % at 65,000 and 1 % at
 * 330,000 clients (of 100 clients, one is missed in 7 cases of 100). It ends at 764,000, when the table is full.
 * Source: Whang et al., "A linear-time probabilistic counting algorithm" (1990); Ting, "Streamed approximate counting
 * of distinct elements" (2014), for counting as bits are set.
 *
 * Threads: any, without locks. Owns: its table, freed when the instance ends.
 */
#include "signals.h"

#include <stdbool.h>

struct exposure;

/* One holder. -ENOMEM. */
int exposure_new(struct exposure **ret);
struct exposure *exposure_hold(struct exposure *exposure);
/* Clears the pointer; accepts NULL. */
void exposure_release(struct exposure **exposure);
/* The instance has drained: nobody reaches it any more. Frees what only an instance that serves needs. */
void exposure_end(struct exposure *exposure);
bool exposure_has_ended(const struct exposure *exposure);

/* A connection reached the instance for the first time. certificate: SHA-256 of the client's, in hex. */
void exposure_open(struct exposure *exposure, const char *certificate, bool resumed);
/* Such a connection closed. */
void exposure_close(struct exposure *exposure);
/* A request ended with 4xx, 5xx or without an answer. */
void exposure_fail(struct exposure *exposure);

/* Fills in errors, handshakes, connections, clients and open_connections. */
void exposure_read(const struct exposure *exposure, struct signals_sample *ret);
