/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Open connections looked at again: a client is not let in once for ever, but as long as the policy lets it in. */
#include "edge.h"

#include "access.h"
#include "event.h"

#include <string.h>
#include <time.h>

/* True if a rule lets everybody in, so that nobody need be asked. */
static bool
admits_everybody(const struct config *config)
{
	for (size_t i = 0; i < config->route_count; i++) {
		const struct config_route *route = &config->routes[i];
		for (size_t k = 0; k < route->allow_count && !route->deny_count; k++)
			if (route->allow[k].any)
				return true;
	}
	return config->route_count == 0; /* nothing to be let in to */
}

static bool
is_allowed(const struct config *config, const struct chain *chain, const char *address)
{
	CLEANUP(identity_unref) struct identity *identity = NULL;
	if (identity_read(chain->sent[0].data, chain->sent[0].size, &identity, NULL) < 0)
		return false;
	const struct access_peer peer = {.identity = identity, .address = address};
	for (size_t i = 0; i < config->route_count; i++)
		if (access_decide(&config->routes[i], &peer, NULL))
			return true;
	return false;
}

static enum tls_refusal
judge(const struct edge_admission *admission, const struct config *config, bool ask_rules, struct chain **ret)
{
	uint64_t epoch;
	CLEANUP(trust_unref) struct trust *trust = tls_policy_trust(admission->policy, &epoch);
	if (!trust)
		return TLS_ACCEPTED; /* its sets never came into force: nobody can have been let in */
	enum tls_refusal refusal = trust_check_again(trust, admission->chain, time(NULL), ret);
	if (!refusal && ask_rules && !is_allowed(config, admission->chain, admission->address))
		refusal = TLS_NOT_ALLOWED;
	return refusal;
}

/* The connection may have ended, and its descriptor be another's by now: then it is not found. */
static void
apply(const struct edge_admission *admission, enum tls_refusal refusal, struct chain *proof, struct endpoint_look *look)
{
	struct edge_connection *connection = edge_table_lock(admission->fd, admission->number);
	if (!connection)
		return;
	bool cut = refusal && !connection->dead;
	look->seen++;
	if (cut) {
		look->closed[refusal]++;
		edge_count(connection, EDGE_CUT + refusal);
		edge_kill(connection);
	} else if (!refusal && proof && connection->chain == admission->chain && proof != connection->chain) {
		/* So that the next look finds the authorities it knows. */
		chain_unref(&connection->chain);
		connection->chain = chain_ref(proof);
	}
	pthread_mutex_unlock(&connection->lock);
	if (cut)
		event_log(EVENT_CLIENT_CUT,
			  LOG_FIELDS({"MTLSD_PEER", admission->address},
				     {"MTLSD_TLS", tls_policy_name(admission->policy)},
				     {"MTLSD_REFUSAL", tls_refusal_name(refusal)}),
			  "client %s is let in no more: %s", admission->address, tls_refusal_name(refusal));
}

void
endpoint_look_again(struct endpoint *endpoint, const struct config *config, time_t expired, struct endpoint_look *ret)
{
	struct edge_admission admissions[EDGE_ADMISSIONS];
	struct endpoint_look look = {0};
	bool ask_rules = !admits_everybody(config), more = true;
	for (size_t cursor = 0; more;) {
		size_t count = 0;
		more = edge_table_gather(endpoint, expired, &cursor, admissions, &count);
		for (size_t i = 0; i < count; i++) {
			struct chain *proof = NULL;
			enum tls_refusal refusal = judge(&admissions[i], config, ask_rules, &proof);
			apply(&admissions[i], refusal, proof, &look);
			chain_unref(&proof);
			chain_unref(&admissions[i].chain);
			tls_policy_unref(&admissions[i].policy);
		}
	}
	*ret = look;
}
