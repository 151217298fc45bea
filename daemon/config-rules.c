/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What routes say about who may and who may not. */
#include "config-check.h"
#include "name.h"
#include "network.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DIGEST_DIGITS = 64 }; /* SHA-256 */

bool
config_has_control_byte(const char *text)
{
	for (; *text; text++)
		if ((unsigned char) *text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

/* Colons as openssl prints them and upper case are taken; what is kept is what identities hold. False: no digits. */
static bool
digits_fold(char *digits)
{
	bool is_hex = true;
	char *end = digits;

	for (const char *p = digits; *p; p++) {
		char c = *p >= 'A' && *p <= 'F' ? (char) (*p - 'A' + 'a') : *p;

		if (c == ':')
			continue;
		is_hex = is_hex && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
		*end++ = c;
	}
	*end = '\0';
	return is_hex;
}

static void
digest_check(struct schema_reader *reader, const struct yaml_node *node, const char *key, char *digest)
{
	bool is_hex = digest == NULL || digits_fold(digest);

	if (digest && (!is_hex || strlen(digest) != DIGEST_DIGITS))
		(void) schema_mistake(
			reader, config_place(node, key),
			"%s must be 64 hexadecimal digits (SHA-256), not %zu%s; the whoami plugin shows it", key,
			strlen(digest), is_hex ? "" : " characters of which some are no digits");
}

static void
serial_check(struct schema_reader *reader, const struct yaml_node *node, const struct config_rule *rule)
{
	if (!rule->serial)
		return;
	if (!digits_fold(rule->serial) || !rule->serial[0])
		(void) schema_mistake(reader, config_place(node, "serial"),
				      "serial must be hexadecimal digits; colons may stand between them");
	else if (!rule->issuer && !rule->issuer_attributes)
		(void) schema_mistake(
			reader, config_place(node, "serial"),
			"a serial number names a certificate of one issuer only; add issuer or issuer_attributes");
}

static void
network_check(struct schema_reader *reader, const struct yaml_node *node, const char *key, const char *network)
{
	const char *trouble = network ? network_trouble(network) : NULL;

	if (trouble)
		(void) schema_mistake(reader, config_place(node, key), "\"%.60s\" %s", network, trouble);
}

static void
trust_domain_check(struct schema_reader *reader, const struct yaml_node *node, const char *domain)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";

	if (domain && strspn(domain, letters) != strlen(domain))
		(void) schema_mistake(
			reader, config_place(node, "trust_domain"),
			"\"%.80s\" is no trust domain; write its bare name in lower case, such as example.org", domain);
}

static void
purpose_check(struct schema_reader *reader, const struct yaml_node *node, const char *purpose)
{
	if (purpose && !name_purpose(purpose))
		(void) schema_mistake(
			reader, config_place(node, "purpose"),
			"\"%.80s\" is no key purpose; write client-auth, server-auth, code-signing, email-protection, "
			"time-stamping, ocsp-signing, smartcard-logon, any-purpose or an object identifier",
			purpose);
}

static void
attributes_check(struct schema_reader *reader, const struct yaml_node *node, const char *key, const char *attributes)
{
	for (const char *p = attributes; p && *p;) {
		size_t length = strcspn(p, ",+"), equals = strcspn(p, "=");

		if (equals == 0 || equals >= length) {
			(void) schema_mistake(reader, config_place(node, key),
					      "\"%.80s\" is no list of attributes; write them as O=Example,OU=ops-*, a "
					      "comma inside a value as \\,",
					      attributes);
			return;
		}
		p += length + (p[length] != '\0');
	}
}

void
config_check_pattern(struct schema_reader *reader, const struct yaml_node *node, const char *key, const char *pattern)
{
	if (!pattern)
		return;
	if (strstr(pattern, "***"))
		(void) schema_mistake(reader, config_place(node, key),
				      "pattern \"%.80s\" holds \"***\"; write * (within a part) or ** (across parts)",
				      pattern);
	if (config_has_control_byte(pattern))
		(void) schema_mistake(
			reader, config_place(node, key),
			"the pattern holds a control byte, which no accepted certificate does; remove it");
}

static void
name_check(struct schema_reader *reader, const struct yaml_node *node, const char *key, const char *pattern)
{
	if (pattern && !strpbrk(pattern, "=*"))
		(void) schema_mistake(
			reader, config_place(node, key),
			"pattern \"%.80s\" can match no %s; write it as RFC 4514 does, such as CN=name,O=*", pattern,
			key);
}

/* Patterns that can match no certificate are mistakes, not rules. */
static void
patterns_check(struct schema_reader *reader, const struct yaml_node *node, const struct config_rule *rule)
{
	config_check_pattern(reader, node, "uri", rule->uri);
	config_check_pattern(reader, node, "dns", rule->dns);
	config_check_pattern(reader, node, "email", rule->email);
	config_check_pattern(reader, node, "subject", rule->subject);
	config_check_pattern(reader, node, "subject_attributes", rule->subject_attributes);
	config_check_pattern(reader, node, "issuer", rule->issuer);
	config_check_pattern(reader, node, "issuer_attributes", rule->issuer_attributes);
	if (rule->uri && !strchr(rule->uri, ':') && rule->uri[0] != '*')
		(void) schema_mistake(reader, config_place(node, "uri"),
				      "pattern \"%.80s\" can match no URI; begin with the scheme, such as spiffe://",
				      rule->uri);
	if (rule->email && !strpbrk(rule->email, "@*"))
		(void) schema_mistake(reader, config_place(node, "email"),
				      "pattern \"%.80s\" can match no address; write name@domain or *@domain",
				      rule->email);
	if (rule->dns && strpbrk(rule->dns, "/:@ "))
		(void) schema_mistake(
			reader, config_place(node, "dns"),
			"pattern \"%.80s\" can match no DNS name; write the bare name, such as *.example.org",
			rule->dns);
	name_check(reader, node, "subject", rule->subject);
	name_check(reader, node, "issuer", rule->issuer);
}

/* Patterns for names take the form that names of certificates are kept in. */
static int
name_store(struct schema_reader *reader, const struct yaml_node *node, const char *key, char **name)
{
	char *canonical;

	if (!*name)
		return 0;
	int r = name_canonical_dn(*name, &canonical);
	if (r == -EINVAL)
		(void) schema_mistake(reader, config_place(node, key),
				      "the pattern ends with a lone backslash; write \\5C for a backslash");
	if (r < 0)
		return r == -EINVAL ? 0 : r;
	free(*name);
	*name = canonical;
	return 0;
}

static int
names_store(struct schema_reader *reader, const struct yaml_node *node, struct config_rule *rule)
{
	int r = name_store(reader, node, "subject", &rule->subject);

	if (r == 0)
		r = name_store(reader, node, "subject_attributes", &rule->subject_attributes);
	if (r == 0)
		r = name_store(reader, node, "issuer", &rule->issuer);
	if (r == 0)
		r = name_store(reader, node, "issuer_attributes", &rule->issuer_attributes);
	if (r == 0) {
		attributes_check(reader, node, "subject_attributes", rule->subject_attributes);
		attributes_check(reader, node, "issuer_attributes", rule->issuer_attributes);
	}
	return r;
}

static int
rule_check(struct schema_reader *reader, const struct yaml_node *node, struct config_rule *rule)
{
	bool asks = rule->uri || rule->trust_domain || rule->dns || rule->email || rule->ip || rule->subject ||
		    rule->subject_attributes || rule->issuer || rule->issuer_attributes || rule->serial || rule->spki ||
		    rule->fingerprint || rule->purpose || rule->source;

	if (rule->any && asks)
		(void) schema_mistake(
			reader, config_place(node, "any"),
			"any: true holds for every verified client, whatever else the rule asks; remove one of both");
	else if (!rule->any && !asks && (node->count == 0 || yaml_get(node, "any")))
		(void) schema_mistake(
			reader, node,
			"the rule asks nothing and holds for nobody; write uri, trust_domain, dns, email, ip, "
			"subject, spki, fingerprint, source or another key of the reference, or any: true");
	patterns_check(reader, node, rule);
	trust_domain_check(reader, node, rule->trust_domain);
	network_check(reader, node, "ip", rule->ip);
	network_check(reader, node, "source", rule->source);
	purpose_check(reader, node, rule->purpose);
	serial_check(reader, node, rule);
	digest_check(reader, node, "spki", rule->spki);
	digest_check(reader, node, "fingerprint", rule->fingerprint);
	if (rule->email)
		name_fold_email(rule->email);
	return names_store(reader, node, rule);
}

int
config_check_rules(struct schema_reader *reader, const struct config_route *route)
{
	const struct yaml_node *allow = yaml_get(route->node, "allow");
	int r = 0;

	if (route->allow_count == 0 && (!allow || allow->kind != YAML_MAP))
		(void) schema_mistake(
			reader, config_place(route->node, "allow"),
			"a route without allow lets nobody in and can never be reached; add allow: with rules such as "
			"- uri: \"spiffe://example.org/*\", or - any: true for every verified client");
	for (size_t i = 0; i < route->allow_count && r == 0; i++)
		if (route->allow[i].node->kind == YAML_MAP)
			r = rule_check(reader, route->allow[i].node, &route->allow[i]);
	for (size_t i = 0; i < route->deny_count && r == 0; i++)
		if (route->deny[i].node->kind == YAML_MAP)
			r = rule_check(reader, route->deny[i].node, &route->deny[i]);
	return r;
}
