/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* tls-policy.h - what is in force now for all sets of one name: whom to trust, and the keys of tickets bound to that.
 *
 * Sets are immutable and pinned by the connections that began with them; the policy is what changes under them, so that
 * a session of an old set is judged by today's authorities and lists. Its epoch rises with every change of authorities,
 * of what is revoked, or of the routes' rules; ticket keys are derived from the same, so that tickets of an earlier
 * epoch open nothing.
 *
 * Threads: any; one lock, held for a moment. Counted. Owns: its trust's reference, the secrets of tickets.
 */
#include "ticket.h"
#include "trust.h"

struct tls_policy;

struct tls_policy_terms {
	struct trust *trust;        /* referenced */
	const unsigned char *rules; /* TICKET_POLICY bytes: digest of who may do what */
	bool tickets;
	unsigned ticket_lifetime, ticket_rotation; /* seconds */
	const struct secret *ticket_key;           /* the text of the shared file; NULL: own secrets */
	const char *ticket_file;
};

int tls_policy_new(const char *name, struct tls_policy **ret);
struct tls_policy *tls_policy_ref(struct tls_policy *policy);
void tls_policy_unref(struct tls_policy **policy);
const char *tls_policy_name(const struct tls_policy *policy);

/* From now on these terms. True if the epoch rose. Where ticket keys cannot be made there are no tickets. Own secrets
 * are kept for the next run (handover.h): a restart costs nobody a full handshake. Main thread, as the two below. */
bool tls_policy_adopt(struct tls_policy *policy, const struct tls_policy_terms *terms, time_t now);
/* Renews secrets that are due. True if it did. */
bool tls_policy_turn(struct tls_policy *policy, time_t now);
/* No set in force has its name any more: the next run is not to know its secrets. */
void tls_policy_retire(struct tls_policy *policy);
/* A reference, and the epoch it belongs to. NULL before the first terms. */
struct trust *tls_policy_trust(struct tls_policy *policy, uint64_t *ret_epoch);
uint64_t tls_policy_epoch(const struct tls_policy *policy);
/* The key for a session that begins with this hello. False: no tickets. */
bool tls_policy_ticket(struct tls_policy *policy, const struct hello *hello, time_t now, unsigned char ret[TICKET_KEY],
		       unsigned *ret_lifetime);

struct tls_policy_view {
	uint64_t epoch;
	bool tickets, shared, kept; /* kept: for the next run */
	unsigned ticket_lifetime, ticket_rotation;
	size_t secrets;
	time_t newest;       /* when the newest secret came; 0: none */
	uint64_t rotations;  /* secrets that came after the first */
	struct trust *trust; /* a reference, or NULL */
};
void tls_policy_view(struct tls_policy *policy, struct tls_policy_view *ret);
