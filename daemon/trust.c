/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trust-internal.h"

#include "secret.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <string.h>

enum { DIGEST = CHAIN_DIGEST };

struct part {
	const void *data;
	size_t size;
};

static int
digest(const struct part *parts, size_t count, unsigned char ret[DIGEST])
{
	gnutls_hash_hd_t hash;
	bool sound = gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) == 0;
	if (!sound)
		return -EIO;
	for (size_t i = 0; i < count && sound; i++)
		sound = gnutls_hash(hash, &parts[i].size, sizeof(parts[i].size)) == 0 &&
			(!parts[i].size || gnutls_hash(hash, parts[i].data, parts[i].size) == 0);
	gnutls_hash_deinit(hash, ret);
	return sound ? 0 : -EIO;
}

static int
authority_check(const char *file, unsigned number, gnutls_x509_crt_t authority, struct error *error)
{
	if (gnutls_x509_crt_get_ca_status(authority, NULL) > 0)
		return 0;
	char name[200] = "?";
	size_t size = sizeof(name);
	(void) gnutls_x509_crt_get_dn(authority, name, &size);
	return error_set(error, -EBADMSG,
			 "client_ca %s: certificate %u (%s) is not an authority (basicConstraints CA:TRUE)", file,
			 number, name);
}

static int
authorities_digest(struct trust *trust)
{
	gnutls_hash_hd_t hash;
	bool sound = gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) == 0;
	if (!sound)
		return -EIO;
	for (unsigned i = 0; i < trust->authority_count && sound; i++) {
		gnutls_datum_t der = {0};
		sound = gnutls_x509_crt_export2(trust->authorities[i], GNUTLS_X509_FMT_DER, &der) == 0 &&
			gnutls_hash(hash, &der.size, sizeof(der.size)) == 0 &&
			gnutls_hash(hash, der.data, der.size) == 0;
		trust->authority_bytes += der.size;
		gnutls_free(der.data);
	}
	gnutls_hash_deinit(hash, trust->anchors);
	return sound ? 0 : -EIO;
}

static int
authorities_load(struct trust *trust, const char *file, const struct secret *pem, struct error *error)
{
	const gnutls_datum_t text = {pem->data, (unsigned) pem->size};
	char advised[SECRET_ADVICE];
	int r = gnutls_x509_crt_list_import2(&trust->authorities, &trust->authority_count, &text, GNUTLS_X509_FMT_PEM,
					     0);
	if (r < 0) {
		trust->authorities = NULL;
		trust->authority_count = 0;
		const char *advice = secret_advice(pem->data, pem->size, "x509", advised);
		return error_set(error, -EBADMSG, "client_ca %s: no certificate in PEM form: %s", file,
				 advice ? advice : gnutls_strerror(r));
	}
	for (unsigned i = 0; i < trust->authority_count; i++) {
		time_t expires = gnutls_x509_crt_get_expiration_time(trust->authorities[i]);
		r = authority_check(file, i + 1, trust->authorities[i], error);
		if (r < 0)
			return r;
		if (i == 0 || expires < trust->authorities_expire)
			trust->authorities_expire = expires;
	}
	if (authorities_digest(trust) < 0 || gnutls_x509_trust_list_init(&trust->list, 0) < 0 ||
	    gnutls_x509_trust_list_add_cas(trust->list, trust->authorities, trust->authority_count, 0) < 0)
		return error_set(error, -ENOMEM, "client_ca %s: cannot be kept", file);
	return trust_plain_new(trust->authorities, trust->authority_count, &trust->plain) < 0
		       ? error_set(error, -ENOMEM, "client_ca %s: cannot be kept", file)
		       : 0;
}

static int
trust_fill(struct trust *trust, const struct config_tls *config, const struct secret *ca, const struct secret *crl,
	   struct error *error)
{
	trust->crl_policy = config->crl;
	int r = authorities_load(trust, config->client_ca, ca, error);
	if (r == 0 && crl->size) {
		const gnutls_datum_t text = {crl->data, (unsigned) crl->size};
		r = crl_load(config->client_crl, &text, trust->authorities, trust->authority_count, &trust->crls,
			     error);
	}
	if (r < 0)
		return r;
	if (trust->crl_policy == CONFIG_CRL_REQUIRED && !trust->crls)
		return error_set(error, -EINVAL, "crl: required needs client_crl");
	unsigned char lists[DIGEST] = {0};
	if (trust->crls && crl_digest(trust->crls, lists) < 0)
		return error_set(error, -EIO, "the revocation lists cannot be hashed");
	const struct part parts[] = {{&config->crl, sizeof(config->crl)},
				     {&config->min_version, sizeof(config->min_version)},
				     {trust->anchors, sizeof(trust->anchors)},
				     {lists, sizeof(lists)}};
	if (digest(parts, ARRAY_LENGTH(parts), trust->policy) < 0 ||
	    chain_cache_new((size_t) config->verified_chains, &trust->chains) < 0)
		return error_set(error, -ENOMEM, "out of memory");
	return 0;
}

struct trust *
trust_ref(struct trust *trust)
{
	atomic_fetch_add_explicit(&trust->references, 1, memory_order_relaxed);
	return trust;
}

void
trust_unref(struct trust **trust)
{
	struct trust *old = STEAL(*trust);
	if (!old || atomic_fetch_sub_explicit(&old->references, 1, memory_order_acq_rel) != 1)
		return;
	chain_cache_free(&old->chains);
	crl_free(&old->crls);
	trust_plain_free(&old->plain);
	if (old->list)
		gnutls_x509_trust_list_deinit(old->list, 0);
	for (unsigned i = 0; i < old->authority_count; i++)
		gnutls_x509_crt_deinit(old->authorities[i]);
	gnutls_free(old->authorities);
	free(old);
}

const unsigned char *
trust_policy(const struct trust *trust)
{
	return trust->policy;
}

const gnutls_x509_crt_t *
trust_authorities(const struct trust *trust, unsigned *ret_count)
{
	*ret_count = trust->authority_count;
	return trust->authorities;
}

void
trust_count(struct trust *trust, struct trust_counts *ret)
{
	struct trust_counts counts = {.authorities = trust->authority_count,
				      .authorities_expire = trust->authorities_expire,
				      .has_lists = trust->crls != NULL};
	chain_cache_counts(trust->chains, &counts.chains);
	if (trust->crls) {
		crl_count(trust->crls, &counts.lists);
		counts.lists_due = crl_next_update(trust->crls);
	}
	counts.bytes = sizeof(*trust) + trust->authority_bytes + counts.lists.bytes + counts.chains.bytes;
	*ret = counts;
}

/* Signatures prove the same under new lists; what these say of the path is asked anew. A storm of full checks after
 * every new list is spared. */
static void
inherit(const struct chain *chain, void *arg)
{
	struct trust *trust = arg;
	struct chain proof = *chain;
	time_t now = time(NULL);
	proof.fresh_until = INT64_MAX;
	for (size_t i = 0; trust->crls && i < chain->link_count; i++) {
		const struct chain_link *link = &chain->links[i];
		struct crl_answer answer;
		if (crl_find(trust->crls, link->issuer.data, link->issuer.size, link->serial, link->serial_length, now,
			     &answer) < 0 ||
		    trust_judge_answer(trust, &answer, &proof) != TLS_ACCEPTED)
			return;
	}
	CLEANUP(chain_unref) struct chain *copy = chain_new(&proof);
	if (copy)
		chain_cache_add(trust->chains, copy);
}

int
trust_load(const struct config_tls *config, struct trust *previous, struct trust **ret, struct error *error)
{
	CLEANUP(secret_clear) struct secret ca = {0}, crl = {0};
	unsigned char content[DIGEST];
	int r = secret_read(config->client_ca, "client_ca", false, &ca, error);
	if (r == 0 && config->crl != CONFIG_CRL_OFF && config->client_crl)
		r = secret_read(config->client_crl, "client_crl", false, &crl, error);
	if (r < 0)
		return r;
	const struct part parts[] = {{&config->crl, sizeof(config->crl)},
				     {&config->min_version, sizeof(config->min_version)},
				     {&config->verified_chains, sizeof(config->verified_chains)},
				     {ca.data, ca.size},
				     {crl.data, crl.size}};
	if (digest(parts, ARRAY_LENGTH(parts), content) < 0)
		return error_set(error, -EIO, "client_ca %s: cannot be hashed", config->client_ca);
	if (previous && memcmp(previous->content, content, sizeof(content)) == 0) {
		*ret = trust_ref(previous);
		return 0;
	}
	CLEANUP(trust_unref) struct trust *trust = calloc(1, sizeof(*trust));
	if (!trust)
		return error_set(error, -ENOMEM, "out of memory");
	atomic_init(&trust->references, 1);
	memcpy(trust->content, content, sizeof(content));
	r = trust_fill(trust, config, &ca, &crl, error);
	if (r < 0)
		return r;
	if (previous && memcmp(previous->anchors, trust->anchors, sizeof(trust->anchors)) == 0)
		chain_cache_visit(previous->chains, inherit, trust);
	*ret = STEAL(trust);
	return 0;
}
