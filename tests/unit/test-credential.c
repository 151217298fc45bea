/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets of certificates: which one a client gets, what is refused, what stays while files change. */
#include "credential.h"
#include "pki-fixture.h"
#include "tls-store.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { DAY = 86400 };

static struct pki *pki;

static int
make_pki(void **state)
{
	(void) state;
	pki = pki_new();
	pki_authority(pki, "ca", NULL, 300);
	pki_leaf(pki, "rsa", "ca", GNUTLS_PK_RSA, "localhost", PKI_SERVER, 40);
	pki_leaf(pki, "ec", "ca", GNUTLS_PK_ECDSA, "localhost LocalHost.Example.ORG", PKI_SERVER, 50);
	pki_leaf(pki, "ed", "ca", GNUTLS_PK_EDDSA_ED25519, "localhost", PKI_SERVER, 60);
	pki_leaf(pki, "wild", "ca", GNUTLS_PK_ECDSA, "*.example.org", PKI_SERVER, 50);
	pki_leaf(pki, "exact", "ca", GNUTLS_PK_ECDSA, "a.example.org", PKI_SERVER, 50);
	pki_leaf(pki, "nameless", "ca", GNUTLS_PK_ECDSA, "", PKI_SERVER, 50);
	pki_crl(pki, "none.crl", "ca", NULL, 9);
	pki_crl(pki, "rsa.crl", "ca", "rsa", 9);
	return 0;
}

static int
drop_pki(void **state)
{
	(void) state;
	pki_free(&pki);
	return 0;
}

/* --- certificates ------------------------------------------------------------------------------------------------ */

static struct config_certificate
pair_of(const char *name)
{
	char file[80];
	struct config_certificate pair = {0};
	snprintf(file, sizeof(file), "%s.pem", name);
	pair.certificate = (char *) pki_path(pki, file);
	snprintf(file, sizeof(file), "%s.key", name);
	pair.key = (char *) pki_path(pki, file);
	return pair;
}

static struct credential *
load(const char *const *names)
{
	struct config_certificate pairs[8];
	struct config_tls tls = {.name = (char *) "main", .certificates = pairs};
	struct credential *credential = NULL;
	struct error error = {0};
	for (; *names; names++)
		pairs[tls.certificate_count++] = pair_of(*names);
	if (credential_load(&tls, &credential, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(credential_count(credential), tls.certificate_count);
	return credential;
}

static size_t
choose(const struct credential *credential, const char *name, unsigned keys)
{
	struct hello hello = {.keys = keys};
	snprintf(hello.server_name, sizeof(hello.server_name), "%s", name);
	return credential_choose(credential, &hello);
}

static void
test_the_choice(void **state)
{
	enum { RSA = 1 << HELLO_RSA, EC = 1 << HELLO_P256, ED = 1 << HELLO_ED25519 };
	static const char *const names[] = {"rsa", "ec", "ed", "wild", "exact", NULL};
	static const struct {
		const char *name;
		unsigned keys;
		size_t expected;
	} rows[] = {
		{"localhost", RSA | EC | ED, 0},
		{"localhost", EC | ED, 1},
		{"localhost", ED, 2},
		{"localhost.example.org", EC, 1}, /* exactly, before by wildcard */
		{"b.example.org", RSA | EC | ED, 3},
		{"a.example.org", RSA | EC | ED, 4},
		{"a.example.org", RSA, 0}, /* no name helps with a key that cannot be verified */
		{"a.b.example.org", RSA | EC, 0},
		{"example.org", RSA | EC, 0},
		{".example.org", RSA | EC, 0},
		{"", EC | ED, 1},
		{"a.example.org", 0, 4}, /* nothing fits: GnuTLS says so to the client */
	};
	struct credential *credential = load(names);
	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		if (choose(credential, rows[i].name, rows[i].keys) != rows[i].expected)
			fail_msg("row %zu: %zu", i, choose(credential, rows[i].name, rows[i].keys));
	credential_free(&credential);
	assert_null(credential);
	credential_free(&credential);
}

static void
test_what_an_operator_sees(void **state)
{
	static const char *const names[] = {"rsa", "ec", "ed", "nameless", NULL};
	static const char *const keys[] = {"RSA 2048", "ECDSA P-256", "Ed25519", "ECDSA P-256"};
	static const char *const shown[] = {"localhost", "localhost localhost.example.org", "localhost", "nameless"};
	struct credential *credential = load(names);
	time_t now = time(NULL);
	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
		struct credential_view view;
		struct credential_offer offer;
		credential_view(credential, i, &view);
		assert_string_equal(view.key, keys[i]);
		assert_string_equal(view.names, shown[i]);
		assert_string_equal(view.store, "file");
		assert_int_equal(view.staple_until, 0);
		credential_offer(credential, i, now, &offer);
		assert_int_equal(offer.chain_length, 1);
		assert_non_null(offer.key);
		assert_int_equal(offer.staple_count, 0);
	}
	struct credential_view view;
	credential_view(credential, 0, &view);
	assert_string_equal(view.subject, "CN=rsa");
	assert_in_range(view.expires, now + 40 * DAY, now + 41 * DAY);
	assert_true(credential_bytes(credential) > 1000);
	credential_free(&credential);
}

static void
test_pairs_that_are_refused(void **state)
{
	static const struct {
		const char *certificate, *key, *ocsp, *words;
	} rows[] = {
		{"nowhere.pem", "ec.key", NULL, "certificate %s: No such file"},
		{"ec.pem", "nowhere.key", NULL, "nowhere.key: No such file"},
		{"ec.key", "ec.key", NULL, "no certificate in PEM form"},
		{"ec.pem", "ec.pem", NULL, "no usable private key"},
		{"ec.pem", "wild.key", NULL, "wild.key does not belong to certificate"},
		{"ec.pem", "rsa.key", NULL, "rsa.key does not belong to certificate"},
		{"ed.pem", "ec.key", NULL, "ec.key does not belong to certificate"},
		{"ec.pem", "ec.key", "nowhere.der", "ocsp"},
		{"ec.pem", "ec.key", "ec.pem", "no answer in DER or PEM form"},
	};
	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct config_certificate pair = {.certificate = (char *) pki_path(pki, rows[i].certificate),
						  .key = (char *) pki_path(pki, rows[i].key)};
		struct config_tls tls = {.certificates = &pair, .certificate_count = 1};
		struct credential *credential = (void *) 1;
		struct error error = {0};
		char words[200];
		if (rows[i].ocsp)
			pair.ocsp = (char *) pki_path(pki, rows[i].ocsp);
		const char *mark = strstr(rows[i].words, "%s");
		snprintf(words, sizeof(words), "%.*s%s%s", mark ? (int) (mark - rows[i].words) : 100, rows[i].words,
			 mark ? pair.certificate : "", mark ? mark + 2 : "");
		assert_true(credential_load(&tls, &credential, &error) < 0);
		assert_ptr_equal(credential, (void *) 1);
		if (!strstr(error.text, words))
			fail_msg("row %zu: %s", i, error.text);
	}
}

/* --- sets in a store --------------------------------------------------------------------------------------------- */

struct setting {
	struct config_certificate pairs[2];
	struct config_tls tls;
	struct config config;
};

static void
setting_make(struct setting *setting, const char *pair, const char *crl)
{
	*setting = (struct setting){.pairs = {pair_of(pair)}};
	setting->tls = (struct config_tls){.name = (char *) "main",
					   .certificates = setting->pairs,
					   .certificate_count = 1,
					   .client_ca = (char *) pki_path(pki, "ca.pem"),
					   .client_crl = (char *) pki_path(pki, crl),
					   .crl = CONFIG_CRL_REQUIRED,
					   .tickets = true,
					   .ticket_lifetime = 3600000000,
					   .ticket_rotation = 7200000000,
					   .warn_before = 45 * INT64_C(86400000000)};
	setting->config = (struct config){.tls = &setting->tls, .tls_count = 1};
}

static int
enforce(struct tls_store *store, struct setting *setting)
{
	CLEANUP(tls_sets_clear) struct tls_sets sets = {0};
	struct error error = {0};
	if (tls_store_load(store, &setting->config, &sets, NULL, &error) < 0)
		fail_msg("%s", error.text);
	int changed = tls_store_enforce(store, &sets, time(NULL));
	assert_true(changed >= 0);
	return changed;
}

struct living {
	size_t current, pinned;
	struct tls_set *set; /* in force; borrowed */
};

static void
see(const struct tls_store_view *view, void *arg)
{
	struct living *living = arg;
	*(view->current ? &living->current : &living->pinned) += 1;
	if (view->current)
		living->set = view->set;
}

static struct living
living_of(struct tls_store *store)
{
	struct living living = {0};
	tls_store_visit(store, see, &living);
	return living;
}

static unsigned char *
ticket_key_of(const struct tls_set *set, unsigned char key[TICKET_KEY])
{
	static const struct hello nobody = {.ticket_count = 0};
	unsigned lifetime = 0;
	assert_true(tls_policy_ticket(tls_set_policy(set), &nobody, time(NULL), key, &lifetime));
	assert_int_equal(lifetime, 3600);
	return key;
}

static void
test_a_set_lives_as_long_as_it_is_pinned(void **state)
{
	struct tls_store *store = NULL;
	struct setting setting;
	(void) state;
	assert_int_equal(tls_store_new(&store), 0);
	setting_make(&setting, "ec", "none.crl");
	assert_int_equal(enforce(store, &setting), 1);
	struct living first = living_of(store);
	assert_int_equal(first.current, 1);
	struct tls_set *connection = tls_set_pin(first.set);
	assert_int_equal(tls_set_sessions(first.set), 1);
	/* The same files: the same set. */
	assert_int_equal(enforce(store, &setting), 0);
	struct living same = living_of(store);
	assert_ptr_equal(same.set, first.set);
	assert_int_equal(same.pinned, 0);
	/* Another certificate: another set, under the same policy. */
	setting_make(&setting, "rsa", "none.crl");
	assert_int_equal(enforce(store, &setting), 0);
	struct living second = living_of(store);
	assert_ptr_not_equal(second.set, first.set);
	assert_ptr_equal(tls_set_policy(second.set), tls_set_policy(first.set));
	assert_ptr_equal(tls_set_trust(second.set), tls_set_trust(first.set));
	assert_int_equal(second.pinned, 1);
	assert_int_equal(tls_set_references(first.set), 1);
	tls_set_unpin(&connection);
	assert_null(connection);
	assert_int_equal(living_of(store).pinned, 0);
	assert_int_equal(living_of(store).current, 1);
	tls_store_free(&store);
	assert_null(store);
}

static void
test_a_change_of_policy(void **state)
{
	struct tls_store *store = NULL;
	struct setting setting;
	unsigned char before[TICKET_KEY], after[TICKET_KEY];
	uint64_t epoch;
	(void) state;
	assert_int_equal(tls_store_new(&store), 0);
	setting_make(&setting, "ec", "none.crl");
	(void) enforce(store, &setting);
	struct tls_set *old = tls_set_ref(living_of(store).set);
	struct trust *trust = tls_policy_trust(tls_set_policy(old), &epoch);
	assert_ptr_equal(trust, tls_set_trust(old));
	trust_unref(&trust);
	ticket_key_of(old, before);
	setting_make(&setting, "ec", "rsa.crl");
	assert_int_equal(enforce(store, &setting), 1);
	/* The old set is judged by the new trust, and tickets of before open nothing. */
	assert_int_equal(tls_policy_epoch(tls_set_policy(old)), epoch + 1);
	trust = tls_policy_trust(tls_set_policy(old), &epoch);
	assert_ptr_not_equal(trust, tls_set_trust(old));
	trust_unref(&trust);
	assert_memory_not_equal(ticket_key_of(old, after), before, TICKET_KEY);
	/* And back again, as after a reload that could not be finished. */
	setting_make(&setting, "ec", "none.crl");
	assert_int_equal(enforce(store, &setting), 1);
	assert_memory_equal(ticket_key_of(old, after), before, TICKET_KEY);
	tls_set_unref(&old);
	tls_store_free(&store);
}

static void
test_a_bad_set_changes_nothing(void **state)
{
	struct tls_store *store = NULL;
	struct setting setting;
	struct tls_sets sets = {0};
	struct error error = {0};
	(void) state;
	assert_int_equal(tls_store_new(&store), 0);
	setting_make(&setting, "ec", "none.crl");
	(void) enforce(store, &setting);
	setting.pairs[0].key = (char *) pki_path(pki, "rsa.key");
	assert_true(tls_store_load(store, &setting.config, &sets, NULL, &error) < 0);
	assert_non_null(strstr(error.text, "tls main: key"));
	assert_int_equal(sets.count, 0);
	struct living living = living_of(store);
	assert_int_equal(living.current + living.pinned, 1);
	tls_store_free(&store);
}

static void *
load_again(void *arg)
{
	CLEANUP(tls_sets_clear) struct tls_sets sets = {0};
	static struct setting settings[2];
	static unsigned turn;
	struct setting *setting = &settings[turn++ % 2];
	setting_make(setting, turn % 2 ? "ec" : "rsa", "none.crl");
	return tls_store_load(arg, &setting->config, &sets, NULL, NULL) < 0 ? arg : NULL;
}

/* Bytes in use after so many loads, each on a thread of its own, as jobs have it. */
static size_t
bytes_after(struct tls_store *store, unsigned loads)
{
	for (unsigned i = 0; i < loads; i++) {
		pthread_t thread;
		void *failed = NULL;
		assert_int_equal(pthread_create(&thread, NULL, load_again, store), 0);
		assert_int_equal(pthread_join(thread, &failed), 0);
		assert_null(failed);
	}
	return mallinfo2().uordblks; /* 0 under sanitizers, which have allocators of their own */
}

static void
test_loading_leaves_nothing_behind(void **state)
{
	enum { FEW = 8192 }; /* a third of what GnuTLS would keep of so many threads */
	struct tls_store *store = NULL;
	(void) state;
	if (mallopt(M_ARENA_MAX, 1) != 1) /* so that mallinfo2 sees all there is */
		skip();                   /* a sanitizer's allocator */
	assert_int_equal(tls_store_new(&store), 0);
	size_t before = bytes_after(store, 20), after = bytes_after(store, 100);
	assert_in_range(after, 0, before + FEW);
	tls_store_free(&store);
}

static void
count_ends(const struct tls_expiry *expiry, void *arg)
{
	unsigned *counts = arg;
	assert_string_equal(expiry->set, "main");
	counts[0] += strcmp(expiry->what, "certificate") == 0;
	counts[1] += strcmp(expiry->what, "client_ca") == 0;
	counts[2] += strcmp(expiry->what, "client_crl") == 0;
	counts[3] += expiry->over;
}

static void
test_ends_are_told_in_time(void **state)
{
	static const struct {
		int days;
		unsigned counts[4];
	} rows[] = {{0, {0, 0, 0, 0}}, {6, {1, 0, 0, 0}}, {10, {1, 0, 1, 1}}, {51, {1, 0, 1, 2}}, {260, {1, 1, 1, 2}}};
	struct tls_store *store = NULL;
	struct setting setting;
	time_t now = time(NULL);
	(void) state;
	assert_int_equal(tls_store_new(&store), 0);
	setting_make(&setting, "ec", "none.crl"); /* 50.5 days, a list for 9, an authority for 300.5; warn 45 before */
	(void) enforce(store, &setting);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		unsigned counts[4] = {0};
		tls_store_expiring(store, now + rows[i].days * DAY, count_ends, counts);
		assert_memory_equal(counts, rows[i].counts, sizeof(counts));
	}
	tls_store_free(&store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_choice),
		cmocka_unit_test(test_what_an_operator_sees),
		cmocka_unit_test(test_pairs_that_are_refused),
		cmocka_unit_test(test_a_set_lives_as_long_as_it_is_pinned),
		cmocka_unit_test(test_a_change_of_policy),
		cmocka_unit_test(test_a_bad_set_changes_nothing),
		cmocka_unit_test(test_loading_leaves_nothing_behind),
		cmocka_unit_test(test_ends_are_told_in_time),
	};
	return cmocka_run_group_tests_name("credential", tests, make_pki, drop_pki);
}
