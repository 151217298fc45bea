/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tls-policy.h"

#include "handover.h"

#include <assert.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct tls_policy {
	atomic_uint references;
	char *name;
	atomic_uint_fast64_t epoch; /* written under the lock */
	/* The main thread's, which alone changes what the lock guards: handshakes do not wait for the manager. -1, or a
	 * memory file in its store that has the ring's secrets. */
	atomic_int kept;
	pthread_mutex_t lock; /* guards all below */
	struct trust *trust;
	unsigned char digest[TICKET_POLICY];
	bool tickets, shared;
	unsigned lifetime, rotation;
	struct ticket_ring *ring;
	struct ticket_keys keys;
	uint64_t rotations;
};

/* --- secrets for the next run ------------------------------------------------------------------------------------ */

enum { KEPT_NAME = 200 };

static void
close_kept(struct tls_policy *policy)
{
	int fd = atomic_exchange(&policy->kept, -1);
	cleanup_close(&fd);
}

static void
kept_name(const struct tls_policy *policy, char name[static KEPT_NAME])
{
	(void) snprintf(name, KEPT_NAME, "tickets-%.180s", policy->name);
}

/* What the run before kept, for a ring that is nobody else's yet. */
static void
find_kept(struct tls_policy *policy)
{
	char name[KEPT_NAME];
	kept_name(policy, name);
	int fd = handover_take(name);
	if (fd < 0)
		return;
	(void) ticket_ring_load(policy->ring, fd); /* or else it begins with none */
	atomic_store(&policy->kept, fd);
}

static void
forget_kept(struct tls_policy *policy)
{
	char name[KEPT_NAME];
	int fd = atomic_load(&policy->kept);
	if (fd < 0)
		return;
	kept_name(policy, name);
	handover_forget(name);
	/* The manager's copy is the same file: nothing is left in it, whenever it is closed. */
	int r = ftruncate(fd, 0);
	assert(r == 0); /* ours, and not sealed */
	(void) r;
	close_kept(policy);
}

/* What cannot be kept costs a full handshake after the restart, no more. */
static void
keep_secrets(struct tls_policy *policy)
{
	char name[KEPT_NAME];
	if (policy->shared || !policy->tickets) {
		forget_kept(policy);
		return;
	}
	if (atomic_load(&policy->kept) < 0 && handover_available()) {
		kept_name(policy, name);
		atomic_store(&policy->kept, memfd_create("mtlsd-tickets", MFD_CLOEXEC));
		if (atomic_load(&policy->kept) >= 0 && handover_keep(name, atomic_load(&policy->kept)) < 0)
			close_kept(policy);
	}
	if (atomic_load(&policy->kept) >= 0 && ticket_ring_save(policy->ring, atomic_load(&policy->kept)) < 0)
		forget_kept(policy);
}

/* --- policies --------------------------------------------------------------------------------------------------- */

int
tls_policy_new(const char *name, struct tls_policy **ret)
{
	struct tls_policy *policy = calloc(1, sizeof(*policy));
	if (!policy)
		return -ENOMEM;
	policy->name = strdup(name);
	if (!policy->name || ticket_ring_new(&policy->ring) < 0) {
		free(policy->name);
		free(policy);
		return -ENOMEM;
	}
	atomic_init(&policy->references, 1);
	atomic_init(&policy->kept, -1);
	pthread_mutex_init(&policy->lock, NULL);
	*ret = policy;
	return 0;
}

struct tls_policy *
tls_policy_ref(struct tls_policy *policy)
{
	atomic_fetch_add_explicit(&policy->references, 1, memory_order_relaxed);
	return policy;
}

void
tls_policy_unref(struct tls_policy **policy)
{
	struct tls_policy *old = STEAL(*policy);
	if (!old || atomic_fetch_sub_explicit(&old->references, 1, memory_order_acq_rel) != 1)
		return;
	trust_unref(&old->trust);
	ticket_keys_clear(&old->keys);
	ticket_ring_free(&old->ring);
	close_kept(old);
	pthread_mutex_destroy(&old->lock);
	free(old->name);
	free(old);
}

const char *
tls_policy_name(const struct tls_policy *policy)
{
	return policy->name;
}

/* Lock held. */
static void
derive_keys(struct tls_policy *policy)
{
	ticket_keys_clear(&policy->keys);
	if (policy->tickets)
		(void) ticket_keys_derive(policy->ring, policy->name, policy->digest, policy->lifetime, &policy->keys);
}

/* --- terms ------------------------------------------------------------------------------------------------------- */

/* Lock held. */
static void
take_secrets(struct tls_policy *policy, const struct tls_policy_terms *terms, time_t now)
{
	bool shared = terms->ticket_key != NULL, changed = false;
	/* Secrets of a file that is not named any more are not ours to use. */
	if (policy->shared && !shared) {
		ticket_ring_free(&policy->ring);
		if (ticket_ring_new(&policy->ring) < 0)
			policy->tickets = false;
	}
	policy->shared = shared;
	if (!policy->ring)
		return;
	size_t before = ticket_ring_count(policy->ring);
	int r = shared ? ticket_ring_read(policy->ring, terms->ticket_file, terms->ticket_key->data,
					  terms->ticket_key->size, now, &changed, NULL)
		       : ticket_ring_turn(policy->ring, now, policy->rotation, policy->lifetime);
	if (r < 0)
		policy->tickets = false;
	else if (before && (changed || r > 0))
		policy->rotations++;
}

static bool
digest_terms(const struct tls_policy_terms *terms, unsigned char ret[TICKET_POLICY])
{
	unsigned char both[2 * TICKET_POLICY];
	memcpy(both, trust_policy(terms->trust), TICKET_POLICY);
	memcpy(both + TICKET_POLICY, terms->rules, TICKET_POLICY);
	return gnutls_hash_fast(GNUTLS_DIG_SHA256, both, sizeof(both), ret) == 0;
}

bool
tls_policy_adopt(struct tls_policy *policy, const struct tls_policy_terms *terms, time_t now)
{
	unsigned char digest[TICKET_POLICY] = {0};
	bool digested = digest_terms(terms, digest);
	struct trust *before;

	if (!policy->trust && !terms->ticket_key)
		find_kept(policy);
	pthread_mutex_lock(&policy->lock);
	/* What cannot be told apart is taken for changed. */
	bool changed = !policy->trust || !digested || memcmp(digest, policy->digest, sizeof(digest)) != 0;
	before = policy->trust;
	policy->trust = trust_ref(terms->trust);
	policy->tickets = terms->tickets && digested;
	policy->lifetime = terms->ticket_lifetime;
	policy->rotation = terms->ticket_rotation;
	memcpy(policy->digest, digest, sizeof(digest));
	take_secrets(policy, terms, now);
	derive_keys(policy);
	if (changed)
		atomic_fetch_add(&policy->epoch, 1);
	pthread_mutex_unlock(&policy->lock);
	keep_secrets(policy);
	trust_unref(&before);
	return changed;
}

bool
tls_policy_turn(struct tls_policy *policy, time_t now)
{
	bool turned = false;
	pthread_mutex_lock(&policy->lock);
	if (policy->trust && policy->tickets && !policy->shared &&
	    ticket_ring_turn(policy->ring, now, policy->rotation, policy->lifetime) > 0) {
		derive_keys(policy);
		policy->rotations++;
		turned = true;
	}
	pthread_mutex_unlock(&policy->lock);
	if (turned)
		keep_secrets(policy);
	return turned;
}

void
tls_policy_retire(struct tls_policy *policy)
{
	forget_kept(policy);
}

struct trust *
tls_policy_trust(struct tls_policy *policy, uint64_t *ret_epoch)
{
	pthread_mutex_lock(&policy->lock);
	struct trust *trust = policy->trust ? trust_ref(policy->trust) : NULL;
	*ret_epoch = atomic_load(&policy->epoch);
	pthread_mutex_unlock(&policy->lock);
	return trust;
}

uint64_t
tls_policy_epoch(const struct tls_policy *policy)
{
	return atomic_load(&policy->epoch);
}

bool
tls_policy_ticket(struct tls_policy *policy, const struct hello *hello, time_t now, unsigned char ret[TICKET_KEY],
		  unsigned *ret_lifetime)
{
	pthread_mutex_lock(&policy->lock);
	const unsigned char *key = ticket_keys_choose(&policy->keys, hello, now);
	if (key) {
		memcpy(ret, key, TICKET_KEY);
		*ret_lifetime = policy->lifetime;
	}
	pthread_mutex_unlock(&policy->lock);
	return key != NULL;
}

void
tls_policy_view(struct tls_policy *policy, struct tls_policy_view *ret)
{
	pthread_mutex_lock(&policy->lock);
	*ret = (struct tls_policy_view){
		.epoch = atomic_load(&policy->epoch),
		.tickets = policy->keys.count > 0,
		.shared = policy->shared,
		.kept = atomic_load(&policy->kept) >= 0,
		.ticket_lifetime = policy->lifetime,
		.ticket_rotation = policy->shared ? 0 : policy->rotation,
		.secrets = policy->keys.count,
		.newest = policy->ring ? ticket_ring_since(policy->ring) : 0,
		.rotations = policy->rotations,
		.trust = policy->trust ? trust_ref(policy->trust) : NULL,
	};
	pthread_mutex_unlock(&policy->lock);
}
