/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tls.h"

#include "crl.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
	DIGEST_LENGTH = 32,
	CHAIN_DEPTH = 8,
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
	atomic_uint references;
	char *name;
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
	struct crl_store *crls; /* NULL: none given */
	int crl_policy;
	time_t expires;
	bool tickets;
	unsigned ticket_lifetime; /* seconds */
	gnutls_datum_t ticket_key;
	unsigned char policy[DIGEST_LENGTH]; /* of all that decides who is let in */
};

static const char *const refusal_names[TLS_REFUSAL_COUNT] = {
	[TLS_ACCEPTED] = "accepted",
	[TLS_NO_CERTIFICATE] = "no-certificate",
	[TLS_UNKNOWN_CA] = "unknown-ca",
	[TLS_EXPIRED] = "expired",
	[TLS_NOT_YET_VALID] = "not-yet-valid",
	[TLS_REVOKED] = "revoked",
	[TLS_CRL_STALE] = "crl-stale",
	[TLS_BAD_PURPOSE] = "bad-purpose",
	[TLS_BAD_CERTIFICATE] = "bad-certificate",
	[TLS_PROTOCOL] = "protocol",
};

const char *
tls_refusal_name(enum tls_refusal refusal)
{
	return refusal_names[refusal];
}

/* --- loading --------------------------------------------------------------------------------------------------- */

struct files {
	gnutls_datum_t certificate, key, client_ca, client_crl;
};

static void
datum_clear(gnutls_datum_t *datum)
{
	if (!datum->data)
		return;
	explicit_bzero(datum->data, datum->size);
	free(datum->data);
	*datum = (gnutls_datum_t){0};
}

static void
files_clear(struct files *files)
{
	datum_clear(&files->certificate);
	datum_clear(&files->key);
	datum_clear(&files->client_ca);
	datum_clear(&files->client_crl);
}

static int
file_read(const char *path, const char *what, gnutls_datum_t *ret, struct error *error)
{
	enum { LIMIT = 256 << 20 };
	FILE *file = fopen(path, "re");
	if (!file)
		return error_set(error, -errno, "%s %s: %s", what, path, strerror(errno));
	/* Unbuffered: stdio's own copy of a key would stay behind in freed memory. */
	setvbuf(file, NULL, _IONBF, 0);
	size_t size = 0, room = 64 * 1024;
	unsigned char *data = malloc(room);
	int r = data ? 0 : -ENOMEM;
	while (r == 0) {
		size_t n = fread(data + size, 1, room - size, file);
		size += n;
		if (size < room) {
			r = ferror(file) ? -EIO : 0;
			break;
		}
		unsigned char *grown = room < LIMIT ? malloc(room * 2) : NULL;
		if (!grown) {
			r = room < LIMIT ? -ENOMEM : -EFBIG;
			break;
		}
		memcpy(grown, data, size);
		explicit_bzero(data, size);
		free(data);
		data = grown;
		room *= 2;
	}
	(void) fclose(file);
	if (r == 0 && size == 0)
		r = -ENODATA;
	if (r < 0) {
		free(data);
		return error_set(error, r, "%s %s: %s", what, path, r == -ENODATA ? "is empty" : strerror(-r));
	}
	*ret = (gnutls_datum_t){.data = data, .size = (unsigned) size};
	return 0;
}

static int
files_read(const struct config_tls *config, struct files *files, struct error *error)
{
	int r = file_read(config->certificate, "certificate", &files->certificate, error);
	if (r == 0)
		r = file_read(config->key, "key", &files->key, error);
	if (r == 0)
		r = file_read(config->client_ca, "client_ca", &files->client_ca, error);
	if (r == 0 && config->crl != CONFIG_CRL_OFF && config->client_crl)
		r = file_read(config->client_crl, "client_crl", &files->client_crl, error);
	return r;
}

static int
set_certificate(struct tls_set *set, const struct config_tls *config, const struct files *files, struct error *error)
{
	gnutls_x509_crt_t *chain = NULL;
	unsigned count = 0;
	int r = gnutls_x509_crt_list_import2(&chain, &count, &files->certificate, GNUTLS_X509_FMT_PEM,
					     GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED);
	if (r == GNUTLS_E_CERTIFICATE_LIST_UNSORTED)
		return error_set(error, -EBADMSG, "certificate %s: put the leaf first, each issuer after it",
				 config->certificate);
	if (r < 0)
		return error_set(error, -EBADMSG, "certificate %s: no certificate in PEM form: %s", config->certificate,
				 gnutls_strerror(r));
	for (unsigned i = 0; i < count; i++) {
		time_t expires = gnutls_x509_crt_get_expiration_time(chain[i]);
		if (i == 0 || expires < set->expires)
			set->expires = expires;
		gnutls_x509_crt_deinit(chain[i]);
	}
	gnutls_free(chain);
	r = gnutls_certificate_set_x509_key_mem2(set->credentials, &files->certificate, &files->key,
						 GNUTLS_X509_FMT_PEM, NULL, 0);
	if (r == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
		return error_set(error, -EBADMSG, "key %s does not belong to certificate %s", config->key,
				 config->certificate);
	if (r < 0)
		return error_set(error, -EBADMSG, "key %s: no usable private key in PEM form: %s", config->key,
				 gnutls_strerror(r));
	return 0;
}

static int
check_authorities(const struct config_tls *config, gnutls_x509_crt_t *authorities, unsigned count, struct error *error)
{
	for (unsigned i = 0; i < count; i++) {
		if (gnutls_x509_crt_get_ca_status(authorities[i], NULL) > 0)
			continue;
		char name[200] = "?";
		size_t size = sizeof(name);
		(void) gnutls_x509_crt_get_dn(authorities[i], name, &size);
		return error_set(error, -EBADMSG,
				 "client_ca %s: certificate %u (%s) is not an authority (basicConstraints CA:TRUE)",
				 config->client_ca, i + 1, name);
	}
	return 0;
}

static int
set_authorities(struct tls_set *set, const struct config_tls *config, const struct files *files, struct error *error)
{
	gnutls_x509_crt_t *authorities = NULL;
	unsigned count = 0;
	int r = gnutls_x509_crt_list_import2(&authorities, &count, &files->client_ca, GNUTLS_X509_FMT_PEM, 0);
	if (r < 0)
		return error_set(error, -EBADMSG, "client_ca %s: no certificate in PEM form: %s", config->client_ca,
				 gnutls_strerror(r));
	r = check_authorities(config, authorities, count, error);
	if (r == 0 && gnutls_certificate_set_x509_trust(set->credentials, authorities, (int) count) < 0)
		r = error_set(error, -ENOMEM, "client_ca %s: cannot be kept", config->client_ca);
	if (r == 0 && files->client_crl.data)
		r = crl_load(config->client_crl, &files->client_crl, authorities, count, &set->crls, error);
	for (unsigned i = 0; i < count; i++)
		gnutls_x509_crt_deinit(authorities[i]);
	gnutls_free(authorities);
	return r;
}

static int
set_policy_digest(struct tls_set *set, const struct config_tls *config, const struct files *files)
{
	gnutls_hash_hd_t hash;
	int numbers[] = {config->crl, config->min_version};
	if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0)
		return -ENOMEM;
	(void) gnutls_hash(hash, numbers, sizeof(numbers));
	(void) gnutls_hash(hash, &files->client_ca.size, sizeof(files->client_ca.size));
	(void) gnutls_hash(hash, files->client_ca.data, files->client_ca.size);
	if (files->client_crl.data)
		(void) gnutls_hash(hash, files->client_crl.data, files->client_crl.size);
	gnutls_hash_deinit(hash, set->policy);
	return 0;
}

/* A ticket is proof of an earlier check; a new policy must not honour what the old one proved. */
static int
set_ticket_key(struct tls_set *set, const struct tls_set *previous)
{
	if (!previous || !previous->ticket_key.data || memcmp(previous->policy, set->policy, sizeof(set->policy)) != 0)
		return gnutls_session_ticket_key_generate(&set->ticket_key) < 0 ? -ENOMEM : 0;
	set->ticket_key.data = gnutls_malloc(previous->ticket_key.size);
	if (!set->ticket_key.data)
		return -ENOMEM;
	memcpy(set->ticket_key.data, previous->ticket_key.data, previous->ticket_key.size);
	set->ticket_key.size = previous->ticket_key.size;
	return 0;
}

static int
set_fill(struct tls_set *set, const struct config_tls *config, const struct tls_set *previous,
	 const struct files *files, struct error *error)
{
	set->crl_policy = config->crl;
	set->tickets = config->tickets;
	set->ticket_lifetime = (unsigned) (config->ticket_lifetime / 1000000);
	set->name = strdup(config->name);
	if (!set->name || gnutls_certificate_allocate_credentials(&set->credentials) < 0)
		return error_set(error, -ENOMEM, "out of memory");
	char text[sizeof(priorities) + 32];
	(void) snprintf(text, sizeof(text), priorities, config->min_version == CONFIG_TLS_1_2 ? ":+VERS-TLS1.2" : "");
	int r = gnutls_priority_init(&set->priority, text, NULL);
	if (r < 0)
		return error_set(error, -EINVAL, "this GnuTLS does not take our priorities: %s", gnutls_strerror(r));
	gnutls_certificate_set_verify_limits(set->credentials, 8192, CHAIN_DEPTH);
	r = set_certificate(set, config, files, error);
	if (r == 0)
		r = set_authorities(set, config, files, error);
	if (r == 0 && set->crl_policy == CONFIG_CRL_REQUIRED && !set->crls)
		r = error_set(error, -EINVAL, "crl: required needs client_crl");
	if (r == 0 && (set_policy_digest(set, config, files) < 0 || set_ticket_key(set, previous) < 0))
		r = error_set(error, -ENOMEM, "out of memory");
	return r;
}

int
tls_set_load(const struct config_tls *config, const struct tls_set *previous, struct tls_set **ret, struct error *error)
{
	CLEANUP(files_clear) struct files files = {0};
	CLEANUP(tls_set_unref) struct tls_set *set = calloc(1, sizeof(*set));
	if (!set)
		return error_set(error, -ENOMEM, "out of memory");
	set->references = 1;
	int r = files_read(config, &files, error);
	if (r == 0)
		r = set_fill(set, config, previous, &files, error);
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
	struct tls_set *old = *set;
	*set = NULL;
	if (!old || atomic_fetch_sub_explicit(&old->references, 1, memory_order_acq_rel) != 1)
		return;
	if (old->credentials)
		gnutls_certificate_free_credentials(old->credentials);
	if (old->priority)
		gnutls_priority_deinit(old->priority);
	if (old->ticket_key.data)
		gnutls_memset(old->ticket_key.data, 0, old->ticket_key.size);
	gnutls_free(old->ticket_key.data);
	crl_free(&old->crls);
	free(old->name);
	free(old);
}

const char *
tls_set_name(const struct tls_set *set)
{
	return set->name;
}

time_t
tls_set_expires(const struct tls_set *set)
{
	return set->expires;
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
	if (!set->tickets)
		return 0;
	gnutls_db_set_cache_expiration(session, (int) set->ticket_lifetime);
	return gnutls_session_ticket_enable_server(session, &set->ticket_key) < 0 ? -ENOMEM : 0;
}

static enum tls_refusal
refusal_of_status(unsigned status)
{
	/* The most telling reason first: several bits are set at once. */
	static const struct {
		unsigned bit;
		enum tls_refusal refusal;
	} rows[] = {
		{GNUTLS_CERT_SIGNER_NOT_FOUND, TLS_UNKNOWN_CA},
		{GNUTLS_CERT_SIGNER_NOT_CA, TLS_UNKNOWN_CA},
		{GNUTLS_CERT_REVOKED, TLS_REVOKED},
		{GNUTLS_CERT_EXPIRED, TLS_EXPIRED},
		{GNUTLS_CERT_NOT_ACTIVATED, TLS_NOT_YET_VALID},
		{GNUTLS_CERT_PURPOSE_MISMATCH, TLS_BAD_PURPOSE},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		if (status & rows[i].bit)
			return rows[i].refusal;
	return TLS_BAD_CERTIFICATE;
}

/* The issuer among the authorities, or else among the certificates the peer sent; NULL: unknown. */
static gnutls_x509_crt_t
find_issuer(const struct tls_set *set, gnutls_x509_crt_t certificate, gnutls_x509_crt_t *sent, unsigned count)
{
	gnutls_x509_crt_t issuer = NULL;
	if (gnutls_certificate_get_issuer(set->credentials, certificate, &issuer, 0) == 0)
		return issuer;
	for (unsigned i = 1; i < count; i++)
		if (gnutls_x509_crt_check_issuer(certificate, sent[i]))
			return sent[i];
	return NULL;
}

/* RFC 5280, 6.3: every certificate of the path but the self-signed root, by the list of its issuer. */
static enum tls_refusal
check_path(const struct tls_set *set, gnutls_x509_crt_t *sent, unsigned count)
{
	time_t now = time(NULL);
	gnutls_x509_crt_t certificate = sent[0];
	for (unsigned depth = 0; depth <= 2 * CHAIN_DEPTH; depth++) {
		struct crl_answer answer;
		gnutls_x509_crt_t issuer = find_issuer(set, certificate, sent, count);
		/* An anchor whose own issuer is not known is where trust begins. */
		if (!issuer || gnutls_x509_crt_check_issuer(certificate, certificate))
			return TLS_ACCEPTED;
		if (crl_look_up(set->crls, certificate, issuer, now, &answer) < 0)
			return TLS_BAD_CERTIFICATE;
		if (answer.revoked)
			return TLS_REVOKED;
		if (!answer.fresh && set->crl_policy == CONFIG_CRL_REQUIRED)
			return TLS_CRL_STALE;
		certificate = issuer;
	}
	return TLS_BAD_CERTIFICATE; /* issuers in a circle */
}

static enum tls_refusal
check_revocation(const struct tls_set *set, gnutls_session_t session)
{
	gnutls_x509_crt_t sent[CHAIN_DEPTH + 1];
	unsigned given = 0, count = 0;
	const gnutls_datum_t *peers = gnutls_certificate_get_peers(session, &given);
	enum tls_refusal refusal = given ? TLS_ACCEPTED : TLS_NO_CERTIFICATE;
	for (; count < given && count < ARRAY_LENGTH(sent) && !refusal; count++) {
		if (gnutls_x509_crt_init(&sent[count]) < 0) {
			refusal = TLS_BAD_CERTIFICATE;
			break;
		}
		if (gnutls_x509_crt_import(sent[count], &peers[count], GNUTLS_X509_FMT_DER) < 0)
			refusal = TLS_BAD_CERTIFICATE;
	}
	if (!refusal)
		refusal = check_path(set, sent, count);
	while (count)
		gnutls_x509_crt_deinit(sent[--count]);
	return refusal;
}

enum tls_refusal
tls_set_check(const struct tls_set *set, gnutls_session_t session)
{
	/* verify_peers2 would let a server's certificate pass (RFC 5280, 4.2.1.12). */
	gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
					 .data = (unsigned char *) (uintptr_t) GNUTLS_KP_TLS_WWW_CLIENT};
	unsigned status = 0;
	int r = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
	if (r == GNUTLS_E_NO_CERTIFICATE_FOUND)
		return TLS_NO_CERTIFICATE;
	if (r < 0)
		return TLS_BAD_CERTIFICATE;
	if (status)
		return refusal_of_status(status);
	return set->crl_policy == CONFIG_CRL_OFF || !set->crls ? TLS_ACCEPTED : check_revocation(set, session);
}
