/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "event.h"

#include "throttle.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>

/* Texts are filled in by journalctl --catalog: @MTLSD_PLUGIN@, @MTLSD_INSTANCE@. */
static const struct event_row rows[] = {
	[EVENT_SUSPECT] = {"suspect", "93468e713b724c4b8e9a43c1dbe13046", LOG_NOTICE, 0,
			   "Plugin @MTLSD_PLUGIN@ may leak memory",
			   "What instance @MTLSD_INSTANCE@ holds when no request is counted rises steadily.\n"
			   "A cache that fills looks the same; nothing needs to be done yet.\n"
			   "The tests behind it: mtlsctl explain @MTLSD_PLUGIN@"},
	[EVENT_LIKELY] = {"likely", "964d9f08d3374395bea0938f6d908ad3", LOG_WARNING, 0,
			  "Plugin @MTLSD_PLUGIN@ is likely to leak memory",
			  "The rise is the same over short and long times, or old blocks of a call site do not\n"
			  "thin out. Without an evict hook no more than this can be said of a plugin.\n"
			  "See: mtlsctl explain @MTLSD_PLUGIN@; mtlsctl dump @MTLSD_PLUGIN@"},
	[EVENT_CONFIRMED] = {"confirmed", "87fe44691d6641efbd46bd88b94d60b6", LOG_ERR, 0,
			     "Plugin @MTLSD_PLUGIN@ leaks memory",
			     "The plugin was asked to give back all it can rebuild, twice, and held more the second\n"
			     "time: memory that it will not give back. The call sites are named by\n"
			     "mtlsctl explain @MTLSD_PLUGIN@. What is done about it is memory.leak.on_confirmed."},
	[EVENT_CLEARED] = {"cleared", "6ffce1ba4186489084b8123ebbe843d2", LOG_NOTICE, 0,
			   "Plugin @MTLSD_PLUGIN@ is no longer suspected",
			   "What was taken for a leak has stopped growing, or was given back when asked for."},
	[EVENT_OTHER] = {"growth", "1895fcc176bf462987a27cfb0d63b0ec", LOG_NOTICE, 0,
			 "Memory of plugin @MTLSD_PLUGIN@ grows, but not by a leak",
			 "A cache that fills, state kept for each client, or free memory in pieces too small to use.\n"
			 "The record says which. See: mtlsctl explain @MTLSD_PLUGIN@"},
	[EVENT_PROBE_BEGUN] = {"probe", "05950ead2f444b0baa32df55cd5ba567", LOG_INFO, 0,
			       "Plugin @MTLSD_PLUGIN@ is probed for a leak",
			       "Its caches are emptied two or three times while it serves, to see what stays.\n"
			       "memory.leak.probe says whether and how often this may be done."},
	[EVENT_PROBE_ENDED] = {"probe-ended", "4bb99948734244aba9ab7e73f23c2c59", LOG_INFO, 0,
			       "The probe of plugin @MTLSD_PLUGIN@ has ended",
			       "What it found is part of mtlsctl explain @MTLSD_PLUGIN@."},
	[EVENT_DUMPED] = {"dumped", "c93f01cb76404d5b8b7d5b2c2fd91124", LOG_NOTICE, 0,
			  "A dump of plugin @MTLSD_PLUGIN@ was written",
			  "It names the call sites of all live blocks of instance @MTLSD_INSTANCE@, as mtlsctl dump\n"
			  "--json does, and can be the base of a later one: mtlsctl dump @MTLSD_PLUGIN@ --base FILE.\n"
			  "daemon.dump_count and daemon.dump_bytes bound the folder; the oldest go first."},
	[EVENT_EVICTED] = {"evicted", "22263125007844d28e8a6a2b5df8d06d", LOG_NOTICE, 0,
			   "Plugin @MTLSD_PLUGIN@ was asked to give memory back",
			   "The record says how much it claims to have freed and how much was measured."},
	[EVENT_RESTARTED] =
		{"restarted", "0eca5c89d5bb4ce98e1e18fe4d71da69", LOG_WARNING, 0, "Plugin @MTLSD_PLUGIN@ was replaced",
		 "A fresh instance serves and the old one's memory is gone. Requests were not lost: the old\n"
		 "instance ended after those it had. Such restarts are bounded by restart.planned and\n"
		 "restart.burst."},
	[EVENT_RESTART_FAILED] =
		{"restart-failed", "62e22505415a489aa3da6b83523fd0b1", LOG_ERR, 0,
		 "Plugin @MTLSD_PLUGIN@ could not be started",
		 "The record says why. If an older instance serves, it goes on doing so. The next try\n"
		 "comes by itself after restart.backoff; mtlsctl restart @MTLSD_PLUGIN@ tries at once."},
	[EVENT_RESTART_PLANNED] =
		{"restart-planned", "cb14173eb07e4554a9de9aec445bd192", LOG_NOTICE, 0,
		 "Plugin @MTLSD_PLUGIN@ will be replaced",
		 "The conditions of memory.leak.restart_when do not hold yet; the record names them."},
	[EVENT_LOOP_STOPPED] =
		{"loop-stopped", "269bd350f7024152a235ae61b94cee14", LOG_ERR, 0,
		 "Restarting plugin @MTLSD_PLUGIN@ does not help",
		 "The last restart took back too little of what was held, so the leak is not in the\n"
		 "instance's own heap: most likely a library keeps what it allocated on the plugin's\n"
		 "behalf. It is not restarted for this any more until the configuration is loaded again or\n"
		 "somebody restarts it. mtlsctl dump @MTLSD_PLUGIN@ names the call sites (scope foreign)."},
	[EVENT_BUDGET_SPENT] =
		{"budget-spent", "a27efe455f3b484993752bb9256ee0ac", LOG_ERR, 0,
		 "No restart is left for plugin @MTLSD_PLUGIN@",
		 "It was restarted as often as its budget allows (restart.planned for leaks and limits,\n"
		 "restart.burst for failures). restart.on_exhausted says what becomes of its requests.\n"
		 "Somebody should look at it: mtlsctl doctor @MTLSD_PLUGIN@"},
	[EVENT_BREAKER_OPEN] =
		{"breaker-open", "507292426aba438c986e3335a748916a", LOG_WARNING, 0,
		 "Requests of plugin @MTLSD_PLUGIN@ are refused for a while",
		 "They are answered with 503 and Retry-After. After breaker.open one request is let in to\n"
		 "see whether the plugin serves again."},
	[EVENT_BREAKER_HALF_OPEN] = {"breaker-half-open", "2c617f9168bf49ba8c8644b23db10aae", LOG_INFO, 0,
				     "One request of plugin @MTLSD_PLUGIN@ is tried",
				     "If it is answered well, all are let in again."},
	[EVENT_BREAKER_CLOSED] = {"breaker-closed", "d882e03a94db441bb65d7160c0be4378", LOG_NOTICE, 0,
				  "Requests of plugin @MTLSD_PLUGIN@ are served again",
				  "The request that was tried was answered well, or the reason for refusing is gone."},
	[EVENT_SOFT_LIMIT] = {"soft-limit", "f103f3aaf4f24eec888b61777b0ed4dc", LOG_NOTICE, 0,
			      "Plugin @MTLSD_PLUGIN@ holds more than its soft limit",
			      "The more it comes near its hard limit, the more often it is asked to give memory back.\n"
			      "Its limits are memory.soft and memory.hard."},
	[EVENT_PRESSURE] = {"pressure", "1d51fe5d0fe547fdb963af8c5b159b2a", LOG_NOTICE, 0,
			    "Memory is short on this machine",
			    "The plugin that can give back most was asked to do so first."},
	[EVENT_DOWN] =
		{"down", "9b941987d4ad4ba48c11621d8e0c69b6", LOG_ERR, 0, "Plugin @MTLSD_PLUGIN@ does not serve",
		 "It could not be started with the daemon; the others serve. The next try comes by itself after\n"
		 "restart.backoff; mtlsctl restart @MTLSD_PLUGIN@ tries at once."},
	[EVENT_BAD_FREE] =
		{"bad-free", "5abde2793d6b40a299c68bcbe503138e", LOG_ERR, 10,
		 "Plugin @MTLSD_PLUGIN@ freed what it must not",
		 "The record says what and from where; nothing was freed, so the daemon goes on. It is a fault of\n"
		 "the plugin: mtlsctl show @MTLSD_PLUGIN@ counts them. memory.on_fault says whether its instance is\n"
		 "replaced for it."},
	[EVENT_BAD_FREE_PLACE] =
		{"bad-free-place", "e70ea3ad8866497aa02ef0bf5e149b07", LOG_ERR, 10,
		 "Plugin @MTLSD_PLUGIN@ frees what it must not in @MTLSD_FUNCTION@",
		 "The call is at @MTLSD_PLACE@. This is said once for each new place, within a second or two of the\n"
		 "record of what happened; mtlsctl show @MTLSD_PLUGIN@ says it again."},
	[EVENT_POLICY_CHANGED] =
		{"policy-changed", "9f46a44324a041e69f464163c880397d", LOG_NOTICE, 0, "Who may connect has changed",
		 "Authorities, revoked certificates or the rules of routes are others than before: earlier session\n"
		 "tickets are void, and open connections whose client is let in no more were closed. The record\n"
		 "counts them by reason; each has a record of its own."},
	[EVENT_CLIENT_CUT] = {"client-cut", "500e5cb74c5140c7b976b3652f09d0ca", LOG_NOTICE, 20,
			      "The connection of client @MTLSD_PEER@ was closed",
			      "It was let in once and is not let in any more: @MTLSD_REFUSAL@.\n"
			      "What the reasons mean: mtlsd.yaml(5), tls and routes."},
	[EVENT_CLIENT_REFUSED] = {"client-refused", "9610cb21ab1544219e0a8c3b85cd9c70", LOG_INFO, 20,
				  "Client @MTLSD_PEER@ was refused in its handshake",
				  "Its certificate does not do, or it broke off: @MTLSD_REFUSAL@.\n"
				  "mtlsctl status counts refusals by reason, also those that were not told."},
	[EVENT_ACCESS_DENIED] = {"access-denied", "6fefd0fae21b44cbb3dde2c67775b8f4", LOG_INFO, 20,
				 "Client @MTLSD_PEER@ may not use route @MTLSD_ROUTE@",
				 "Its certificate was verified, and no rule of the route lets it in (403). Which rule "
				 "decided, and why:\n"
				 "mtlsctl test-access METHOD PATH --cert FILE"},
	[EVENT_CREDENTIALS_CHANGED] =
		{"credentials-changed", "48337e84a3b1414b8d5d0aabb7681b2e", LOG_NOTICE, 0,
		 "Changed certificate files are in use",
		 "New connections are served by them; open ones keep those they began with. mtlsctl tls shows them."},
	[EVENT_CREDENTIALS_REFUSED] =
		{"credentials-refused", "a882d0db01794041b7199c289e3fa634", LOG_ERR, 0,
		 "Changed certificate files are not used",
		 "The record says what is wrong with them. What was loaded before stays in use, until it expires.\n"
		 "mtlsctl reload tls tries again."},
	[EVENT_CREDENTIALS_UNWATCHED] = {"credentials-unwatched", "9a7110fdee4c4ad9ba3c28502b08e267", LOG_WARNING, 0,
					 "Changes of certificate files will not be seen",
					 "They take effect by mtlsctl reload tls, SIGHUP or a restart only."},
	[EVENT_EXPIRES] =
		{"expires", "4bc23c2313db4cbaa07e4548cceb9cf8", LOG_WARNING, 0,
		 "Something of TLS configuration @MTLSD_TLS@ ends in @MTLSD_DAYS@ days",
		 "The record names it: a certificate, an authority, a revocation list or an OCSP answer. Replace its\n"
		 "file: it is read at once. tls.warn_before says how long before this is told, once a day."},
	[EVENT_EXPIRED] =
		{"expired", "61133403d1bd43c689ec0a2ca95eaaf8", LOG_ERR, 0,
		 "Something of TLS configuration @MTLSD_TLS@ has ended",
		 "The record names it. Without a valid certificate or authority clients cannot connect; with a\n"
		 "revocation list that is required and outdated all are refused. Replace its file: it is read at "
		 "once."},
	[EVENT_CONFIGURED] = {"configured", "f15aa00ceee94c1dacf0f4ce5be14b71", LOG_NOTICE, 0,
			      "Configuration @MTLSD_CONFIGURATION@ is in force",
			      "It was read again and taken as a whole."},
	[EVENT_CONFIGURATION_REFUSED] =
		{"configuration-refused", "51bd6e2cb45f4c81a025df3b8ad110aa", LOG_ERR, 0,
		 "A changed configuration was refused",
		 "The one before stays in force as a whole. The record says why; mistakes in the file are told one by\n"
		 "one. mtlsd --check-config FILE finds them beforehand. What \"needs a restart\" is right, but cannot\n"
		 "be had from the running daemon."},
	[EVENT_MISTAKE] = {"mistake", "da6876827853429eba347fcbd01a849f", LOG_ERR, 0, "A mistake in the configuration",
			   "File, line and column, what is wrong, and what to write instead."},
	[EVENT_CHANGED] = {"changed", "c792926fc0e6443baa1939d1f5b6a0a9", LOG_NOTICE, 0, "An operator made a change",
			   "User @MTLSD_UID@ asked for it by mtlsctl @MTLSD_COMMAND@."},
	[EVENT_CHANGE_FAILED] =
		{"change-failed", "9b346bda96ab4e9d9dd8cd54eea115ef", LOG_WARNING, 0, "A change by an operator failed",
		 "User @MTLSD_UID@ asked for it by mtlsctl @MTLSD_COMMAND@: @MTLSD_RESULT@. All is as it was."},
	[EVENT_CHANGE_DENIED] =
		{"change-denied", "e0b9f16c8d804650932316e6d95459ee", LOG_WARNING, 20,
		 "User @MTLSD_UID@ may not change anything",
		 "It was tried by mtlsctl @MTLSD_COMMAND@. Changes need root, the daemon's user, or membership in\n"
		 "control.admin_users or control.admin_groups."},
	[EVENT_CONTROL_FULL] =
		{"control-full", "a7fd025ba5574034b6031961a6ef287a", LOG_WARNING, 1,
		 "The control socket turned somebody away",
		 "Too many connections are open, or no descriptor is free. Clients are served as before."},
	[EVENT_RECORDS_LOST] =
		{"records-lost", "8a2cd892fffc468597dbd8a1cd96be36", LOG_WARNING, 0,
		 "Records of the access log were lost",
		 "A request never waits for its record: they came faster than they could be written, or the file\n"
		 "cannot be written. The record counts them."},
	[EVENT_DEGRADED] = {"degraded", "c72c92220f5941848b3e8b08ec765669", LOG_WARNING, 0,
			    "mtlsd does without a part of itself",
			    "The record says which, and why. Clients are served all the same."},
	[EVENT_NONCES] = {"nonces", "730ce050b77f4d2da6833bf5b31c7a7a", LOG_WARNING, 0,
			  "The nonces of plugin @MTLSD_PLUGIN@ are not kept as usual",
			  "What keeps signed requests from being taken twice is full, cannot be written, or was lost\n"
			  "with the machine's last stop; the record says which. Requests are refused rather than let\n"
			  "in twice. See: mtlsctl show @MTLSD_PLUGIN@, and plugins, nonces in mtlsd.yaml(5)."},
	[EVENT_SOCKETS_CLOSED] =
		{"sockets-closed", "be229c99333c46c7956a5e3ea83bd841", LOG_NOTICE, 0,
		 "Sockets of the run before were closed",
		 "They had been kept while the daemon was replaced, and the configuration names them no more."},
	[EVENT_DRAINING] =
		{"draining", "cbe67c5604bc48dd99cde99f9e984b29", LOG_NOTICE, 0, "mtlsd is ending",
		 "It was asked to. Nobody is accepted any more; requests inside have as long as daemon.drain_timeout."},
	[EVENT_ENDED] = {"ended", "e9603e2874c44b5e994ddeb13012f134", LOG_NOTICE, 0, "mtlsd has ended",
			 "In good order."},
	[EVENT_FAILED] = {"failed", "7b6e336e200d4922bd72b47620436423", LOG_ERR, 0, "mtlsd cannot run",
			  "The record says why. The service manager starts it again where that may help."},
};
static_assert(sizeof(rows) / sizeof(rows[0]) == EVENT_KINDS, "one row for each kind");

const struct event_row *
event_row(enum event_kind kind)
{
	return &rows[kind];
}

static bool
event_admit(enum event_kind kind)
{
	static struct throttle throttles[EVENT_KINDS];

	return rows[kind].a_second == 0 || throttle_admit(&throttles[kind], rows[kind].a_second);
}

void
event_log(enum event_kind kind, const struct log_field *fields, const char *format, ...)
{
	enum { FIELDS = 12 };
	struct log_field all[FIELDS + 2] = {{"MESSAGE_ID", rows[kind].message_id}};
	char text[2048];
	va_list args;
	int saved = errno;

	if (rows[kind].level > log_level() || !event_admit(kind))
		return;
	for (size_t i = 0; fields != NULL && fields[i].name != NULL && i < FIELDS; i++)
		all[i + 1] = fields[i];
	errno = saved; /* for %m */
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_record(rows[kind].level, all, "%s", text);
}

void
event_record(enum event_kind kind, const char *plugin, uint64_t instance, const char *verdict, const char *text)
{
	char number[24];

	snprintf(number, sizeof(number), "%" PRIu64, instance);
	event_log(kind,
		  LOG_FIELDS({"MTLSD_PLUGIN", plugin}, {"MTLSD_INSTANCE", instance != 0 ? number : NULL},
			     {"MTLSD_VERDICT", verdict}),
		  "plugin %s: %s", plugin, text);
}

void
event_print_catalog(FILE *out)
{
	fputs("# SPDX-License-Identifier: LGPL-2.1-or-later\n"
	      "# Message catalog of mtlsd, printed by mtlsd --print-catalog from the table in event.c.\n",
	      out);
	for (size_t i = 0; i < EVENT_KINDS; i++) {
		fprintf(out, "\n# %s, %s", rows[i].word, log_level_name(rows[i].level));
		if (rows[i].a_second > 0)
			fprintf(out, ", at most %u a second", rows[i].a_second);
		fprintf(out, "\n-- %s\nSubject: %s\nDefined-By: mtlsd\n\n%s\n", rows[i].message_id, rows[i].subject,
			rows[i].text);
	}
}
