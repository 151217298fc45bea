/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "credential.h"

#include "ocsp.h"
#include "secret.h"
#include "vault.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <string.h>

enum { CHAIN_MOST = 16, CONTENT = 32, NAME_MOST = 256 };

struct pair {
	char *file, *subject, *names, *key_name;
	const char *store;
	enum hello_key kind;
	time_t expires;
	gnutls_pcert_st chain[CHAIN_MOST];
	unsigned chain_length;
	gnutls_privkey_t key;
	struct ocsp ocsp;
	gnutls_ocsp_data_st staple;
	size_t bytes;
};

struct credential {
	struct pair *pairs;
	size_t count;
	unsigned char content[CONTENT];
};

/* --- one certificate --------------------------------------------------------------------------------------------- */

static int
kind_of(gnutls_x509_crt_t certificate, enum hello_key *ret, char **ret_name)
{
	unsigned bits = 0;
	gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
	gnutls_datum_t x = {0}, y = {0};
	int r = 0;

	switch (gnutls_x509_crt_get_pk_algorithm(certificate, &bits)) {
	case GNUTLS_PK_RSA:
		*ret = HELLO_RSA;
		return asprintf(ret_name, "RSA %u", bits) < 0 ? -ENOMEM : 0;
	case GNUTLS_PK_EDDSA_ED25519:
		*ret = HELLO_ED25519;
		*ret_name = strdup("Ed25519");
		return *ret_name ? 0 : -ENOMEM;
	case GNUTLS_PK_ECDSA:
		if (gnutls_x509_crt_get_pk_ecc_raw(certificate, &curve, &x, &y) < 0)
			return -EBADMSG;
		gnutls_free(x.data);
		gnutls_free(y.data);
		if (curve == GNUTLS_ECC_CURVE_SECP256R1)
			*ret = HELLO_P256;
		else if (curve == GNUTLS_ECC_CURVE_SECP384R1)
			*ret = HELLO_P384;
		else if (curve == GNUTLS_ECC_CURVE_SECP521R1)
			*ret = HELLO_P521;
		else
			r = -ENOTSUP;
		if (r == 0 && asprintf(ret_name, "ECDSA P-%u", bits) < 0)
			r = -ENOMEM;
		return r;
	default:
		return -ENOTSUP;
	}
}

/* Lower-case DNS names, separated by blanks; the common name where there is none. */
static int
names_of(gnutls_x509_crt_t certificate, char **ret)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return -ENOMEM;
	char name[NAME_MOST];
	for (unsigned i = 0;; i++) {
		size_t length = sizeof(name) - 1;
		int type = gnutls_x509_crt_get_subject_alt_name(certificate, i, name, &length, NULL);
		if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (type != GNUTLS_SAN_DNSNAME)
			continue;
		name[length] = '\0';
		(void) fprintf(out, "%s%s", ftell(out) > 0 ? " " : "", name);
	}
	size_t length = sizeof(name) - 1;
	if (ftell(out) == 0 &&
	    gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &length) == 0 &&
	    !memchr(name, ' ', length))
		(void) fprintf(out, "%.*s", (int) length, name);
	if (fclose(out) != 0 || !text) {
		free(text);
		return -ENOMEM;
	}
	for (char *p = text; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char) (*p | 0x20);
	*ret = text;
	return 0;
}

static int
pair_describe(struct pair *pair, gnutls_x509_crt_t *chain, unsigned count)
{
	gnutls_datum_t subject = {0};
	if (gnutls_x509_crt_get_dn3(chain[0], &subject, 0) < 0)
		return -EBADMSG;
	pair->subject = strndup((const char *) subject.data, subject.size);
	gnutls_free(subject.data);
	if (!pair->subject)
		return -ENOMEM;
	error_clean(pair->subject);
	for (unsigned i = 0; i < count; i++) {
		time_t expires = gnutls_x509_crt_get_expiration_time(chain[i]);
		if (i == 0 || expires < pair->expires)
			pair->expires = expires;
	}
	int r = kind_of(chain[0], &pair->kind, &pair->key_name);
	return r < 0 ? r : names_of(chain[0], &pair->names);
}

static int
pair_keep(struct pair *pair, gnutls_x509_crt_t *chain, unsigned count)
{
	for (; pair->chain_length < count; pair->chain_length++) {
		gnutls_pcert_st *into = &pair->chain[pair->chain_length];
		if (gnutls_pcert_import_x509(into, chain[pair->chain_length], 0) < 0)
			return -ENOMEM;
		pair->bytes += into->cert.size;
	}
	return 0;
}

/* --- its key ----------------------------------------------------------------------------------------------------- */

static int
key_open(const struct config_certificate *config, struct pair *pair, gnutls_hash_hd_t content, struct error *error)
{
	CLEANUP(secret_clear) struct secret text = {0};
	char shown[SECRET_SHOWN], advised[SECRET_ADVICE];
	if (gnutls_privkey_init(&pair->key) < 0)
		return error_set(error, -ENOMEM, "out of memory");
	if (secret_is_token(config->key)) {
		pair->store = "token";
		(void) gnutls_hash(content, config->key, strlen(config->key));
		/* Without a question to anybody: a PIN comes from the URI (pin-value, pin-source). */
		int r = gnutls_privkey_import_url(pair->key, config->key, 0);
		return r < 0 ? error_set(error, -ENOKEY, "key %s: the token does not give it: %s",
					 secret_shown(config->key, shown), gnutls_strerror(r))
			     : 0;
	}
	pair->store = strncmp(config->key, "credential:", strlen("credential:")) == 0 ? "credential" : "file";
	int r = secret_read(config->key, "key", false, &text, error);
	if (r < 0)
		return r;
	(void) gnutls_hash(content, text.data, text.size);
	const gnutls_datum_t datum = {text.data, (unsigned) text.size};
	struct scope_frame frame;
	vault_enter(&frame);
	r = gnutls_privkey_import_x509_raw(pair->key, &datum, GNUTLS_X509_FMT_PEM, NULL, 0);
	vault_leave(&frame);
	if (r >= 0)
		return 0;
	const char *advice = secret_advice(text.data, text.size, "pkey", advised);
	return error_set(error, -EBADMSG, "key %s: no usable private key in PEM form: %s",
			 secret_shown(config->key, shown), advice ? advice : gnutls_strerror(r));
}

/* A signature proves both that the key belongs to the certificate and that its token works. */
static int
key_check(const struct config_certificate *config, struct pair *pair, struct error *error)
{
	unsigned char text[] = "mtlsd";
	char shown[SECRET_SHOWN];
	const gnutls_datum_t data = {text, sizeof(text)};
	gnutls_datum_t signature = {0};
	gnutls_pubkey_t public = pair->chain[0].pubkey;
	static const gnutls_digest_algorithm_t digests[] = {
		[HELLO_RSA] = GNUTLS_DIG_SHA256,  [HELLO_P256] = GNUTLS_DIG_SHA256,    [HELLO_P384] = GNUTLS_DIG_SHA384,
		[HELLO_P521] = GNUTLS_DIG_SHA512, [HELLO_ED25519] = GNUTLS_DIG_SHA512,
	};
	int algorithm = gnutls_pubkey_get_pk_algorithm(public, NULL);
	gnutls_sign_algorithm_t sign = gnutls_pk_to_sign((gnutls_pk_algorithm_t) algorithm, digests[pair->kind]);
	if (gnutls_privkey_get_pk_algorithm(pair->key, NULL) != algorithm)
		return error_set(error, -EBADMSG, "key %s does not belong to certificate %s",
				 secret_shown(config->key, shown), config->certificate);
	int r = gnutls_privkey_sign_data2(pair->key, sign, 0, &data, &signature);
	if (r < 0)
		return error_set(error, -ENOKEY, "key %s cannot sign: %s", secret_shown(config->key, shown),
				 gnutls_strerror(r));
	r = gnutls_pubkey_verify_data2(public, sign, 0, &data, &signature);
	gnutls_free(signature.data);
	return r < 0 ? error_set(error, -EBADMSG, "key %s does not belong to certificate %s",
				 secret_shown(config->key, shown), config->certificate)
		     : 0;
}

/* --- a pair ------------------------------------------------------------------------------------------------------ */

static void
pair_clear(struct pair *pair)
{
	for (unsigned i = 0; i < pair->chain_length; i++)
		gnutls_pcert_deinit(&pair->chain[i]);
	if (pair->key)
		gnutls_privkey_deinit(pair->key);
	ocsp_clear(&pair->ocsp);
	free(pair->file);
	free(pair->subject);
	free(pair->names);
	free(pair->key_name);
}

static int
pair_finish(const struct config_certificate *config, struct pair *pair, gnutls_x509_crt_t *chain, unsigned count,
	    gnutls_hash_hd_t content, struct error *error)
{
	int r = count <= CHAIN_MOST ? pair_describe(pair, chain, count) : -E2BIG;
	if (r == 0)
		r = pair_keep(pair, chain, count);
	if (r == 0)
		pair->file = strdup(config->certificate);
	if (r < 0 || !pair->file)
		return error_set(error, r < 0 ? r : -ENOMEM, "certificate %s: %s", config->certificate,
				 r == -ENOTSUP ? "its key is of no kind that is served (RSA, ECDSA on P-256, P-384, "
						 "P-521, Ed25519)"
				 : r == -E2BIG ? "its chain is too long"
					       : "cannot be kept");
	/* Where it was read: an operator who moves a file wants to see that it was taken. */
	(void) gnutls_hash(content, pair->file, strlen(pair->file) + 1);
	(void) gnutls_hash(content, config->key, strlen(config->key) + 1);
	r = key_open(config, pair, content, error);
	if (r == 0)
		r = key_check(config, pair, error);
	if (r < 0 || !config->ocsp)
		return r;
	r = ocsp_load(config->ocsp, chain[0], count > 1 ? chain[1] : NULL, &pair->ocsp, error);
	if (r < 0)
		return r;
	(void) gnutls_hash(content, pair->ocsp.der.data, pair->ocsp.der.size);
	pair->staple = (gnutls_ocsp_data_st){.response = pair->ocsp.der, .exptime = pair->ocsp.until};
	pair->bytes += pair->ocsp.der.size;
	return 0;
}

static int
pair_load(const struct config_certificate *config, struct pair *pair, gnutls_hash_hd_t content, struct error *error)
{
	CLEANUP(secret_clear) struct secret text = {0};
	gnutls_x509_crt_t *chain = NULL;
	unsigned count = 0;
	char advised[SECRET_ADVICE];
	int r = secret_read(config->certificate, "certificate", false, &text, error);
	if (r < 0)
		return r;
	const gnutls_datum_t datum = {text.data, (unsigned) text.size};
	(void) gnutls_hash(content, text.data, text.size);
	r = gnutls_x509_crt_list_import2(&chain, &count, &datum, GNUTLS_X509_FMT_PEM,
					 GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED);
	if (r == GNUTLS_E_CERTIFICATE_LIST_UNSORTED)
		return error_set(error, -EBADMSG, "certificate %s: put the leaf first, each issuer after it",
				 config->certificate);
	if (r < 0) {
		const char *advice = secret_advice(text.data, text.size, "x509", advised);
		return error_set(error, -EBADMSG, "certificate %s: no certificate in PEM form: %s", config->certificate,
				 advice ? advice : gnutls_strerror(r));
	}
	r = pair_finish(config, pair, chain, count, content, error);
	for (unsigned i = 0; i < count; i++)
		gnutls_x509_crt_deinit(chain[i]);
	gnutls_free(chain);
	return r;
}

int
credential_load(const struct config_tls *config, struct credential **ret, struct error *error)
{
	CLEANUP(credential_free) struct credential *credential = calloc(1, sizeof(*credential));
	gnutls_hash_hd_t content;
	int r = 0;
	if (!credential || gnutls_hash_init(&content, GNUTLS_DIG_SHA256) < 0)
		return error_set(error, -ENOMEM, "out of memory");
	credential->pairs = calloc(config->certificate_count + 1, sizeof(*credential->pairs));
	if (!credential->pairs)
		r = error_set(error, -ENOMEM, "out of memory");
	for (; r == 0 && credential->count < config->certificate_count; credential->count++)
		r = pair_load(&config->certificates[credential->count], &credential->pairs[credential->count], content,
			      error);
	gnutls_hash_deinit(content, credential->content);
	if (r < 0)
		return r;
	*ret = STEAL(credential);
	return 0;
}

void
credential_free(struct credential **credential)
{
	struct credential *old = STEAL(*credential);
	if (!old)
		return;
	for (size_t i = 0; i < old->count; i++)
		pair_clear(&old->pairs[i]);
	free(old->pairs);
	free(old);
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

size_t
credential_count(const struct credential *credential)
{
	return credential->count;
}

void
credential_view(const struct credential *credential, size_t i, struct credential_view *ret)
{
	const struct pair *pair = &credential->pairs[i];
	*ret = (struct credential_view){
		.file = pair->file,
		.subject = pair->subject,
		.names = pair->names,
		.key = pair->key_name,
		.store = pair->store,
		.expires = pair->expires,
		.staple_until = pair->ocsp.der.data ? pair->ocsp.until : 0,
	};
}

const unsigned char *
credential_content(const struct credential *credential)
{
	return credential->content;
}

size_t
credential_bytes(const struct credential *credential)
{
	size_t bytes = sizeof(*credential) + credential->count * sizeof(*credential->pairs);
	for (size_t i = 0; i < credential->count; i++)
		bytes += credential->pairs[i].bytes;
	return bytes;
}

enum fit { FIT_NONE, FIT_WILDCARD, FIT_EXACT };

/* RFC 9525, 6.3: a wildcard is the whole first label and stands for one. */
static enum fit
name_fit(const char *names, const char *wanted)
{
	enum fit best = FIT_NONE;
	const char *rest = strchr(wanted, '.');
	size_t length = strlen(wanted), rest_length = rest ? strlen(rest) : 0;
	for (const char *p = names; *p;) {
		size_t n = strcspn(p, " ");
		if (n == length && memcmp(p, wanted, n) == 0)
			return FIT_EXACT;
		if (rest && rest > wanted && n == rest_length + 1 && p[0] == '*' && memcmp(p + 1, rest, n - 1) == 0)
			best = FIT_WILDCARD;
		p += n + (p[n] == ' ');
	}
	return best;
}

size_t
credential_choose(const struct credential *credential, const struct hello *hello)
{
	size_t best = 0;
	unsigned best_rank = 0;
	for (size_t i = 0; i < credential->count; i++) {
		const struct pair *pair = &credential->pairs[i];
		/* A name that fits is worth nothing with a key the client cannot verify. */
		unsigned usable = hello->keys & 1U << pair->kind ? 1 + FIT_EXACT : 0;
		unsigned rank = 1 + usable + (hello->server_name[0] ? name_fit(pair->names, hello->server_name) : 0);
		if (rank > best_rank) {
			best = i;
			best_rank = rank;
		}
	}
	return best;
}

void
credential_offer(const struct credential *credential, size_t i, time_t now, struct credential_offer *ret)
{
	struct pair *pair = &credential->pairs[i];
	bool shown = pair->ocsp.der.data && now < pair->ocsp.until;
	*ret = (struct credential_offer){
		.chain = pair->chain,
		.chain_length = pair->chain_length,
		.key = pair->key,
		.staples = shown ? &pair->staple : NULL,
		.staple_count = shown,
	};
}
