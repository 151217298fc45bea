/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crl.h"

#include "secret.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

enum { SERIAL_LENGTH = 20 /* RFC 5280, 4.1.2.2 */ };

/* What GnuTLS says of a list that is signed as it should be. Freshness is judged at every handshake, by the policy. */
static const unsigned not_wrong =
	GNUTLS_CERT_INVALID | GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED | GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE;

struct serial {
	uint8_t length, bytes[SERIAL_LENGTH];
};

struct crl {
	gnutls_datum_t issuer; /* DER name */
	time_t this_update, next_update;
	struct serial *serials; /* sorted */
	size_t count;
	/* Of an intermediate authority, whose certificate only clients bring: the list as it is, until one that it
	 * verifies with has come along. */
	gnutls_datum_t unproved;
	atomic_bool proved;
};

struct crl_store {
	struct crl *lists;
	size_t count;
};

static int
serial_compare(const void *a, const void *b)
{
	const struct serial *x = a, *y = b;
	if (x->length != y->length)
		return x->length < y->length ? -1 : 1;
	return memcmp(x->bytes, y->bytes, x->length);
}

/* Leading zeros are DER's sign byte, in one source and not in another. */
static int
serial_set(struct serial *serial, const unsigned char *bytes, size_t length)
{
	while (length > 1 && *bytes == 0) {
		bytes++;
		length--;
	}
	if (length > SERIAL_LENGTH)
		return -EBADMSG;
	*serial = (struct serial){.length = (uint8_t) length};
	memcpy(serial->bytes, bytes, length);
	return 0;
}

static void
crls_free(gnutls_x509_crl_t *crls, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		gnutls_x509_crl_deinit(crls[i]);
	gnutls_free(crls);
}

/* RFC 5280, 5.2: a list with a critical extension one does not process must not be used. */
static int
check_extensions(gnutls_x509_crl_t crl, struct error *error)
{
	for (unsigned i = 0;; i++) {
		char oid[64];
		size_t size = sizeof(oid);
		unsigned critical = 0;
		int r = gnutls_x509_crl_get_extension_info(crl, i, oid, &size, &critical);
		if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return 0;
		if (r < 0)
			return error_set(error, -EBADMSG, "%s", gnutls_strerror(r));
		if (critical)
			return error_set(
				error, -EBADMSG,
				"it has the critical extension %s (a delta or partitioned list?); give a complete list",
				oid);
	}
}

static bool
is_issued_by(const gnutls_datum_t *issuer, gnutls_x509_crt_t authority)
{
	gnutls_datum_t name = {0};
	if (gnutls_x509_crt_get_raw_dn(authority, &name) < 0)
		return false;
	bool same = name.size == issuer->size && memcmp(name.data, issuer->data, name.size) == 0;
	gnutls_free(name.data);
	return same;
}

/* ret_proved: false if the issuer is not among the authorities. Several may have its name: an authority that changes
 * its key keeps it. */
static int
check_signature(gnutls_x509_crl_t crl, gnutls_x509_crt_t *authorities, unsigned count, bool *ret_proved,
		struct error *error)
{
	gnutls_datum_t issuer = {0};
	bool named = false, proved = false;
	int r = gnutls_x509_crl_get_raw_issuer_dn(crl, &issuer);
	for (unsigned i = 0; r >= 0 && i < count && !proved; i++) {
		unsigned status = 0;
		if (!is_issued_by(&issuer, authorities[i]))
			continue;
		named = true;
		r = gnutls_x509_crl_verify(crl, &authorities[i], 1, 0, &status);
		proved = r >= 0 && !(status & ~not_wrong);
	}
	gnutls_free(issuer.data);
	if (r < 0)
		return error_set(error, -EBADMSG, "%s", gnutls_strerror(r));
	if (named && !proved)
		return error_set(error, -EBADMSG,
				 "it names an authority of client_ca as its issuer but is not signed by it");
	*ret_proved = proved;
	return 0;
}

static int
keep_unproved(gnutls_x509_crl_t crl, struct crl *into, struct error *error)
{
	if (gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_DER, &into->unproved) < 0)
		return error_set(error, -ENOMEM, "out of memory");
	return 0;
}

/* True if the list is signed by this issuer, which itself was verified with the chain. */
static bool
prove(struct crl *list, gnutls_x509_crt_t issuer)
{
	gnutls_x509_crl_t crl = NULL;
	unsigned status = 0;

	if (atomic_load_explicit(&list->proved, memory_order_acquire))
		return true;
	bool proved = gnutls_x509_crl_init(&crl) == 0 &&
		      gnutls_x509_crl_import(crl, &list->unproved, GNUTLS_X509_FMT_DER) == 0 &&
		      gnutls_x509_crl_verify(crl, &issuer, 1, 0, &status) == 0;
	proved = proved && !(status & ~not_wrong);
	if (crl)
		gnutls_x509_crl_deinit(crl);
	if (proved)
		atomic_store_explicit(&list->proved, true, memory_order_release);
	return proved;
}

static int
read_serials(gnutls_x509_crl_t crl, struct crl *into, struct error *error)
{
	int count = gnutls_x509_crl_get_crt_count(crl);
	gnutls_x509_crl_iter_t iterator = NULL;
	int r = 0;

	if (count < 0)
		return error_set(error, -EBADMSG, "%s", gnutls_strerror(count));
	into->serials = calloc((size_t) count + 1, sizeof(*into->serials));
	if (!into->serials)
		return error_set(error, -ENOMEM, "out of memory");
	while (into->count < (size_t) count) {
		unsigned char bytes[64];
		size_t size = sizeof(bytes);
		time_t when;
		r = gnutls_x509_crl_iter_crt_serial(crl, &iterator, bytes, &size, &when);
		if (r < 0)
			break;
		if (serial_set(&into->serials[into->count], bytes, size) < 0) {
			r = GNUTLS_E_ASN1_DER_ERROR;
			break;
		}
		into->count++;
	}
	gnutls_x509_crl_iter_deinit(iterator);
	if (r < 0 && r != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		return error_set(error, -EBADMSG, "%s", gnutls_strerror(r));
	qsort(into->serials, into->count, sizeof(*into->serials), serial_compare);
	return 0;
}

static int
read_list(gnutls_x509_crl_t crl, struct crl *into, struct error *error)
{
	gnutls_datum_t issuer = {0};
	int r = gnutls_x509_crl_get_raw_issuer_dn(crl, &issuer);
	if (r < 0)
		return error_set(error, -EBADMSG, "%s", gnutls_strerror(r));
	into->issuer.data = malloc(issuer.size);
	if (into->issuer.data) {
		memcpy(into->issuer.data, issuer.data, issuer.size);
		into->issuer.size = issuer.size;
	}
	gnutls_free(issuer.data);
	if (!into->issuer.data)
		return error_set(error, -ENOMEM, "out of memory");
	into->this_update = gnutls_x509_crl_get_this_update(crl);
	into->next_update = gnutls_x509_crl_get_next_update(crl);
	return read_serials(crl, into, error);
}

static int
read_lists(gnutls_x509_crl_t *crls, unsigned count, gnutls_x509_crt_t *authorities, unsigned authority_count,
	   struct crl_store *store, struct error *error)
{
	store->lists = calloc(count, sizeof(*store->lists));
	if (!store->lists)
		return error_set(error, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < count; i++) {
		bool proved = false;
		int r = check_extensions(crls[i], error);
		if (r == 0)
			r = check_signature(crls[i], authorities, authority_count, &proved, error);
		if (r == 0) {
			store->count++; /* half-built lists are freed too */
			atomic_init(&store->lists[i].proved, proved);
			r = read_list(crls[i], &store->lists[i], error);
		}
		if (r == 0 && !proved)
			r = keep_unproved(crls[i], &store->lists[i], error);
		if (r < 0) {
			(void) error_prefix(error, "list %u", i + 1);
			return r;
		}
	}
	return 0;
}

static int
load(const gnutls_datum_t *pem, gnutls_x509_crt_t *authorities, unsigned authority_count, struct crl_store **ret,
     struct error *error)
{
	CLEANUP(crl_free) struct crl_store *store = calloc(1, sizeof(*store));
	gnutls_x509_crl_t *crls = NULL;
	unsigned count = 0;
	char advised[SECRET_ADVICE];

	if (!store)
		return error_set(error, -ENOMEM, "out of memory");
	int r = gnutls_x509_crl_list_import2(&crls, &count, pem, GNUTLS_X509_FMT_PEM, 0);
	if (r < 0) {
		const char *advice = secret_advice(pem->data, pem->size, "crl", advised);
		return error_set(error, -EBADMSG, "no revocation list in PEM form: %s",
				 advice ? advice : gnutls_strerror(r));
	}
	r = read_lists(crls, count, authorities, authority_count, store, error);
	crls_free(crls, count);
	if (r < 0)
		return r;
	*ret = STEAL(store);
	return 0;
}

int
crl_load(const char *file, const gnutls_datum_t *pem, gnutls_x509_crt_t *authorities, unsigned authority_count,
	 struct crl_store **ret, struct error *error)
{
	int r = load(pem, authorities, authority_count, ret, error);
	if (r < 0)
		(void) error_prefix(error, "client_crl %s", file);
	return r;
}

static void
list_ask(struct crl *list, const struct serial *serial, gnutls_x509_crt_t authority, time_t now,
	 struct crl_answer *answer)
{
	bool current = list->this_update <= now && list->next_update != (time_t) -1 && list->next_update >= now;
	bool proved = authority ? prove(list, authority) : atomic_load_explicit(&list->proved, memory_order_acquire);
	/* A list nobody could verify may take rights away, and proves nothing else. */
	if (current && proved) {
		answer->fresh = true;
		if (list->next_update > answer->fresh_until)
			answer->fresh_until = list->next_update;
	}
	answer->unproved = answer->unproved || (current && !proved);
	if (bsearch(serial, list->serials, list->count, sizeof(*serial), serial_compare))
		answer->revoked = true;
}

static int
store_ask(const struct crl_store *store, const gnutls_datum_t *issuer, const gnutls_datum_t *number,
	  gnutls_x509_crt_t authority, time_t now, struct crl_answer *ret)
{
	struct serial serial;
	struct crl_answer answer = {0};
	if (serial_set(&serial, number->data, number->size) < 0)
		return -EBADMSG;
	for (size_t i = 0; i < store->count; i++) {
		struct crl *list = &store->lists[i];
		if (list->issuer.size == issuer->size && memcmp(list->issuer.data, issuer->data, issuer->size) == 0)
			list_ask(list, &serial, authority, now, &answer);
	}
	*ret = answer;
	return 0;
}

int
crl_look_up(const struct crl_store *store, gnutls_x509_crt_t certificate, gnutls_x509_crt_t authority, time_t now,
	    struct crl_answer *ret)
{
	unsigned char bytes[64];
	size_t size = sizeof(bytes);
	gnutls_datum_t issuer = {0}, serial = {.data = bytes};

	if (gnutls_x509_crt_get_serial(certificate, bytes, &size) < 0 ||
	    gnutls_x509_crt_get_raw_issuer_dn(certificate, &issuer) < 0)
		return -EBADMSG;
	serial.size = (unsigned) size;
	int r = store_ask(store, &issuer, &serial, authority, now, ret);
	gnutls_free(issuer.data);
	return r;
}

int
crl_find(const struct crl_store *store, const void *issuer, size_t issuer_length, const void *serial,
	 size_t serial_length, time_t now, struct crl_answer *ret)
{
	const gnutls_datum_t name = {(unsigned char *) (uintptr_t) issuer, (unsigned) issuer_length};
	const gnutls_datum_t number = {(unsigned char *) (uintptr_t) serial, (unsigned) serial_length};
	return store_ask(store, &name, &number, NULL, now, ret);
}

int
crl_digest(const struct crl_store *store, unsigned char ret[static 32])
{
	gnutls_hash_hd_t hash;
	bool sound = gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) == 0;
	if (!sound)
		return -EIO;
	for (size_t i = 0; i < store->count && sound; i++) {
		const struct crl *list = &store->lists[i];
		sound = gnutls_hash(hash, &list->issuer.size, sizeof(list->issuer.size)) == 0 &&
			gnutls_hash(hash, list->issuer.data, list->issuer.size) == 0 &&
			gnutls_hash(hash, &list->count, sizeof(list->count)) == 0 &&
			gnutls_hash(hash, list->serials, list->count * sizeof(*list->serials)) == 0;
	}
	gnutls_hash_deinit(hash, ret);
	return sound ? 0 : -EIO;
}

void
crl_count(const struct crl_store *store, struct crl_counts *ret)
{
	struct crl_counts counts = {.lists = store->count, .bytes = sizeof(*store)};
	for (size_t i = 0; i < store->count; i++) {
		const struct crl *list = &store->lists[i];
		counts.serials += list->count;
		counts.bytes += sizeof(*list) + (list->count + 1) * sizeof(*list->serials) + list->issuer.size +
				list->unproved.size;
	}
	*ret = counts;
}

time_t
crl_next_update(const struct crl_store *store)
{
	time_t earliest = 0;
	for (size_t i = 0; i < store->count; i++) {
		time_t next = store->lists[i].next_update;
		if (next != (time_t) -1 && (!earliest || next < earliest))
			earliest = next;
	}
	return earliest;
}

void
crl_free(struct crl_store **store)
{
	if (!*store)
		return;
	for (size_t i = 0; i < (*store)->count; i++) {
		free((*store)->lists[i].issuer.data);
		free((*store)->lists[i].serials);
		gnutls_free((*store)->lists[i].unproved.data);
	}
	free((*store)->lists);
	free(*store);
	*store = NULL;
}
