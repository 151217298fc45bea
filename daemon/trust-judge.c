/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is let in: chain, validity, purpose, revocation. */
#include "trust-internal.h"

#include <string.h>

enum { RSA_BITS = 8192 /* more is work for us and no safety for anybody */ };

/* 112 bits of security, as OpenSSL's level 2: no RSA below 2048 bits, no SHA-1. */
static const unsigned verify_flags = GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM);

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

/* What came with the handshake, parsed. */
struct presented {
	gnutls_x509_crt_t certificates[CHAIN_SENT];
	unsigned count;
};

static void
presented_clear(struct presented *presented)
{
	while (presented->count)
		gnutls_x509_crt_deinit(presented->certificates[--presented->count]);
}

static bool
presented_read(const struct chain_bytes *sent, size_t count, struct presented *ret)
{
	for (size_t i = 0; i < count; i++) {
		const gnutls_datum_t der = {(unsigned char *) (uintptr_t) sent[i].data, (unsigned) sent[i].size};
		unsigned bits = 0;
		if (gnutls_x509_crt_init(&ret->certificates[i]) < 0)
			return false;
		ret->count++;
		if (gnutls_x509_crt_import(ret->certificates[i], &der, GNUTLS_X509_FMT_DER) < 0)
			return false;
		int algorithm = gnutls_x509_crt_get_pk_algorithm(ret->certificates[i], &bits);
		if (algorithm < 0 || bits > RSA_BITS)
			return false;
	}
	return true;
}

/* The names of links as GnuTLS hands them out. */
struct names {
	gnutls_datum_t issuers[CHAIN_SENT];
	size_t count;
};

static void
names_clear(struct names *names)
{
	while (names->count)
		gnutls_free(names->issuers[--names->count].data);
}

static bool
link_read(gnutls_x509_crt_t certificate, struct names *names, struct chain_link *ret)
{
	unsigned char bytes[64], *serial = bytes;
	size_t size = sizeof(bytes);
	gnutls_datum_t *issuer = &names->issuers[names->count];

	if (gnutls_x509_crt_get_serial(certificate, bytes, &size) < 0)
		return false;
	for (; size > 1 && *serial == 0; size--)
		serial++;
	if (size > CHAIN_SERIAL || gnutls_x509_crt_get_raw_issuer_dn(certificate, issuer) < 0)
		return false;
	names->count++;
	*ret = (struct chain_link){.issuer = {issuer->data, issuer->size}, .serial_length = (uint8_t) size};
	memcpy(ret->serial, serial, size);
	return true;
}

/* The steps by which GnuTLS proved the path. Names alone do not tell it: whoever holds the key of a revoked authority
 * can make certificates of the same name and key that lead around it. */
struct path {
	struct path_step {
		gnutls_x509_crt_t certificate, issuer;
	} steps[2 * CHAIN_SENT];
	size_t count;
};

/* GnuTLS's callback carries no argument. */
static _Thread_local struct path *proving;

static int
path_note(gnutls_x509_crt_t certificate, gnutls_x509_crt_t issuer, gnutls_x509_crl_t crl, unsigned status)
{
	(void) crl;
	if (!status && issuer && proving->count < ARRAY_LENGTH(proving->steps))
		proving->steps[proving->count++] = (struct path_step){certificate, issuer};
	return 0;
}

/* Who proved the certificate, or else, for one of the authorities, its issuer among them; NULL: trust begins here. */
static gnutls_x509_crt_t
find_issuer(const struct trust *trust, gnutls_x509_crt_t certificate, const struct path *path)
{
	gnutls_x509_crt_t issuer = NULL;
	for (size_t i = path->count; i > 0; i--)
		if (path->steps[i - 1].certificate == certificate)
			return path->steps[i - 1].issuer;
	if (gnutls_x509_crt_check_issuer(certificate, certificate) ||
	    gnutls_x509_trust_list_get_issuer(trust->list, certificate, &issuer, 0) < 0)
		return NULL;
	return issuer;
}

static void
narrow(struct chain *chain, gnutls_x509_crt_t certificate)
{
	time_t from = gnutls_x509_crt_get_activation_time(certificate);
	time_t until = gnutls_x509_crt_get_expiration_time(certificate);
	if (from > chain->not_before)
		chain->not_before = from;
	if (until < chain->not_after)
		chain->not_after = until;
}

enum tls_refusal
trust_judge_answer(const struct trust *trust, const struct crl_answer *answer, struct chain *chain)
{
	if (answer->revoked)
		return TLS_REVOKED;
	if (trust->crl_policy != CONFIG_CRL_REQUIRED)
		return TLS_ACCEPTED;
	if (!answer->fresh)
		return TLS_CRL_STALE;
	if (chain && answer->fresh_until < chain->fresh_until)
		chain->fresh_until = answer->fresh_until;
	return TLS_ACCEPTED;
}

/* RFC 5280, 6.3: every certificate of the path but the self-signed root, by the list of its issuer. */
static enum tls_refusal
walk_path(const struct trust *trust, gnutls_x509_crt_t certificate, const struct path *path, time_t now,
	  struct names *names, struct chain *chain)
{
	while (chain->link_count < CHAIN_SENT) {
		gnutls_x509_crt_t issuer = find_issuer(trust, certificate, path);
		narrow(chain, certificate);
		if (!issuer)
			return TLS_ACCEPTED;
		if (!link_read(certificate, names, &chain->links[chain->link_count]))
			return TLS_BAD_CERTIFICATE;
		chain->link_count++;
		if (trust->crls) {
			struct crl_answer answer;
			if (crl_look_up(trust->crls, certificate, issuer, now, &answer) < 0)
				return TLS_BAD_CERTIFICATE;
			enum tls_refusal refusal = trust_judge_answer(trust, &answer, chain);
			if (refusal)
				return refusal;
		}
		certificate = issuer;
	}
	return TLS_BAD_CERTIFICATE; /* issuers in a circle */
}

static enum tls_refusal
prove_chain(struct trust *trust, struct presented *presented, time_t now, struct names *names, struct chain *chain)
{
	/* Without the purpose a server's certificate would pass (RFC 5280, 4.2.1.12). */
	gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
					 .data = (unsigned char *) (uintptr_t) GNUTLS_KP_TLS_WWW_CLIENT};
	/* GnuTLS sorts what it is given. */
	gnutls_x509_crt_t certificates[CHAIN_SENT];
	struct path path = {.count = 0};
	unsigned status = 0;
	memcpy(certificates, presented->certificates, sizeof(certificates));
	proving = &path;
	int r = gnutls_x509_trust_list_verify_crt2(trust->list, certificates, presented->count, &purpose, 1,
						   verify_flags, &status, path_note);
	proving = NULL;
	if (r < 0)
		return TLS_BAD_CERTIFICATE;
	return status ? refusal_of_status(status)
		      : walk_path(trust, presented->certificates[0], &path, now, names, chain);
}

/* The same for most chains there are. False: it is not of that kind, or nothing that could be said for sure. */
static bool
prove_plainly(struct trust *trust, const struct chain_bytes *sent, size_t count, time_t now, struct chain *chain,
	      enum tls_refusal *ret)
{
	struct crl_answer answer = {0};
	if (count != 1 || !trust_plain_prove(trust->plain, sent, now, chain))
		return false;
	const struct chain_link *link = &chain->links[0];
	if (trust->crls && (crl_find(trust->crls, link->issuer.data, link->issuer.size, link->serial,
				     link->serial_length, now, &answer) < 0 ||
			    answer.unproved)) {
		chain->link_count = 0;
		return false;
	}
	*ret = trust->crls ? trust_judge_answer(trust, &answer, chain) : TLS_ACCEPTED;
	return true;
}

static enum tls_refusal
judge_sent(struct trust *trust, const struct chain_bytes *sent, size_t count, const unsigned char *key, time_t now,
	   struct chain **ret)
{
	CLEANUP(presented_clear) struct presented presented = {.count = 0};
	CLEANUP(names_clear) struct names names = {.count = 0};
	struct chain_link links[CHAIN_SENT];
	struct chain proof = {.not_after = INT64_MAX,
			      .fresh_until = INT64_MAX,
			      .links = links,
			      .sent = (struct chain_bytes *) (uintptr_t) sent,
			      .sent_count = count};
	enum tls_refusal refusal;
	if (!prove_plainly(trust, sent, count, now, &proof, &refusal)) {
		if (!presented_read(sent, count, &presented))
			return TLS_BAD_CERTIFICATE;
		refusal = prove_chain(trust, &presented, now, &names, &proof);
	}
	if (refusal)
		return refusal;
	memcpy(proof.digest, key, sizeof(proof.digest));
	memcpy(proof.anchors, trust->anchors, sizeof(proof.anchors));
	struct chain *chain = chain_new(&proof);
	if (!chain)
		return TLS_BAD_CERTIFICATE;
	chain_cache_add(trust->chains, chain);
	*ret = chain;
	return TLS_ACCEPTED;
}

enum tls_refusal
trust_check(struct trust *trust, const struct chain_bytes *sent, size_t count, time_t now, struct chain **ret)
{
	unsigned char key[CHAIN_DIGEST];
	if (!count)
		return TLS_NO_CERTIFICATE;
	if (count > CHAIN_SENT || !chain_digest(sent, count, key))
		return TLS_BAD_CERTIFICATE;
	struct chain *known = chain_cache_find(trust->chains, key, now);
	if (!known)
		return judge_sent(trust, sent, count, key, now, ret);
	*ret = known;
	return TLS_ACCEPTED;
}

enum tls_refusal
trust_check_again(struct trust *trust, struct chain *chain, time_t now, struct chain **ret)
{
	if (now > chain->not_after)
		return TLS_EXPIRED;
	if (memcmp(chain->anchors, trust->anchors, sizeof(trust->anchors)) != 0)
		return trust_check(trust, chain->sent, chain->sent_count, now, ret);
	for (size_t i = 0; trust->crls && i < chain->link_count; i++) {
		const struct chain_link *link = &chain->links[i];
		struct crl_answer answer;
		if (crl_find(trust->crls, link->issuer.data, link->issuer.size, link->serial, link->serial_length, now,
			     &answer) < 0)
			return TLS_BAD_CERTIFICATE;
		enum tls_refusal refusal = trust_judge_answer(trust, &answer, NULL);
		/* A list of an authority that only clients show: it may be fresh once it is proved. */
		if (refusal == TLS_CRL_STALE && answer.unproved)
			return trust_check(trust, chain->sent, chain->sent_count, now, ret);
		if (refusal)
			return refusal;
	}
	*ret = chain_ref(chain);
	return TLS_ACCEPTED;
}
