/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Credential sets: which live and what pins them, what ends when, what resumption and remembered chains are worth. */
#include "command.h"
#include "endpoint.h"
#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct lists {
	json_t *sets, *certificates, *clients, *tickets;
	time_t now;
};

/* Whole days until then, negative once it is over. */
static json_int_t
days_until(time_t until, time_t now)
{
	json_int_t seconds = (json_int_t) until - (json_int_t) now;
	return seconds >= 0 ? seconds / 86400 : -((-seconds + 86399) / 86400);
}

/* Left out where there is none. */
static void
set_time(json_t *row, const char *key, time_t when)
{
	if (when > 0)
		json_object_set_new(row, key, json_integer((json_int_t) when));
}

static void
add_certificates(struct lists *lists, const struct tls_set *set)
{
	const struct credential *credential = tls_set_credential(set);
	for (size_t i = 0; i < credential_count(credential); i++) {
		struct credential_view view;
		credential_view(credential, i, &view);
		json_t *row = json_pack("{s:s, s:o, s:o, s:s, s:s, s:o, s:I, s:I}", "set", tls_set_name(set), "subject",
					command_text(view.subject), "names", command_text(view.names), "key", view.key,
					"store", view.store, "file", command_text(view.file), "expires",
					(json_int_t) view.expires, "days", days_until(view.expires, lists->now));
		if (view.staple_until) {
			set_time(row, "staple_until", view.staple_until);
			json_object_set_new(row, "staple",
					    json_string(view.staple_until > lists->now ? "shown" : "outdated"));
		}
		json_array_append_new(lists->certificates, row);
	}
}

static void
add_clients(struct lists *lists, const struct tls_set *set, const struct trust_counts *trust)
{
	json_t *row = json_pack(
		"{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "set", tls_set_name(set), "authorities",
		(json_int_t) trust->authorities, "expires", (json_int_t) trust->authorities_expire, "days",
		days_until(trust->authorities_expire, lists->now), "lists", (json_int_t) trust->lists.lists, "revoked",
		(json_int_t) trust->lists.serials, "chains", (json_int_t) trust->chains.entries, "chain_room",
		(json_int_t) trust->chains.room, "chain_hits", (json_int_t) trust->chains.hits, "chain_misses",
		(json_int_t) trust->chains.misses, "chain_evicted", (json_int_t) trust->chains.evicted);
	set_time(row, "lists_due", trust->lists_due);
	json_array_append_new(lists->clients, row);
}

static void
add_tickets(struct lists *lists, const struct tls_set *set, const struct tls_policy_view *policy)
{
	json_t *row = json_pack("{s:s, s:b, s:s, s:b, s:I, s:I, s:I, s:I, s:I}", "set", tls_set_name(set), "tickets",
				policy->tickets, "secrets_from", policy->shared ? "file" : "own", "kept", policy->kept,
				"secrets", (json_int_t) policy->secrets, "rotations", (json_int_t) policy->rotations,
				"lifetime", (json_int_t) policy->ticket_lifetime, "rotation",
				(json_int_t) policy->ticket_rotation, "epoch", (json_int_t) policy->epoch);
	set_time(row, "newest", policy->newest);
	json_array_append_new(lists->tickets, row);
}

static void
add_set(const struct tls_store_view *view, void *arg)
{
	struct lists *lists = arg;
	const struct tls_set *set = view->set;
	unsigned sessions = tls_set_sessions(set);
	struct tls_policy_view policy;
	struct trust_counts trust = {0};

	tls_policy_view(tls_set_policy(set), &policy);
	if (tls_set_trust(set))
		trust_count(tls_set_trust(set), &trust);
	json_array_append_new(lists->sets,
			      json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "name", tls_set_name(set), "state",
					view->current ? "serving" : "draining", "loaded",
					(json_int_t) tls_set_loaded(set), "connections", (json_int_t) sessions,
					"references", (json_int_t) tls_set_references(set), "bytes",
					(json_int_t) (tls_set_bytes(set) + trust.bytes), "days",
					days_until(tls_set_expires(set), lists->now)));
	/* The rest is told of what serves; what drains is only a burden. */
	if (view->current) {
		add_certificates(lists, set);
		add_clients(lists, set, &trust);
		add_tickets(lists, set, &policy);
	}
	trust_unref(&policy.trust);
}

static void
add_expiring(const struct tls_expiry *expiry, void *arg)
{
	json_t *array = arg;
	time_t now = time(NULL);
	json_array_append_new(array, json_pack("{s:s, s:s, s:o, s:I, s:I}", "set", expiry->set, "what", expiry->what,
					       "name", command_text(expiry->name), "until", (json_int_t) expiry->until,
					       "days", days_until(expiry->until, now)));
}

int
command_tls(const struct command_call *call, json_t **ret, struct error *error)
{
	const struct endpoint *endpoint = server_endpoint(call->context->server);
	struct tls_store *store = endpoint_tls(endpoint);
	struct lists lists = {json_array(), json_array(), json_array(), json_array(), time(NULL)};
	json_t *expiring = json_array(), *cut = json_object();
	struct endpoint_stats stats;

	tls_store_visit(store, add_set, &lists);
	tls_store_expiring(store, lists.now, add_expiring, expiring);
	endpoint_stats(endpoint, &stats);
	for (unsigned i = TLS_ACCEPTED + 1; i < TLS_REFUSAL_COUNT; i++)
		if (stats.cut[i])
			json_object_set_new(cut, tls_refusal_name(i), json_integer((json_int_t) stats.cut[i]));
	return command_reply(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "sets", lists.sets, "certificates",
				       lists.certificates, "clients", lists.clients, "resumption", lists.tickets,
				       "expiring", expiring, "cut", cut),
			     ret, error);
}

/* --- reload tls -------------------------------------------------------------------------------------------------- */

static json_t *
rehearsal(int result, const struct tls_keeper_report *report, const char *why)
{
	if (result < 0)
		return json_pack("{s:b, s:[s], s:s}", "valid", 0, "mistakes", why, "would",
				 "refuse the files and keep those in use");
	return json_pack(
		"{s:b, s:o}", "valid", 1, "would",
		json_sprintf("take %d of %d sets, whose files changed", (int) report->replaced, (int) report->sets));
}

int
command_reload_tls(const struct command_call *call, json_t **ret, struct error *error)
{
	struct server *server = call->context->server;
	struct tls_keeper_report report = {0};
	struct error why = {0};
	uint64_t closed = 0;

	bool rehearse = command_flag(call, "dry_run");
	int r = server_reload_tls(server, rehearse, &report, &why);
	if (rehearse)
		return command_reply(rehearsal(r, &report, why.text), ret, error);
	if (r < 0) /* a missing file is no missing plugin: the code is ours */
		return error_set(error, -EIO, "the old credentials stay: %s", why.text);
	for (unsigned i = 0; i < TLS_REFUSAL_COUNT; i++)
		closed += report.look.closed[i];
	return command_reply(json_pack("{s:I, s:I, s:I, s:I, s:I}", "sets", (json_int_t) report.sets, "replaced",
				       (json_int_t) report.replaced, "policies", (json_int_t) report.policies,
				       "looked_at", (json_int_t) report.look.seen, "closed", (json_int_t) closed),
			     ret, error);
}

/* clang-format off */
static const struct command_column set_columns[] = {
	{"SET", "name", "text"},
	{"STATE", "state", "state"},
	{"LOADED", "loaded", "time"},
	{"CONNECTIONS", "connections", "count"},
	{"REFERENCES", "references", "count"},
	{"BYTES", "bytes", "size"},
	{"DAYS", "days", "count"},
	{0},
};
static const struct command_column certificate_columns[] = {
	{"SET", "set", "text"},
	{"KEY", "key", "text"},
	{"FROM", "store", "text"},
	{"DAYS", "days", "count"},
	{"EXPIRES", "expires", "time"},
	{"STAPLE", "staple", "text"},
	{"NAMES", "names", "name"},
	{"SUBJECT", "subject", "text"},
	{0},
};
static const struct command_column client_columns[] = {
	{"SET", "set", "text"},
	{"AUTHORITIES", "authorities", "count"},
	{"DAYS", "days", "count"},
	{"LISTS", "lists", "count"},
	{"REVOKED", "revoked", "count"},
	{"DUE", "lists_due", "time"},
	{"CHAINS", "chains", "count"},
	{"HITS", "chain_hits", "count"},
	{"MISSES", "chain_misses", "count"},
	{0},
};
static const struct command_column ticket_columns[] = {
	{"SET", "set", "text"},
	{"TICKETS", "tickets", "bool"},
	{"SECRETS", "secrets_from", "text"},
	{"NUMBER", "secrets", "count"},
	{"NEWEST", "newest", "time"},
	{"ROTATED", "rotations", "count"},
	{"LIFETIME", "lifetime", "seconds"},
	{"EPOCH", "epoch", "count"},
	{0},
};
static const struct command_column expiring_columns[] = {
	{"SET", "set", "text"},
	{"WHAT", "what", "text"},
	{"DAYS", "days", "count"},
	{"NAME", "name", "text"},
	{0},
};
const struct command_block command_tls_blocks[] = {
	{.key = "sets", .kind = COMMAND_TABLE, .columns = set_columns, .empty = "no tls set"},
	{.key = "certificates", .kind = COMMAND_TABLE, .title = "certificates", .columns = certificate_columns},
	{.key = "clients", .kind = COMMAND_TABLE, .title = "clients: authorities, revocation, remembered chains",
	 .columns = client_columns},
	{.key = "resumption", .kind = COMMAND_TABLE, .title = "resumption", .columns = ticket_columns},
	{.key = "expiring", .kind = COMMAND_TABLE, .title = "ends soon", .columns = expiring_columns,
	 .empty = "nothing"},
	{.key = "cut", .kind = COMMAND_MAP, .title = "open connections closed by a change of policy"},
	{0},
};
/* clang-format on */
