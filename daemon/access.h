/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* access.h - may this peer use that route: deny rules first, then allow rules, nobody by default.
 *
 * A rule holds if everything it asks holds; what a rule can ask is one table, in access.c. A rule that asks nothing
 * holds for nobody. Source: SPIFFE X.509-SVID (trust domains), RFC 4514 (subjects), RFC 5280 (key purposes).
 *
 * Threads: pure functions. Owns: nothing.
 */
#include "config.h"
#include "identity.h"

#include <stddef.h>

struct access_peer {
	const struct identity *identity; /* NULL: nobody */
	const char *address;             /* of its socket; NULL: not known, then no rule with a source holds */
};

/* True if the peer may. *ret_rule (may be NULL): the rule that decided, NULL if none did. */
bool access_decide(const struct config_route *route, const struct access_peer *peer,
		   const struct config_rule **ret_rule);
/* The key of the first thing a rule asks that does not hold; NULL: the rule holds; "": it asks nothing. */
const char *access_rule_fails(const struct config_rule *rule, const struct access_peer *peer);
/* A rule as a person would say it: "dns *.example.org and subject CN=*"; cut to fit. */
void access_rule_text(const struct config_rule *rule, char *ret, size_t size);
/* What the peer has under a rule's key, for explanations: "web.example.org, db.example.org"; cut to fit. */
void access_peer_text(const struct access_peer *peer, const char *key, char *ret, size_t size);
/* True if a (canonical) text of attributes, "O=Acme,OU=Ops*", is found in a canonical name: each attribute, in any
 * order. */
bool access_attributes_hold(const char *asked, const char *name);
