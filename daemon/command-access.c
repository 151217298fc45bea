/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What would become of a request: which route it meets, which rule decides, and why the others do not. */
#include "access.h"
#include "command.h"
#include "router.h"
#include "server.h"
#include "target.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TEXT = 1024, TARGET_MAX = 8192, HOST_MAX = 256 };

struct question {
	char host[HOST_MAX], path[TARGET_MAX + 1];
};

/* "https://host:port/path?query" or "/path". */
static int
question_read(const char *url, struct question *ret, struct error *error)
{
	const char *target = url, *query, *scheme = strstr(url, "://");

	if (scheme && scheme < url + strcspn(url, "/?")) {
		const char *host = scheme + 3;
		size_t length = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?");

		if (length == 0 || length >= sizeof(ret->host))
			return error_set(error, -EINVAL, "the URL has no host, or one of more than %d bytes",
					 HOST_MAX - 1);
		for (size_t i = 0; i < length; i++)
			ret->host[i] = (char) tolower((unsigned char) host[i]);
		target = host + strcspn(host, "/?");
		if (*target != '/')
			target = "/";
	}
	size_t length = strcspn(target, "#");
	if (length > TARGET_MAX)
		return error_set(error, -EINVAL, "the URL has more than %d bytes", TARGET_MAX);
	if (target[0] != '/' || target_check(target, length) != GATE_ACCEPTED)
		return error_set(error, -EINVAL,
				 "\"%.80s\" would be refused as a bad request: write a path such as /a/b, or a URL "
				 "such as https://host/a/b",
				 target);
	(void) target_decode(target, length, ret->path, &query);
	return 0;
}

/* "allow rule 2 (etc/mtlsd.yaml:41)" */
static void
rule_name(const struct config *config, const struct config_route *route, const struct config_rule *rule, char *ret,
	  size_t size)
{
	bool is_allow = rule >= route->allow && rule < route->allow + route->allow_count;
	size_t index = (size_t) (rule - (is_allow ? route->allow : route->deny));

	(void) snprintf(ret, size, "%s rule %zu (%s:%d)", is_allow ? "allow" : "deny", index + 1, config->file,
			rule->node->line);
}

static json_t *
rule_reason(const struct config *config, const struct config_route *route, const struct config_rule *rule,
	    const struct access_peer *peer)
{
	const char *key = access_rule_fails(rule, peer);
	char name[TEXT], asked[TEXT], has[TEXT];

	rule_name(config, route, rule, name, sizeof(name));
	access_rule_text(rule, asked, sizeof(asked));
	if (!key)
		return json_sprintf("%s holds: %s", name, asked);
	access_peer_text(peer, key, has, sizeof(has));
	if (strcmp(key, "source") == 0)
		return json_sprintf("%s does not hold: %s; the source is %s", name, asked,
				    has[0] ? has : "not known (give --from ADDRESS)");
	return json_sprintf("%s does not hold: %s; the certificate's %s: %s", name, asked, key, has[0] ? has : "none");
}

static json_t *
reasons(const struct config *config, const struct router_match *match, const struct access_peer *peer)
{
	const struct config_route *route = match->route;
	json_t *array = json_array();
	bool decided = false;

	for (size_t i = 0; i < route->deny_count && !decided; i++) {
		json_array_append_new(array, rule_reason(config, route, &route->deny[i], peer));
		decided = &route->deny[i] == match->rule;
	}
	for (size_t i = 0; i < route->allow_count && !decided; i++) {
		json_array_append_new(array, rule_reason(config, route, &route->allow[i], peer));
		decided = &route->allow[i] == match->rule;
	}
	return array;
}

/* What the handshake, which is not tried here, would say to the certificate by itself. */
static const char *
validity(const struct identity *identity)
{
	time_t now = time(NULL);

	if (now < identity->not_before)
		return "not yet valid: the handshake would be refused";
	if (now > identity->not_after)
		return "expired: the handshake would be refused";
	return "in its validity; issuer and revocation are looked at in the handshake";
}

static json_t *
answer(const struct config *config, const struct router_match *match, const struct access_peer *peer)
{
	static const struct {
		const char *word;
		int status;
	} outcomes[] = {
		[ROUTER_OK] = {"allowed", 0},
		[ROUTER_NOT_FOUND] = {"no route", 404},
		[ROUTER_METHOD] = {"method not allowed", 405},
		[ROUTER_DENIED] = {"denied", 403},
	};
	const struct config_route *route = match->route;
	char decided[TEXT] = "no rule holds: nobody is let in by default";
	bool judged = match->outcome == ROUTER_OK || match->outcome == ROUTER_DENIED;
	json_t *reply = json_pack("{s:s, s:s, s:s}", "outcome", outcomes[match->outcome].word, "subject",
				  peer->identity->subject, "certificate", validity(peer->identity));

	if (outcomes[match->outcome].status)
		json_object_set_new(reply, "status", json_integer(outcomes[match->outcome].status));
	if (match->outcome == ROUTER_METHOD)
		json_object_set_new(reply, "allow", json_string(match->allow));
	if (route)
		json_object_set_new(reply, "route", json_string(route->name));
	if (!judged)
		return reply;
	if (match->rule)
		rule_name(config, route, match->rule, decided, sizeof(decided));
	json_object_set_new(reply, "decided_by", command_text(decided));
	if (match->outcome == ROUTER_OK)
		json_object_set_new(reply, "handler", json_string(route->handler->name));
	json_object_set_new(reply, "rules", reasons(config, match, peer));
	return reply;
}

int
command_test_access(const struct command_call *call, json_t **ret, struct error *error)
{
	CLEANUP(config_unref) struct config *config = server_config(call->context->server);
	CLEANUP(identity_unref) struct identity *identity = NULL;
	CLEANUP(router_free) struct router *router = NULL;
	struct question question = {0};
	struct router_match match;
	int r;

	r = identity_read_pem(command_string(call, "cert"), &identity, error);
	/* On the wire -EINVAL is about arguments. */
	if (r < 0)
		return r == -ENOMEM ? r : -EINVAL;
	r = question_read(command_string(call, "url"), &question, error);
	if (r < 0)
		return r;
	r = router_new(config, &router);
	if (r < 0)
		return error_set(error, r, "out of memory");
	struct access_peer peer = {identity, command_string(call, "from")};
	router_match(router, command_string(call, "method"), question.host[0] ? question.host : NULL, question.path,
		     &peer, &match);
	return command_reply(answer(config, &match, &peer), ret, error);
}
