/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "access.h"
#include "cleanup.h"
#include "name.h"
#include "network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *const no_names[] = {NULL};
static const char *const uris[] = {"spiffe://example.org/web", "spiffe://example.org/ns/db", NULL};
static const char *const svid[] = {"spiffe://example.org/web", NULL};
static const char *const dns[] = {"Web.Example.org", NULL};
static const char *const emails[] = {"Ann@example.org", NULL};
static const char *const addresses[] = {"198.51.100.9", "2001:db8::7", NULL};
static const char *const purposes[] = {"1.3.6.1.5.5.7.3.2", "1.3.6.1.4.1.99999.1", NULL};

static const struct identity web = {
	.subject = "CN=web\\2C O=Fake,OU=ops-7+L=Here,O=Real",
	.issuer = "CN=ca,O=Trust",
	.serial = "01af",
	.spki_sha256 = "aa",
	.certificate_sha256 = "bb",
	.san = {uris, dns, emails, addresses},
	.purposes = purposes,
};

static bool
allows(struct config_rule rule)
{
	struct config_route route = {.allow = &rule, .allow_count = 1};

	return access_decide(&route, &(struct access_peer){&web, "192.0.2.7"}, NULL);
}

static void
test_rules(void **state UNUSED)
{
	assert_true(allows((struct config_rule){.any = true}));
	assert_false(allows((struct config_rule){.any = false}));
	assert_false(allows((struct config_rule){.uri = (char *) ""}));
	assert_true(allows((struct config_rule){.uri = (char *) "spiffe://example.org/*"}));
	assert_true(allows((struct config_rule){.uri = (char *) "spiffe://example.org/ns/*"})); /* the second name */
	assert_false(allows((struct config_rule){.uri = (char *) "spiffe://example.org/ns/web"}));
	assert_false(allows((struct config_rule){.uri = (char *) "spiffe://EXAMPLE.org/web"}));
	assert_true(allows((struct config_rule){.dns = (char *) "*.example.ORG"}));
	assert_false(allows((struct config_rule){.dns = (char *) "*.org"}));
	assert_true(allows((struct config_rule){.email = (char *) "*@example.org"}));
	assert_false(allows((struct config_rule){.email = (char *) "ann@example.org"}));
	assert_true(allows((struct config_rule){.subject = (char *) "CN=*,O=Real"}));
	/* a comma inside a value is no end of it */
	assert_false(allows((struct config_rule){.subject = (char *) "CN=web,*O=Real"}));
	assert_true(allows((struct config_rule){.spki = (char *) "aa"}));
	assert_false(allows((struct config_rule){.spki = (char *) "bb"}));
	assert_true(allows((struct config_rule){.fingerprint = (char *) "bb"}));
	assert_false(allows((struct config_rule){.fingerprint = (char *) "b*"}));
	/* all that is asked must hold */
	assert_true(allows((struct config_rule){.spki = (char *) "aa", .dns = (char *) "web.example.org"}));
	assert_false(allows((struct config_rule){.spki = (char *) "aa", .dns = (char *) "db.example.org"}));
	assert_false(allows((struct config_rule){.spki = (char *) "xx", .dns = (char *) "web.example.org"}));
}

static void
test_attributes(void **state UNUSED)
{
	assert_true(allows((struct config_rule){.subject_attributes = (char *) "O=Real"}));
	assert_true(allows((struct config_rule){.subject_attributes = (char *) "O=Real,OU=ops-*,L=Here"}));
	assert_false(allows((struct config_rule){.subject_attributes = (char *) "O=Real,OU=dev-*"}));
	assert_false(allows((struct config_rule){.subject_attributes = (char *) "O=Rea"}));
	/* a value that looks like another attribute is none */
	assert_false(allows((struct config_rule){.subject_attributes = (char *) "O=Fake"}));
	assert_false(allows((struct config_rule){.subject_attributes = (char *) " O=Fake"}));
	assert_true(allows((struct config_rule){.issuer_attributes = (char *) "O=Trust"}));
	assert_false(allows((struct config_rule){.issuer_attributes = (char *) "O=Real"}));
	assert_true(allows((struct config_rule){.issuer = (char *) "CN=ca,O=*"}));
	assert_false(access_attributes_hold("O=a,,O=b", "O=a,O=b"));
}

static void
test_serial(void **state UNUSED)
{
	assert_true(allows((struct config_rule){.serial = (char *) "1af"}));
	assert_true(allows((struct config_rule){.serial = (char *) "0001af"}));
	assert_false(allows((struct config_rule){.serial = (char *) "1a"}));
	assert_false(allows((struct config_rule){.serial = (char *) "1af0"}));
}

static void
test_trust_domain(void **state UNUSED)
{
	struct identity one = web;
	struct access_peer peer = {&one, NULL};
	struct config_rule rule = {.trust_domain = (char *) "example.org"};

	/* two URIs: no SVID */
	assert_string_equal(access_rule_fails(&rule, &peer), "trust_domain");
	one.san[IDENTITY_SAN_URI] = svid;
	assert_null(access_rule_fails(&rule, &peer));
	rule.trust_domain = (char *) "example.or";
	assert_string_equal(access_rule_fails(&rule, &peer), "trust_domain");
	one.san[IDENTITY_SAN_URI] = no_names;
	assert_string_equal(access_rule_fails(&rule, &peer), "trust_domain");
}

static void
test_addresses_and_source(void **state UNUSED)
{
	assert_true(allows((struct config_rule){.ip = (char *) "198.51.100.0/24"}));
	assert_true(allows((struct config_rule){.ip = (char *) "2001:db8::/32"}));
	assert_false(allows((struct config_rule){.ip = (char *) "192.0.2.0/24"}));
	assert_true(allows((struct config_rule){.source = (char *) "192.0.2.0/24"}));
	assert_false(allows((struct config_rule){.source = (char *) "198.51.100.0/24"}));
	struct config_rule rule = {.source = (char *) "0.0.0.0/0"};
	assert_string_equal(access_rule_fails(&rule, &(struct access_peer){&web, NULL}), "source");
}

static void
test_purposes(void **state UNUSED)
{
	assert_true(allows((struct config_rule){.purpose = (char *) "client-auth"}));
	assert_true(allows((struct config_rule){.purpose = (char *) "1.3.6.1.4.1.99999.1"}));
	assert_false(allows((struct config_rule){.purpose = (char *) "code-signing"}));
	assert_string_equal(name_purpose("server-auth"), "1.3.6.1.5.5.7.3.1");
	assert_null(name_purpose(""));
	assert_null(name_purpose("17"));
	assert_null(name_purpose("1.2x"));
}

static void
test_deny_goes_first(void **state UNUSED)
{
	struct config_rule allow[] = {{.any = true}}, deny[] = {{.dns = (char *) "x.org"}, {.spki = (char *) "aa"}};
	struct config_route route = {.allow = allow, .allow_count = 1, .deny = deny, .deny_count = 1};
	struct access_peer peer = {&web, NULL};
	const struct config_rule *rule = NULL;

	assert_true(access_decide(&route, &peer, &rule));
	assert_ptr_equal(rule, &allow[0]);
	route.deny_count = 2;
	assert_false(access_decide(&route, &peer, &rule));
	assert_ptr_equal(rule, &deny[1]);
	route.allow_count = route.deny_count = 0;
	assert_false(access_decide(&route, &peer, &rule));
	assert_null(rule);
	route.allow_count = 1;
	assert_false(access_decide(&route, &(struct access_peer){NULL, NULL}, &rule));
}

static void
test_words(void **state UNUSED)
{
	struct config_rule rule = {.dns = (char *) "*.example.org", .subject = (char *) "CN=*"};
	struct access_peer peer = {&web, "192.0.2.7"};
	char text[64], small[8];

	access_rule_text(&rule, text, sizeof(text));
	assert_string_equal(text, "dns *.example.org and subject CN=*");
	access_rule_text(&(struct config_rule){.any = true}, text, sizeof(text));
	assert_string_equal(text, "any verified client");
	access_rule_text(&rule, small, sizeof(small));
	assert_string_equal(small, "dns *.e");
	access_peer_text(&peer, "ip", text, sizeof(text));
	assert_string_equal(text, "198.51.100.9, 2001:db8::7");
	access_peer_text(&peer, "issuer", text, sizeof(text));
	assert_string_equal(text, "CN=ca,O=Trust");
	access_peer_text(&peer, "source", text, sizeof(text));
	assert_string_equal(text, "192.0.2.7");
	access_peer_text(&peer, "purpose", small, sizeof(small));
	assert_string_equal(small, "1.3.6.1");
}

static void
test_networks(void **state UNUSED)
{
	static const struct {
		const char *network, *address;
		bool holds;
	} rows[] = {
		{"0.0.0.0/0", "203.0.113.5", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"192.0.2.128/25", "192.0.2.128", true},
		{"192.0.2.128/25", "192.0.2.127", false},
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.0/31", "192.0.2.1", true},
		{"192.0.2.0/24", "::ffff:192.0.2.9", true},
		{"2001:db8::/33", "2001:db8:7fff::1", true},
		{"2001:db8::/33", "2001:db8:8000::1", false},
		{"::/0", "::1", true},
		{"::/0", "192.0.2.1", false},
		{"192.0.2.0/24", "nobody", false},
		{"192.0.2.0/x", "192.0.2.1", false},
	};
	static const char *const bad[] = {"",
					  "/",
					  "a",
					  "1.2.3",
					  "192.0.2.0/",
					  "192.0.2.0/-1",
					  "192.0.2.0/33",
					  "192.0.2.0/24x",
					  "2001:db8::/129",
					  "192.0.2.1/24",
					  "::ffff:192.0.2.0/120",
					  "192.0.2.0/ 24"};
	static const char *const good[] = {"0.0.0.0/0", "192.0.2.0/24", "192.0.2.1/32", "::/0", "2001:db8::/32", "::1"};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		if (network_holds(rows[i].network, rows[i].address) != rows[i].holds)
			fail_msg("%s and %s", rows[i].network, rows[i].address);
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		if (!network_trouble(bad[i]))
			fail_msg("%s passes", bad[i]);
	for (size_t i = 0; i < ARRAY_LENGTH(good); i++)
		if (network_trouble(good[i]))
			fail_msg("%s %s", good[i], network_trouble(good[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_serial),
		cmocka_unit_test(test_trust_domain),
		cmocka_unit_test(test_addresses_and_source),
		cmocka_unit_test(test_purposes),
		cmocka_unit_test(test_deny_goes_first),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
