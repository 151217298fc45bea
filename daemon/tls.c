/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tls.h"

#include "handshake.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

enum {
	MICROSECONDS = 1000000,
	/* What a peer may make us buffer before it is known: a chain of CHAIN_DEPTH generous certificates. */
	HANDSHAKE_MESSAGE = 64 * 1024
};

/* Fastest first: AES-128-GCM has hardware everywhere, X25519 is the cheapest exchange (measured). */
static const char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3%s"
				 ":-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD"
				 ":-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA"
				 ":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1"
				 ":-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:-SIGN-DSA-SHA1:%%SERVER_PRECEDENCE";

struct tls_set {
	atomic_uint references, sessions;
	char *name;
	time_t loaded, expires, warn_before;
	struct credential *credential;
	struct trust *trust;
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
	int min_version;
	bool tickets;
	unsigned ticket_lifetime, ticket_rotation; /* seconds */
	struct secret ticket_key;                  /* the shared file's text */
	char *ticket_file;
	struct tls_policy *policy;
	bool enforced; /* its terms were the policy's once */
	void (*release)(struct tls_set *set, void *arg);
	void *release_arg;
};

/* --- loading ----------------------------------------------------------------------------------------------------- */

static int
set_copy_options(struct tls_set *set, const struct config_tls *config)
{
	set->min_version = config->min_version;
	set->tickets = config->tickets;
	set->ticket_lifetime = (unsigned) (config->ticket_lifetime / MICROSECONDS);
	set->ticket_rotation = (unsigned) (config->ticket_rotation / MICROSECONDS);
	set->warn_before = (time_t) (config->warn_before / MICROSECONDS);
	set->loaded = time(NULL);
	set->name = strdup(config->name);
	if (config->ticket_key)
		set->ticket_file = strdup(config->ticket_key);
	return set->name && (set->ticket_file || !config->ticket_key) ? 0 : -ENOMEM;
}

/* Only to say what is wrong with it; the policy reads it again when the set comes into force. */
static int
set_read_tickets(struct tls_set *set, struct error *error)
{
	struct ticket_ring *ring = NULL;
	bool changed;
	if (!set->ticket_file)
		return 0;
	int r = secret_read(set->ticket_file, "ticket_key", true, &set->ticket_key, error);
	if (r < 0)
		return r;
	if (ticket_ring_new(&ring) < 0)
		return error_set(error, -ENOMEM, "out of memory");
	r = ticket_ring_read(ring, set->ticket_file, set->ticket_key.data, set->ticket_key.size, set->loaded, &changed,
			     error);
	ticket_ring_free(&ring);
	return r;
}

static int
set_make_credentials(struct tls_set *set, struct error *error)
{
	unsigned count = 0;
	/* GnuTLS takes them as variable, and copies. */
	gnutls_x509_crt_t *authorities = (gnutls_x509_crt_t *) (uintptr_t) trust_authorities(set->trust, &count);
	char text[sizeof(priorities) + 32];
	if (gnutls_certificate_allocate_credentials(&set->credentials) < 0)
		return error_set(error, -ENOMEM, "out of memory");
	(void) snprintf(text, sizeof(text), priorities, set->min_version == CONFIG_TLS_1_2 ? ":+VERS-TLS1.2" : "");
	int r = gnutls_priority_init(&set->priority, text, NULL);
	if (r < 0)
		return error_set(error, -EINVAL, "this GnuTLS does not take our priorities: %s", gnutls_strerror(r));
	/* For the names in the request; the judgement is the policy's. */
	if (gnutls_certificate_set_x509_trust(set->credentials, authorities, (int) count) < 0)
		return error_set(error, -ENOMEM, "client_ca cannot be kept");
	gnutls_certificate_set_retrieve_function3(set->credentials, handshake_offer);
	return 0;
}

static int
set_fill(struct tls_set *set, const struct config_tls *config, const struct tls_set *previous, struct error *error)
{
	int r = set_copy_options(set, config);
	if (r < 0)
		return error_set(error, r, "out of memory");
	r = credential_load(config, &set->credential, error);
	if (r == 0)
		r = trust_load(config, previous ? previous->trust : NULL, &set->trust, error);
	if (r == 0)
		r = set_read_tickets(set, error);
	for (size_t i = 0; r == 0 && i < credential_count(set->credential); i++) {
		struct credential_view view;
		credential_view(set->credential, i, &view);
		if (i == 0 || view.expires < set->expires)
			set->expires = view.expires;
	}
	return r;
}

static bool
is_same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool
is_same(const struct tls_set *a, const struct tls_set *b)
{
	return a->trust == b->trust && a->min_version == b->min_version && a->tickets == b->tickets &&
	       a->ticket_lifetime == b->ticket_lifetime && a->ticket_rotation == b->ticket_rotation &&
	       a->warn_before == b->warn_before && is_same_text(a->ticket_file, b->ticket_file) &&
	       a->ticket_key.size == b->ticket_key.size &&
	       (!a->ticket_key.size || memcmp(a->ticket_key.data, b->ticket_key.data, a->ticket_key.size) == 0) &&
	       memcmp(credential_content(a->credential), credential_content(b->credential), TICKET_POLICY) == 0;
}

int
tls_set_load(const struct config_tls *config, struct tls_set *previous, struct tls_set **ret, struct error *error)
{
	CLEANUP(tls_set_unref) struct tls_set *set = calloc(1, sizeof(*set));
	if (!set)
		return error_set(error, -ENOMEM, "out of memory");
	atomic_init(&set->references, 1);
	int r = set_fill(set, config, previous, error);
	if (r == 0 && previous && is_same(set, previous)) {
		*ret = tls_set_ref(previous);
		return 0;
	}
	if (r == 0)
		r = set_make_credentials(set, error);
	if (r < 0) {
		error_prefix(error, "tls %s", config->name);
		return r;
	}
	*ret = STEAL(set);
	return 0;
}

struct tls_set *
tls_set_ref(struct tls_set *set)
{
	atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
	return set;
}

void
tls_set_unref(struct tls_set **set)
{
	struct tls_set *old = STEAL(*set);
	if (!old || atomic_fetch_sub_explicit(&old->references, 1, memory_order_acq_rel) != 1)
		return;
	if (old->release)
		old->release(old, old->release_arg);
	if (old->credentials)
		gnutls_certificate_free_credentials(old->credentials);
	if (old->priority)
		gnutls_priority_deinit(old->priority);
	credential_free(&old->credential);
	trust_unref(&old->trust);
	tls_policy_unref(&old->policy);
	secret_clear(&old->ticket_key);
	free(old->ticket_file);
	free(old->name);
	free(old);
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

const char *
tls_set_name(const struct tls_set *set)
{
	return set->name;
}

const struct credential *
tls_set_credential(const struct tls_set *set)
{
	return set->credential;
}

struct trust *
tls_set_trust(const struct tls_set *set)
{
	return set->trust;
}

void
tls_set_forget_trust(struct tls_set *set)
{
	if (set->enforced)
		trust_unref(&set->trust);
}

time_t
tls_set_loaded(const struct tls_set *set)
{
	return set->loaded;
}

time_t
tls_set_warn_before(const struct tls_set *set)
{
	return set->warn_before;
}

unsigned
tls_set_references(const struct tls_set *set)
{
	return atomic_load_explicit(&set->references, memory_order_relaxed);
}

unsigned
tls_set_sessions(const struct tls_set *set)
{
	return atomic_load_explicit(&set->sessions, memory_order_relaxed);
}

struct tls_set *
tls_set_pin(struct tls_set *set)
{
	atomic_fetch_add_explicit(&set->sessions, 1, memory_order_relaxed);
	return tls_set_ref(set);
}

void
tls_set_unpin(struct tls_set **set)
{
	if (*set)
		atomic_fetch_sub_explicit(&(*set)->sessions, 1, memory_order_relaxed);
	tls_set_unref(set);
}

size_t
tls_set_bytes(const struct tls_set *set)
{
	return sizeof(*set) + credential_bytes(set->credential);
}

time_t
tls_set_expires(const struct tls_set *set)
{
	return set->expires;
}

/* --- policy ------------------------------------------------------------------------------------------------------ */

void
tls_set_bind(struct tls_set *set, struct tls_policy *policy, void (*release)(struct tls_set *set, void *arg), void *arg)
{
	set->policy = tls_policy_ref(policy);
	set->release = release;
	set->release_arg = arg;
}

struct tls_policy *
tls_set_policy(const struct tls_set *set)
{
	return set->policy;
}

bool
tls_set_enforce(struct tls_set *set, const unsigned char rules[TICKET_POLICY], time_t now)
{
	const struct tls_policy_terms terms = {
		.trust = set->trust,
		.rules = rules,
		.tickets = set->tickets,
		.ticket_lifetime = set->ticket_lifetime,
		.ticket_rotation = set->ticket_rotation,
		.ticket_key = set->ticket_file ? &set->ticket_key : NULL,
		.ticket_file = set->ticket_file,
	};
	set->enforced = true;
	return tls_policy_adopt(set->policy, &terms, now);
}

/* --- sessions ---------------------------------------------------------------------------------------------------- */

int
tls_set_attach(struct tls_set *set, gnutls_session_t session)
{
	if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, set->credentials) < 0 ||
	    gnutls_priority_set(session, set->priority) < 0)
		return -ENOMEM;
	gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
	gnutls_handshake_set_max_packet_length(session, HANDSHAKE_MESSAGE);
	return 0;
}

enum tls_refusal
tls_set_check(const struct tls_set *set, gnutls_session_t session, struct chain **ret, uint64_t *ret_epoch)
{
	struct chain_bytes sent[CHAIN_SENT];
	unsigned count = 0;
	const gnutls_datum_t *peers = gnutls_certificate_get_peers(session, &count);
	if (!peers || !count)
		return TLS_NO_CERTIFICATE;
	if (count > CHAIN_SENT)
		return TLS_BAD_CERTIFICATE;
	for (unsigned i = 0; i < count; i++)
		sent[i] = (struct chain_bytes){peers[i].data, peers[i].size};
	CLEANUP(trust_unref) struct trust *trust = tls_policy_trust(set->policy, ret_epoch);
	return trust ? trust_check(trust, sent, count, time(NULL), ret) : TLS_BAD_CERTIFICATE;
}
