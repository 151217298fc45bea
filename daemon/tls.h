/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* tls.h - credential sets: what one entry of the configuration's tls list gives to sessions.
 *
 * A set is immutable and counted: the server's certificates with their keys, the client authorities with their lists as
 * they were read. A session pins the set it began with; what its peer is judged by is the policy in force
 * (tls-policy.h).
 *
 * Threads: sets are read-only; ref/unref any thread; session calls on the session's thread.
 * Owns: certificates and keys; core dumps leave the keys out (vault.h).
 */
#include "credential.h"
#include "tls-policy.h"

#include <gnutls/gnutls.h>

struct tls_set;

/* Reads and checks the files. The error names the file, what is wrong and the cure. previous: the set of the same name
 * before a reload, or NULL; it is returned again (a new reference) if nothing has changed. */
int tls_set_load(const struct config_tls *config, struct tls_set *previous, struct tls_set **ret, struct error *error);
struct tls_set *tls_set_ref(struct tls_set *set);
void tls_set_unref(struct tls_set **set);
const char *tls_set_name(const struct tls_set *set);
const struct credential *tls_set_credential(const struct tls_set *set);
struct trust *tls_set_trust(const struct tls_set *set); /* borrowed; NULL once forgotten */
/* A set that was in force and is not any more: lets go of its authorities and lists, which nobody asks it for, however
 * long a connection pins it. */
void tls_set_forget_trust(struct tls_set *set);
time_t tls_set_loaded(const struct tls_set *set);
time_t tls_set_warn_before(const struct tls_set *set); /* seconds */
unsigned tls_set_references(const struct tls_set *set);
/* References that are connections. */
unsigned tls_set_sessions(const struct tls_set *set);
struct tls_set *tls_set_pin(struct tls_set *set); /* a reference of a connection */
void tls_set_unpin(struct tls_set **set);
size_t tls_set_bytes(const struct tls_set *set);
/* The first to expire of its certificates, authorities left out. */
time_t tls_set_expires(const struct tls_set *set);

/* Before its first session: what judges its peers. release (may be NULL) is called when the set is freed. */
void tls_set_bind(struct tls_set *set, struct tls_policy *policy, void (*release)(struct tls_set *set, void *arg),
		  void *arg);
struct tls_policy *tls_set_policy(const struct tls_set *set); /* borrowed; NULL before tls_set_bind */
/* Makes the set's own terms those of its policy. True if the epoch rose. */
bool tls_set_enforce(struct tls_set *set, const unsigned char rules[TICKET_POLICY], time_t now);

/* Gives a session that was just made the set's credentials and versions, and demands a certificate. The set must
 * outlive the session. */
int tls_set_attach(struct tls_set *set, gnutls_session_t session);
/* Checks the peer's certificate against the policy in force. TLS_ACCEPTED: *ret is the proved chain, a reference. */
enum tls_refusal tls_set_check(const struct tls_set *set, gnutls_session_t session, struct chain **ret,
			       uint64_t *ret_epoch);
