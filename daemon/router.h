/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* router.h - which route answers a request, and whether this identity may.
 *
 * Longest path wins: an exact path before a prefix, a longer prefix before a shorter; a route with hosts before one
 * without; then file order. A prefix matches at a segment boundary ("/api/" matches "/api/x" and "/api").
 * Method is looked at among the routes of that longest path which match the host: none -> 405 with Allow, never a
 * shorter path with other rules. GET in a route's methods serves HEAD too (RFC 9110, 9.3.2). The route so found decides
 * alone who may: deny by default.
 *
 * Threads: pure functions of an immutable snapshot. Owns: the table owns its index, not the configuration.
 */
#include "access.h"
#include "config.h"

struct router;

enum router_outcome { ROUTER_OK, ROUTER_NOT_FOUND, ROUTER_METHOD, ROUTER_DENIED }; /* 200, 404, 405, 403 */

struct router_match {
	enum router_outcome outcome;
	const struct config_route *route; /* OK and DENIED; METHOD: any of the matching */
	const struct config_rule *rule;   /* that decided; NULL: none did, DENIED by default */
	char allow[128];                  /* METHOD: value of the Allow header */
};

int router_new(const struct config *config, struct router **ret);
/* path: decoded and normalised. host: lower case without port, NULL if none. */
void router_match(const struct router *router, const char *method, const char *host, const char *path,
		  const struct access_peer *peer, struct router_match *ret);
void router_free(struct router **router);
