/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* tls-store.h - all credential sets that live: those in force, and older ones that connections still pin.
 *
 * Threads: any; one lock. Loading may be slow (large revocation lists, tokens) and belongs on a job's thread.
 * Owns: references of the sets in force, and one thread that loads.
 */
#include "tls.h"

struct tls_store;

/* One set for each entry of a configuration's tls list, in its order. */
struct tls_sets {
	struct tls_set **sets;
	size_t count;
	unsigned char rules[TICKET_POLICY]; /* digest of the routes */
};

int tls_store_new(struct tls_store **ret);
/* The sets of others may outlive it no longer; accepts NULL. */
void tls_store_free(struct tls_store **store);

/* Loads what the configuration names; what has not changed is the set in force again. All or nothing. ret_before: the
 * sets in force until now, to go back to; may be NULL. */
int tls_store_load(struct tls_store *store, const struct config *config, struct tls_sets *ret,
		   struct tls_sets *ret_before, struct error *error);
void tls_sets_clear(struct tls_sets *sets);
/* From now on these are in force. Returns how many policies changed: then live connections are to be looked at again.
 * -ENOMEM: nothing was done. */
int tls_store_enforce(struct tls_store *store, const struct tls_sets *sets, time_t now);
/* Renews secrets of tickets that are due, and has sets that are only pinned let go of what they need no more. On the
 * thread that calls tls_store_enforce. */
void tls_store_turn(struct tls_store *store, time_t now);

struct tls_store_view {
	struct tls_set *set; /* valid during the visit */
	bool current;
};
/* Every living set, those in force first. The visit must not drop references of sets. */
void tls_store_visit(struct tls_store *store, void (*visit)(const struct tls_store_view *view, void *arg), void *arg);

/* What of a set in force wants an operator: it ends soon, or has ended. */
struct tls_expiry {
	const char *set, *what; /* "certificate", "client_ca", "client_crl", "ocsp" */
	const char *name;       /* file or subject; "" */
	time_t until;
	bool over;
};
void tls_store_expiring(struct tls_store *store, time_t now, void (*visit)(const struct tls_expiry *expiry, void *arg),
			void *arg);
