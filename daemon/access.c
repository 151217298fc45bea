/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "access.h"

#include "cleanup.h"
#include "glob.h"
#include "name.h"
#include "network.h"

#include <stdio.h>
#include <string.h>

enum { ATTRIBUTE_LENGTH = 1024 };

static bool
any_matches(const char *pattern, const char *const *names, char separator, bool fold_case)
{
	for (; *names; names++)
		if (glob_match(pattern, *names, separator, fold_case))
			return true;
	return false;
}

/* --- what a rule can ask ------------------------------------------------------------------------------------------ */

static bool
uri_holds(const char *asked, const struct access_peer *peer)
{
	return any_matches(asked, peer->identity->san[IDENTITY_SAN_URI], '/', false);
}

static bool
trust_domain_holds(const char *asked, const struct access_peer *peer)
{
	static const char scheme[] = "spiffe://";
	const char *const *uri = peer->identity->san[IDENTITY_SAN_URI];
	size_t length = strlen(asked);

	/* An SVID has exactly one URI; with more, which of them speaks is anybody's guess. */
	if (!uri[0] || uri[1] || strncmp(uri[0], scheme, sizeof(scheme) - 1) != 0)
		return false;
	const char *domain = uri[0] + sizeof(scheme) - 1;
	return strncmp(domain, asked, length) == 0 && (domain[length] == '/' || domain[length] == '\0');
}

static bool
dns_holds(const char *asked, const struct access_peer *peer)
{
	return any_matches(asked, peer->identity->san[IDENTITY_SAN_DNS], '.', true);
}

static bool
email_holds(const char *asked, const struct access_peer *peer)
{
	return any_matches(asked, peer->identity->san[IDENTITY_SAN_EMAIL], '@', false);
}

static bool
ip_holds(const char *asked, const struct access_peer *peer)
{
	for (const char *const *ip = peer->identity->san[IDENTITY_SAN_IP]; *ip; ip++)
		if (network_holds(asked, *ip))
			return true;
	return false;
}

static bool
subject_holds(const char *asked, const struct access_peer *peer)
{
	return glob_match(asked, peer->identity->subject, '\0', false);
}

static bool
subject_attributes_hold(const char *asked, const struct access_peer *peer)
{
	return access_attributes_hold(asked, peer->identity->subject);
}

static bool
issuer_holds(const char *asked, const struct access_peer *peer)
{
	return glob_match(asked, peer->identity->issuer, '\0', false);
}

static bool
issuer_attributes_hold(const char *asked, const struct access_peer *peer)
{
	return access_attributes_hold(asked, peer->identity->issuer);
}

/* Certificates write a serial number with or without a leading zero byte. */
static bool
serial_holds(const char *asked, const struct access_peer *peer)
{
	const char *serial = peer->identity->serial;

	return strcmp(asked + strspn(asked, "0"), serial + strspn(serial, "0")) == 0;
}

static bool
spki_holds(const char *asked, const struct access_peer *peer)
{
	return strcmp(asked, peer->identity->spki_sha256) == 0;
}

static bool
fingerprint_holds(const char *asked, const struct access_peer *peer)
{
	return strcmp(asked, peer->identity->certificate_sha256) == 0;
}

static bool
purpose_holds(const char *asked, const struct access_peer *peer)
{
	const char *oid = name_purpose(asked);

	for (const char *const *has = peer->identity->purposes; oid && *has; has++)
		if (strcmp(*has, oid) == 0)
			return true;
	return false;
}

static bool
source_holds(const char *asked, const struct access_peer *peer)
{
	return peer->address && network_holds(asked, peer->address);
}

struct fact {
	const char *key;
	size_t offset; /* of the text in struct config_rule */
	bool (*holds)(const char *asked, const struct access_peer *peer);
	enum { HAS_TEXT, HAS_NAMES, HAS_ADDRESS } kind; /* what the peer's side is */
	size_t has;                                     /* where, in struct identity */
};

/* THE table: the cheap and the telling first. */
static const struct fact facts[] = {
	{"fingerprint", offsetof(struct config_rule, fingerprint), fingerprint_holds, HAS_TEXT,
	 offsetof(struct identity, certificate_sha256)},
	{"spki", offsetof(struct config_rule, spki), spki_holds, HAS_TEXT, offsetof(struct identity, spki_sha256)},
	{"serial", offsetof(struct config_rule, serial), serial_holds, HAS_TEXT, offsetof(struct identity, serial)},
	{"trust_domain", offsetof(struct config_rule, trust_domain), trust_domain_holds, HAS_NAMES,
	 offsetof(struct identity, san[IDENTITY_SAN_URI])},
	{"uri", offsetof(struct config_rule, uri), uri_holds, HAS_NAMES,
	 offsetof(struct identity, san[IDENTITY_SAN_URI])},
	{"dns", offsetof(struct config_rule, dns), dns_holds, HAS_NAMES,
	 offsetof(struct identity, san[IDENTITY_SAN_DNS])},
	{"email", offsetof(struct config_rule, email), email_holds, HAS_NAMES,
	 offsetof(struct identity, san[IDENTITY_SAN_EMAIL])},
	{"ip", offsetof(struct config_rule, ip), ip_holds, HAS_NAMES, offsetof(struct identity, san[IDENTITY_SAN_IP])},
	{"subject", offsetof(struct config_rule, subject), subject_holds, HAS_TEXT, offsetof(struct identity, subject)},
	{"subject_attributes", offsetof(struct config_rule, subject_attributes), subject_attributes_hold, HAS_TEXT,
	 offsetof(struct identity, subject)},
	{"issuer", offsetof(struct config_rule, issuer), issuer_holds, HAS_TEXT, offsetof(struct identity, issuer)},
	{"issuer_attributes", offsetof(struct config_rule, issuer_attributes), issuer_attributes_hold, HAS_TEXT,
	 offsetof(struct identity, issuer)},
	{"purpose", offsetof(struct config_rule, purpose), purpose_holds, HAS_NAMES,
	 offsetof(struct identity, purposes)},
	{"source", offsetof(struct config_rule, source), source_holds, HAS_ADDRESS, 0},
};
enum { FACTS = sizeof(facts) / sizeof(facts[0]) };

/* What the rule asks of a fact; NULL: nothing. */
static const char *
asked_of(const struct config_rule *rule, const struct fact *fact)
{
	const char *asked = *(char *const *) ((const char *) rule + fact->offset);

	return asked && *asked ? asked : NULL;
}

/* --- attributes --------------------------------------------------------------------------------------------------- */

/* In the canonical form every special byte of a value is a hex pair, so that a comma or a plus ends an attribute. */
static size_t
attribute_length(const char *text)
{
	return strcspn(text, ",+");
}

static bool
attribute_is_in(const char *asked, const char *name)
{
	char attribute[ATTRIBUTE_LENGTH];

	for (size_t length; *name; name += length + (name[length] != '\0')) {
		length = attribute_length(name);
		if (length >= sizeof(attribute))
			continue;
		memcpy(attribute, name, length);
		attribute[length] = '\0';
		if (glob_match(asked, attribute, '\0', false))
			return true;
	}
	return false;
}

bool
access_attributes_hold(const char *asked, const char *name)
{
	char attribute[ATTRIBUTE_LENGTH];

	for (size_t length; *asked; asked += length + (asked[length] != '\0')) {
		length = attribute_length(asked);
		if (length == 0 || length >= sizeof(attribute))
			return false;
		memcpy(attribute, asked, length);
		attribute[length] = '\0';
		if (!attribute_is_in(attribute, name))
			return false;
	}
	return true;
}

/* --- rules -------------------------------------------------------------------------------------------------------- */

const char *
access_rule_fails(const struct config_rule *rule, const struct access_peer *peer)
{
	bool asks = rule->any;

	if (!peer->identity)
		return "";
	for (size_t i = 0; i < FACTS; i++) {
		const char *asked = asked_of(rule, &facts[i]);
		if (!asked)
			continue;
		if (!facts[i].holds(asked, peer))
			return facts[i].key;
		asks = true;
	}
	/* A rule that asks nothing must not become one that lets everybody in. */
	return asks ? NULL : "";
}

static const struct config_rule *
first_that_holds(const struct config_rule *rules, size_t count, const struct access_peer *peer)
{
	for (size_t i = 0; i < count; i++)
		if (!access_rule_fails(&rules[i], peer))
			return &rules[i];
	return NULL;
}

bool
access_decide(const struct config_route *route, const struct access_peer *peer, const struct config_rule **ret_rule)
{
	const struct config_rule *deny = first_that_holds(route->deny, route->deny_count, peer), *allow = NULL;

	if (!deny)
		allow = first_that_holds(route->allow, route->allow_count, peer);
	if (ret_rule)
		*ret_rule = deny ? deny : allow;
	return allow != NULL;
}

void
access_rule_text(const struct config_rule *rule, char *ret, size_t size)
{
	size_t used = 0;

	(void) snprintf(ret, size, "%s", rule->any ? "any verified client" : "");
	for (size_t i = 0; i < FACTS; i++) {
		const char *asked = asked_of(rule, &facts[i]);
		used = strlen(ret);
		if (asked)
			(void) snprintf(ret + used, size - used, "%s%s %s", used ? " and " : "", facts[i].key, asked);
	}
}

void
access_peer_text(const struct access_peer *peer, const char *key, char *ret, size_t size)
{
	const struct identity *identity = peer->identity;
	const char *const *names = NULL;
	const char *text = NULL;

	ret[0] = '\0';
	for (size_t i = 0; i < FACTS; i++) {
		const void *has = (const char *) identity + facts[i].has;

		if (strcmp(facts[i].key, key) != 0)
			continue;
		if (facts[i].kind == HAS_NAMES)
			names = *(const char *const *const *) has;
		else
			text = facts[i].kind == HAS_TEXT ? *(const char *const *) has : peer->address;
	}
	if (text)
		(void) snprintf(ret, size, "%s", text);
	for (size_t used; names && *names; names++) {
		used = strlen(ret);
		(void) snprintf(ret + used, size - used, "%s%s", used ? ", " : "", *names);
	}
}
