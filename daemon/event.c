/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "event.h"

#include "log.h"

#include <assert.h>
#include <inttypes.h>

/* Texts are filled in by journalctl --catalog: @MTLSD_PLUGIN@, @MTLSD_INSTANCE@. */
static const struct event_row rows[] = {
	[EVENT_SUSPECT] = {"suspect", "93468e713b724c4b8e9a43c1dbe13046", LOG_NOTICE,
			   "Plugin @MTLSD_PLUGIN@ may leak memory",
			   "What instance @MTLSD_INSTANCE@ holds when no request is counted rises steadily.\n"
			   "A cache that fills looks the same; nothing needs to be done yet.\n"
			   "The tests behind it: mtlsctl explain @MTLSD_PLUGIN@"},
	[EVENT_LIKELY] = {"likely", "964d9f08d3374395bea0938f6d908ad3", LOG_WARNING,
			  "Plugin @MTLSD_PLUGIN@ is likely to leak memory",
			  "The rise is the same over short and long times, or old blocks of a call site do not\n"
			  "thin out. Without an evict hook no more than this can be said of a plugin.\n"
			  "See: mtlsctl explain @MTLSD_PLUGIN@; mtlsctl dump @MTLSD_PLUGIN@"},
	[EVENT_CONFIRMED] = {"confirmed", "87fe44691d6641efbd46bd88b94d60b6", LOG_ERR,
			     "Plugin @MTLSD_PLUGIN@ leaks memory",
			     "The plugin was asked to give back all it can rebuild, twice, and held more the second\n"
			     "time: memory that it will not give back. The call sites are named by\n"
			     "mtlsctl explain @MTLSD_PLUGIN@. What is done about it is memory.leak.on_confirmed."},
	[EVENT_CLEARED] = {"cleared", "6ffce1ba4186489084b8123ebbe843d2", LOG_NOTICE,
			   "Plugin @MTLSD_PLUGIN@ is no longer suspected",
			   "What was taken for a leak has stopped growing, or was given back when asked for."},
	[EVENT_OTHER] = {"growth", "1895fcc176bf462987a27cfb0d63b0ec", LOG_NOTICE,
			 "Memory of plugin @MTLSD_PLUGIN@ grows, but not by a leak",
			 "A cache that fills, state kept for each client, or free memory in pieces too small to use.\n"
			 "The record says which. See: mtlsctl explain @MTLSD_PLUGIN@"},
	[EVENT_PROBE_BEGUN] = {"probe", "05950ead2f444b0baa32df55cd5ba567", LOG_INFO,
			       "Plugin @MTLSD_PLUGIN@ is probed for a leak",
			       "Its caches are emptied two or three times while it serves, to see what stays.\n"
			       "memory.leak.probe says whether and how often this may be done."},
	[EVENT_PROBE_ENDED] = {"probe-ended", "4bb99948734244aba9ab7e73f23c2c59", LOG_INFO,
			       "The probe of plugin @MTLSD_PLUGIN@ has ended",
			       "What it found is part of mtlsctl explain @MTLSD_PLUGIN@."},
	[EVENT_DUMPED] = {"dumped", "c93f01cb76404d5b8b7d5b2c2fd91124", LOG_NOTICE,
			  "A dump of plugin @MTLSD_PLUGIN@ was written",
			  "It names the call sites of all live blocks of instance @MTLSD_INSTANCE@, as mtlsctl dump\n"
			  "--json does, and can be the base of a later one: mtlsctl dump @MTLSD_PLUGIN@ --base FILE.\n"
			  "daemon.dump_count and daemon.dump_bytes bound the folder; the oldest go first."},
	[EVENT_EVICTED] = {"evicted", "22263125007844d28e8a6a2b5df8d06d", LOG_NOTICE,
			   "Plugin @MTLSD_PLUGIN@ was asked to give memory back",
			   "The record says how much it claims to have freed and how much was measured."},
	[EVENT_RESTARTED] =
		{"restarted", "0eca5c89d5bb4ce98e1e18fe4d71da69", LOG_WARNING, "Plugin @MTLSD_PLUGIN@ was replaced",
		 "A fresh instance serves and the old one's memory is gone. Requests were not lost: the old\n"
		 "instance ended after those it had. Such restarts are bounded by restart.planned and\n"
		 "restart.burst."},
	[EVENT_RESTART_FAILED] =
		{"restart-failed", "62e22505415a489aa3da6b83523fd0b1", LOG_ERR,
		 "Plugin @MTLSD_PLUGIN@ could not be started",
		 "The record says why. If an older instance serves, it goes on doing so. The next try\n"
		 "comes by itself after restart.backoff; mtlsctl restart @MTLSD_PLUGIN@ tries at once."},
	[EVENT_RESTART_PLANNED] =
		{"restart-planned", "cb14173eb07e4554a9de9aec445bd192", LOG_NOTICE,
		 "Plugin @MTLSD_PLUGIN@ will be replaced",
		 "The conditions of memory.leak.restart_when do not hold yet; the record names them."},
	[EVENT_LOOP_STOPPED] =
		{"loop-stopped", "269bd350f7024152a235ae61b94cee14", LOG_ERR,
		 "Restarting plugin @MTLSD_PLUGIN@ does not help",
		 "The last restart took back too little of what was held, so the leak is not in the\n"
		 "instance's own heap: most likely a library keeps what it allocated on the plugin's\n"
		 "behalf. It is not restarted for this any more until the configuration is loaded again or\n"
		 "somebody restarts it. mtlsctl dump @MTLSD_PLUGIN@ names the call sites (scope foreign)."},
	[EVENT_BUDGET_SPENT] =
		{"budget-spent", "a27efe455f3b484993752bb9256ee0ac", LOG_ERR,
		 "No restart is left for plugin @MTLSD_PLUGIN@",
		 "It was restarted as often as its budget allows (restart.planned for leaks and limits,\n"
		 "restart.burst for failures). restart.on_exhausted says what becomes of its requests.\n"
		 "Somebody should look at it: mtlsctl doctor @MTLSD_PLUGIN@"},
	[EVENT_BREAKER_OPEN] =
		{"breaker-open", "507292426aba438c986e3335a748916a", LOG_WARNING,
		 "Requests of plugin @MTLSD_PLUGIN@ are refused for a while",
		 "They are answered with 503 and Retry-After. After breaker.open one request is let in to\n"
		 "see whether the plugin serves again."},
	[EVENT_BREAKER_HALF_OPEN] = {"breaker-half-open", "2c617f9168bf49ba8c8644b23db10aae", LOG_INFO,
				     "One request of plugin @MTLSD_PLUGIN@ is tried",
				     "If it is answered well, all are let in again."},
	[EVENT_BREAKER_CLOSED] = {"breaker-closed", "d882e03a94db441bb65d7160c0be4378", LOG_NOTICE,
				  "Requests of plugin @MTLSD_PLUGIN@ are served again",
				  "The request that was tried was answered well, or the reason for refusing is gone."},
	[EVENT_SOFT_LIMIT] = {"soft-limit", "f103f3aaf4f24eec888b61777b0ed4dc", LOG_NOTICE,
			      "Plugin @MTLSD_PLUGIN@ holds more than its soft limit",
			      "The more it comes near its hard limit, the more often it is asked to give memory back.\n"
			      "Its limits are memory.soft and memory.hard."},
	[EVENT_PRESSURE] = {"pressure", "1d51fe5d0fe547fdb963af8c5b159b2a", LOG_NOTICE,
			    "Memory is short on this machine",
			    "The plugin that can give back most was asked to do so first."},
};
static_assert(sizeof(rows) / sizeof(rows[0]) == EVENT_KINDS, "one row for each kind");

const struct event_row *
event_row(enum event_kind kind)
{
	return &rows[kind];
}

void
event_record(enum event_kind kind, const char *plugin, uint64_t instance, const char *verdict, const char *text)
{
	char number[24];

	snprintf(number, sizeof(number), "%" PRIu64, instance);
	log_record(rows[kind].level,
		   LOG_FIELDS({"MESSAGE_ID", rows[kind].message_id}, {"MTLSD_PLUGIN", plugin},
			      {"MTLSD_INSTANCE", instance != 0 ? number : NULL}, {"MTLSD_VERDICT", verdict}),
		   "plugin %s: %s", plugin, text);
}

void
event_print_catalog(FILE *out)
{
	fputs("# SPDX-License-Identifier: LGPL-2.1-or-later\n"
	      "# Message catalog of mtlsd, printed by mtlsd --print-catalog from the table in event.c.\n",
	      out);
	for (size_t i = 0; i < EVENT_KINDS; i++)
		fprintf(out, "\n-- %s\nSubject: %s\nDefined-By: mtlsd\n\n%s\n", rows[i].message_id, rows[i].subject,
			rows[i].text);
}
