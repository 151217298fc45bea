/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Authorities, revocation lists and proofs of chains, with certificates made for it. */
#include "pki-fixture.h"
#include "trust.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { DAY = 86400 };

/* ca, other; middle below ca; good, leaver, server-like and expired below ca; deep below middle; twin, with middle's
 * key; heir, of ca's name, and child below it. */
static struct pki *pki;

static int
make_pki(void **state)
{
	(void) state;
	pki = pki_new();
	pki_authority(pki, "ca", NULL, 300);
	pki_authority(pki, "other", NULL, 300);
	pki_authority(pki, "middle", "ca", 200);
	pki_leaf(pki, "good", "ca", GNUTLS_PK_ECDSA, "good", PKI_CLIENT, 50);
	pki_leaf(pki, "leaver", "ca", GNUTLS_PK_ECDSA, "leaver", PKI_CLIENT, 50);
	pki_leaf(pki, "server", "ca", GNUTLS_PK_ECDSA, "server", PKI_SERVER, 50);
	pki_leaf(pki, "expired", "ca", GNUTLS_PK_ECDSA, "expired", PKI_CLIENT, -5);
	pki_leaf(pki, "deep", "middle", GNUTLS_PK_EDDSA_ED25519, "deep", PKI_CLIENT, 50);
	pki_twin(pki, "twin", "middle", 200);
	pki_successor(pki, "heir", "ca", 300);
	pki_leaf(pki, "child", "heir", GNUTLS_PK_ECDSA, "child", PKI_CLIENT, 50);
	pki_crl(pki, "heir.crl", "heir", "child", 9);
	pki_crl(pki, "none.crl", "ca", NULL, 9);
	pki_crl(pki, "leaver.crl", "ca", "leaver", 9);
	pki_crl(pki, "leaver-later.crl", "ca", "leaver", 11);
	pki_crl(pki, "middle.crl", "middle", "deep", 9);
	pki_crl(pki, "middle-none.crl", "middle", NULL, 9);
	pki_crl(pki, "revoked-middle.crl", "ca", "middle", 9);
	pki_crl(pki, "stale.crl", "ca", "leaver", -2);
	pki_crl(pki, "forged.crl", "other", "leaver", 9);
	return 0;
}

static int
drop_pki(void **state)
{
	(void) state;
	pki_free(&pki);
	return 0;
}

/* Files one after another, as one. */
static const char *
joined(const char *name, const char *const *files)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	for (; *files; files++) {
		FILE *in = fopen(pki_path(pki, *files), "re");
		assert_non_null(in);
		for (int c; (c = getc(in)) != EOF;)
			(void) putc(c, out);
		(void) fclose(in);
	}
	assert_int_equal(fclose(out), 0);
	pki_write(pki, name, text, size);
	free(text);
	return name;
}

static struct config_tls
tls_of(const char *ca, const char *crl, int mode)
{
	return (struct config_tls){.name = (char *) "main",
				   .client_ca = (char *) pki_path(pki, ca),
				   .client_crl = crl ? (char *) pki_path(pki, crl) : NULL,
				   .crl = mode,
				   .verified_chains = 100};
}

static struct trust *
load(const char *ca, const char *crl, int mode)
{
	struct config_tls tls = tls_of(ca, crl, mode);
	struct trust *trust = NULL;
	struct error error = {0};
	if (trust_load(&tls, NULL, &trust, &error) < 0)
		fail_msg("%s", error.text);
	return trust;
}

/* leaf and, if not NULL, what was sent with it. ret may be NULL. */
static enum tls_refusal
check(struct trust *trust, const char *leaf, const char *above, time_t now, struct chain **ret)
{
	struct chain_bytes sent[2] = {{pki_der(pki, leaf)->data, pki_der(pki, leaf)->size}};
	CLEANUP(chain_unref) struct chain *chain = NULL;
	if (above)
		sent[1] = (struct chain_bytes){pki_der(pki, above)->data, pki_der(pki, above)->size};
	enum tls_refusal refusal = trust_check(trust, sent, above ? 2 : 1, now, &chain);
	assert_int_equal(refusal == TLS_ACCEPTED, chain != NULL);
	if (ret)
		*ret = STEAL(chain);
	return refusal;
}

static enum tls_refusal
check_again(struct trust *trust, struct chain *chain, time_t now)
{
	CLEANUP(chain_unref) struct chain *proof = NULL;
	enum tls_refusal refusal = trust_check_again(trust, chain, now, &proof);
	assert_int_equal(refusal == TLS_ACCEPTED, proof != NULL);
	return refusal;
}

static struct trust_counts
counts_of(struct trust *trust)
{
	struct trust_counts counts;
	trust_count(trust, &counts);
	return counts;
}

static void
test_who_is_let_in(void **state)
{
	struct trust *trust = load("ca.pem", NULL, CONFIG_CRL_OFF);
	time_t now = time(NULL);
	struct chain_bytes garbage = {(const unsigned char *) "nonsense", 8}, many[CHAIN_SENT + 1];
	struct chain *chain = NULL;
	(void) state;
	assert_int_equal(check(trust, "good", NULL, now, NULL), TLS_ACCEPTED);
	assert_int_equal(check(trust, "leaver", NULL, now, NULL), TLS_ACCEPTED);
	assert_int_equal(check(trust, "server", NULL, now, NULL), TLS_BAD_PURPOSE);
	assert_int_equal(check(trust, "expired", NULL, now, NULL), TLS_EXPIRED);
	assert_int_equal(check(trust, "deep", NULL, now, NULL), TLS_UNKNOWN_CA);
	assert_int_equal(check(trust, "deep", "middle", now, NULL), TLS_ACCEPTED);
	assert_int_equal(check(trust, "other", NULL, now, NULL), TLS_UNKNOWN_CA);
	assert_int_equal(trust_check(trust, &garbage, 1, now, &chain), TLS_BAD_CERTIFICATE);
	assert_int_equal(trust_check(trust, NULL, 0, now, &chain), TLS_NO_CERTIFICATE);
	for (size_t i = 0; i < ARRAY_LENGTH(many); i++)
		many[i] = (struct chain_bytes){pki_der(pki, "good")->data, pki_der(pki, "good")->size};
	assert_int_equal(trust_check(trust, many, ARRAY_LENGTH(many), now, &chain), TLS_BAD_CERTIFICATE);
	assert_null(chain);
	trust_unref(&trust);
	assert_null(trust);
}

static void
test_a_proof_says_what_it_rests_on(void **state)
{
	struct trust *trust = load("ca.pem", "none.crl", CONFIG_CRL_REQUIRED);
	time_t now = time(NULL);
	struct chain *chain;
	(void) state;
	assert_int_equal(check(trust, "good", NULL, now, &chain), TLS_ACCEPTED);
	assert_int_equal(chain->link_count, 1); /* the root is nobody's to revoke */
	assert_int_equal(chain->sent_count, 1);
	/* The leaf ends before its authority, the list before both. */
	assert_in_range(chain->not_after, now + 50 * DAY, now + 51 * DAY);
	assert_in_range(chain->fresh_until, now + 9 * DAY - 60, now + 9 * DAY + 60);
	assert_true(chain->not_before < now);
	chain_unref(&chain);
	trust_unref(&trust);
}

static void
test_revocation(void **state)
{
	static const char *const both[] = {"leaver.crl", "middle.crl", NULL};
	static const char *const proved[] = {"none.crl", "middle-none.crl", NULL};
	time_t now = time(NULL);
	struct trust *trust = load("ca.pem", "leaver.crl", CONFIG_CRL_REQUIRED);
	(void) state;
	assert_int_equal(check(trust, "good", NULL, now, NULL), TLS_ACCEPTED);
	assert_int_equal(check(trust, "leaver", NULL, now, NULL), TLS_REVOKED);
	assert_int_equal(check(trust, "deep", "middle", now, NULL), TLS_CRL_STALE); /* no list of middle */
	assert_int_equal(check(trust, "good", NULL, now + 10 * DAY, NULL), TLS_CRL_STALE);
	trust_unref(&trust);
	trust = load("ca.pem", joined("both.crl", both), CONFIG_CRL_REQUIRED);
	assert_int_equal(check(trust, "deep", "middle", now, NULL), TLS_REVOKED);
	assert_int_equal(counts_of(trust).lists.lists, 2);
	assert_int_equal(counts_of(trust).lists.serials, 2);
	trust_unref(&trust);
	trust = load("ca.pem", joined("proved.crl", proved), CONFIG_CRL_REQUIRED);
	assert_int_equal(check(trust, "deep", "middle", now, NULL), TLS_ACCEPTED);
	trust_unref(&trust);
	trust = load("ca.pem", "revoked-middle.crl", CONFIG_CRL_SOFT);
	assert_int_equal(check(trust, "deep", "middle", now, NULL), TLS_REVOKED);
	trust_unref(&trust);
	trust = load("ca.pem", "stale.crl", CONFIG_CRL_SOFT);
	assert_int_equal(check(trust, "good", NULL, now, NULL), TLS_ACCEPTED);
	assert_int_equal(check(trust, "leaver", NULL, now, NULL), TLS_REVOKED);
	trust_unref(&trust);
	trust = load("ca.pem", "stale.crl", CONFIG_CRL_REQUIRED);
	assert_int_equal(check(trust, "good", NULL, now, NULL), TLS_CRL_STALE);
	trust_unref(&trust);
	/* A list is read by its issuer's name: somebody else's says nothing of ours. */
	trust = load("ca.pem", "forged.crl", CONFIG_CRL_SOFT);
	assert_int_equal(check(trust, "leaver", NULL, now, NULL), TLS_ACCEPTED);
	trust_unref(&trust);
}

/* Who holds the key of a revoked authority makes another certificate of it that is in no list. */
static void
test_no_way_around_a_revoked_authority(void **state)
{
	static const char *const both[] = {"revoked-middle.crl", "middle-none.crl", NULL};
	static const char *const ways[][3] = {
		{"middle"}, {"twin", "middle"}, {"middle", "twin"}, {"twin", "middle", "twin"}};
	(void) state;
	joined("both.crl", both);
	for (int required = 0; required < 2; required++) {
		struct trust *trust = load("ca.pem", required ? "both.crl" : "revoked-middle.crl",
					   required ? CONFIG_CRL_REQUIRED : CONFIG_CRL_SOFT);
		for (size_t i = 0; i < ARRAY_LENGTH(ways); i++) {
			struct chain_bytes sent[4] = {{pki_der(pki, "deep")->data, pki_der(pki, "deep")->size}};
			struct chain *chain = NULL;
			size_t count = 1;
			for (; count < 4 && ways[i][count - 1]; count++)
				sent[count] = (struct chain_bytes){pki_der(pki, ways[i][count - 1])->data,
								   pki_der(pki, ways[i][count - 1])->size};
			assert_int_equal(trust_check(trust, sent, count, time(NULL), &chain), TLS_REVOKED);
		}
		trust_unref(&trust);
	}
}

/* An authority keeps its name when it changes its key, and has a list by each. */
static void
test_an_authority_that_changes_its_key(void **state)
{
	static const char *const orders[][2][3] = {{{"ca.pem", "heir.pem"}, {"leaver.crl", "heir.crl"}},
						   {{"heir.pem", "ca.pem"}, {"leaver.crl", "heir.crl"}},
						   {{"ca.pem", "heir.pem"}, {"heir.crl", "leaver.crl"}}};
	static const char *const forged[] = {"leaver.crl", "forged.crl", NULL};
	time_t now = time(NULL);
	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(orders); i++) {
		struct trust *trust =
			load(joined("keys.pem", orders[i][0]), joined("keys.crl", orders[i][1]), CONFIG_CRL_REQUIRED);
		assert_int_equal(check(trust, "good", NULL, now, NULL), TLS_ACCEPTED);
		assert_int_equal(check(trust, "leaver", NULL, now, NULL), TLS_REVOKED);
		assert_int_equal(check(trust, "child", NULL, now, NULL), TLS_REVOKED);
		trust_unref(&trust);
	}
	/* By one key only: by name it covers what the other signed. */
	struct trust *trust = load(joined("keys.pem", orders[0][0]), "leaver.crl", CONFIG_CRL_REQUIRED);
	assert_int_equal(check(trust, "child", NULL, now, NULL), TLS_ACCEPTED);
	trust_unref(&trust);
	/* A list of the name that neither key has signed. */
	struct config_tls tls = tls_of("heir.pem", joined("keys.crl", forged), CONFIG_CRL_SOFT);
	struct error error = {0};
	assert_true(trust_load(&tls, NULL, &trust, &error) < 0);
	assert_non_null(
		strstr(error.text, "list 1: it names an authority of client_ca as its issuer but is not signed"));
}

static void
test_looking_again(void **state)
{
	static const char *const two[] = {"ca.pem", "other.pem", NULL};
	static const char *const middle[] = {"none.crl", "middle.crl", NULL};
	static const char *const unproved[] = {"none.crl", "middle-none.crl", NULL};
	time_t now = time(NULL);
	struct trust *before = load("ca.pem", "none.crl", CONFIG_CRL_REQUIRED), *after;
	struct chain *good, *leaver, *deep;
	(void) state;
	assert_int_equal(check(before, "good", NULL, now, &good), TLS_ACCEPTED);
	assert_int_equal(check(before, "leaver", NULL, now, &leaver), TLS_ACCEPTED);
	trust_unref(&before);

	after = load("ca.pem", "leaver.crl", CONFIG_CRL_REQUIRED);
	assert_int_equal(check_again(after, good, now), TLS_ACCEPTED);
	assert_int_equal(check_again(after, leaver, now), TLS_REVOKED);
	assert_int_equal(check_again(after, good, good->not_after + 1), TLS_EXPIRED);
	assert_int_equal(check_again(after, good, now + 10 * DAY), TLS_CRL_STALE);
	assert_int_equal(counts_of(after).chains.misses, 0); /* the same authorities: nothing was proved anew */
	trust_unref(&after);

	after = load(joined("two.pem", two), "leaver.crl", CONFIG_CRL_SOFT);
	assert_int_equal(check_again(after, good, now), TLS_ACCEPTED);
	assert_int_equal(counts_of(after).chains.misses, 1);
	assert_int_equal(check_again(after, good, now), TLS_ACCEPTED);
	assert_int_equal(counts_of(after).chains.hits, 1);
	assert_int_equal(check_again(after, leaver, now), TLS_REVOKED);
	trust_unref(&after);

	after = load("other.pem", NULL, CONFIG_CRL_OFF);
	assert_int_equal(check_again(after, good, now), TLS_UNKNOWN_CA);
	trust_unref(&after);

	before = load("ca.pem", "none.crl", CONFIG_CRL_SOFT);
	assert_int_equal(check(before, "deep", "middle", now, &deep), TLS_ACCEPTED);
	trust_unref(&before);
	after = load("ca.pem", joined("middle-of-it.crl", middle), CONFIG_CRL_SOFT);
	assert_int_equal(check_again(after, deep, now), TLS_REVOKED);
	trust_unref(&after);
	/* The middle's list is proved by the certificate the client had sent. */
	after = load("ca.pem", joined("unproved.crl", unproved), CONFIG_CRL_REQUIRED);
	assert_int_equal(check_again(after, deep, now), TLS_ACCEPTED);
	trust_unref(&after);
	chain_unref(&good);
	chain_unref(&leaver);
	chain_unref(&deep);
}

static void
test_a_client_that_returns_costs_no_proof(void **state)
{
	struct trust *trust = load("ca.pem", "none.crl", CONFIG_CRL_REQUIRED);
	time_t now = time(NULL);
	struct chain *first, *second;
	(void) state;
	assert_int_equal(check(trust, "good", NULL, now, &first), TLS_ACCEPTED);
	assert_int_equal(check(trust, "good", NULL, now, &second), TLS_ACCEPTED);
	assert_ptr_equal(first, second);
	assert_int_equal(counts_of(trust).chains.hits, 1);
	/* What was refused is not remembered, and what is remembered ends with the list. */
	assert_int_equal(check(trust, "server", NULL, now, NULL), TLS_BAD_PURPOSE);
	assert_int_equal(counts_of(trust).chains.entries, 1);
	assert_int_equal(check(trust, "good", NULL, now + 10 * DAY, NULL), TLS_CRL_STALE);
	assert_int_equal(counts_of(trust).chains.entries, 0);
	chain_unref(&first);
	chain_unref(&second);
	trust_unref(&trust);
}

static void
test_new_lists_forget_only_whom_they_name(void **state)
{
	struct trust *before = load("ca.pem", "none.crl", CONFIG_CRL_REQUIRED), *after = NULL;
	struct config_tls tls = tls_of("ca.pem", "leaver-later.crl", CONFIG_CRL_REQUIRED);
	time_t now = time(NULL);
	struct chain *good;
	(void) state;
	assert_int_equal(check(before, "good", NULL, now, NULL), TLS_ACCEPTED);
	assert_int_equal(check(before, "leaver", NULL, now, NULL), TLS_ACCEPTED);
	assert_int_equal(trust_load(&tls, before, &after, NULL), 0);
	assert_int_equal(counts_of(after).chains.entries, 1);
	assert_int_equal(check(after, "good", NULL, now, &good), TLS_ACCEPTED);
	assert_int_equal(counts_of(after).chains.hits, 1);
	assert_in_range(good->fresh_until, now + 11 * DAY - 60, now + 11 * DAY + 60); /* as the new list says */
	assert_int_equal(check(after, "leaver", NULL, now, NULL), TLS_REVOKED);
	chain_unref(&good);
	trust_unref(&after);
	/* Other authorities: nothing is proved by them yet. */
	tls = tls_of("other.pem", NULL, CONFIG_CRL_OFF);
	assert_int_equal(trust_load(&tls, before, &after, NULL), 0);
	assert_int_equal(counts_of(after).chains.entries, 0);
	trust_unref(&after);
	trust_unref(&before);
}

static void
test_policies_that_are_the_same(void **state)
{
	struct trust *first = load("ca.pem", "leaver.crl", CONFIG_CRL_REQUIRED), *same = NULL;
	struct config_tls tls = tls_of("ca.pem", "leaver.crl", CONFIG_CRL_REQUIRED);
	(void) state;
	assert_int_equal(trust_load(&tls, first, &same, NULL), 0);
	assert_ptr_equal(first, same);
	trust_unref(&same);
	static const struct {
		const char *ca, *crl;
		int mode;
		bool equal;
	} rows[] = {
		{"ca.pem", "leaver-later.crl", CONFIG_CRL_REQUIRED, true}, /* only issued again */
		{"ca.pem", "none.crl", CONFIG_CRL_REQUIRED, false},
		{"ca.pem", "leaver.crl", CONFIG_CRL_SOFT, false},
		{"ca.pem", NULL, CONFIG_CRL_OFF, false},
		{"other.pem", "leaver.crl", CONFIG_CRL_REQUIRED, false},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		tls = tls_of(rows[i].ca, rows[i].crl, rows[i].mode);
		struct trust *trust = NULL;
		assert_int_equal(trust_load(&tls, first, &trust, NULL), 0);
		assert_ptr_not_equal(trust, first);
		assert_int_equal(memcmp(trust_policy(trust), trust_policy(first), CHAIN_DIGEST) == 0, rows[i].equal);
		trust_unref(&trust);
	}
	trust_unref(&first);
}

static void
test_files_that_are_refused(void **state)
{
	static const struct {
		const char *ca, *crl;
		int mode;
		const char *words;
	} rows[] = {
		{"nowhere.pem", NULL, CONFIG_CRL_OFF, "No such file"},
		{"good.key", NULL, CONFIG_CRL_OFF, "no certificate in PEM form"},
		{"good.pem", NULL, CONFIG_CRL_OFF, "is not an authority"},
		{"ca.pem", "ca.pem", CONFIG_CRL_SOFT, "no revocation list in PEM form"},
		{"ca.pem", "nowhere.crl", CONFIG_CRL_SOFT, "No such file"},
		{"ca.pem", NULL, CONFIG_CRL_REQUIRED, "needs client_crl"},
	};
	struct trust *kept = load("ca.pem", NULL, CONFIG_CRL_OFF);
	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct config_tls tls = tls_of(rows[i].ca, rows[i].crl, rows[i].mode);
		struct trust *trust = (void *) 1;
		struct error error = {0};
		assert_true(trust_load(&tls, kept, &trust, &error) < 0);
		assert_ptr_equal(trust, (void *) 1);
		if (!strstr(error.text, rows[i].words))
			fail_msg("row %zu: %s", i, error.text);
	}
	trust_unref(&kept);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_is_let_in),
		cmocka_unit_test(test_a_proof_says_what_it_rests_on),
		cmocka_unit_test(test_revocation),
		cmocka_unit_test(test_no_way_around_a_revoked_authority),
		cmocka_unit_test(test_an_authority_that_changes_its_key),
		cmocka_unit_test(test_looking_again),
		cmocka_unit_test(test_a_client_that_returns_costs_no_proof),
		cmocka_unit_test(test_new_lists_forget_only_whom_they_name),
		cmocka_unit_test(test_policies_that_are_the_same),
		cmocka_unit_test(test_files_that_are_refused),
	};
	return cmocka_run_group_tests_name("trust", tests, make_pki, drop_pki);
}
