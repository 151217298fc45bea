/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* overseer.h - watches plugins: samples them, has them judged, probes, and acts as the policy says.
 *
 * Data flows one way: supervisor (readings) -> signals -> verdict -> policy -> supervisor's verbs -> event records.
 * Time comes in with each call, so that tests run hours in moments.
 *
 * Threads: overseer_step on one thread at a time (overseer_tick has its own call it; it may evict and take long);
 * restarts run on threads of the overseer's; tick, pressure and the views from any. Owns: what it knows of each plugin.
 */
#include "config.h"
#include "error.h"
#include "probe.h"
#include "supervisor.h"
#include "verdict.h"

#include <jansson.h>

struct overseer;

int overseer_new(struct supervisor *supervisor, struct overseer **ret);
/* Ends what is under way; nothing is done from here on. The supervisor is still needed. */
void overseer_stop(struct overseer *overseer);
void overseer_free(struct overseer **overseer); /* accepts NULL; the instances may outlive it */
/* Once a second: samples every plugin, judges those with new blocks, moves probes on, acts. now: CLOCK_MONOTONIC
 * microseconds. */
void overseer_step(struct overseer *overseer, uint64_t now);
/* Has overseer_step run on the overseer's thread, unless it is still running. */
void overseer_tick(struct overseer *overseer);
/* Memory is short: with the next step the plugin that can give back most is asked to. */
void overseer_pressure(struct overseer *overseer);
/* Waits until no step of the overseer's own and no restart is under way. */
void overseer_settle(struct overseer *overseer);

/* What is known of a plugin. -ENOENT. */
struct overseer_view {
	uint64_t instance;
	struct verdict verdict;
	char sentence[400]; /* with the first site's name */
	char probe[40];     /* probe_phase */
	struct verdict_probes probes;
	uint64_t judged;        /* CLOCK_REALTIME seconds of the verdict */
	uint64_t breaker_until; /* CLOCK_REALTIME seconds; 0: closed */
	char breaker[16];       /* "closed", "open", "half-open", "stopped" */
	char next[160];         /* what the policy will do next, and when; "" nothing */
	bool stopped;           /* it is restarted no more for its leak: restarts take back too little */
};
int overseer_view(struct overseer *overseer, const char *plugin, struct overseer_view *ret);
/* Verdicts and actions so far, oldest first: [{"at", "event", "text", "instance"}, ...], bounded. */
json_t *overseer_history(struct overseer *overseer, const char *plugin);
/* The recorded signals as a file that verdict tests replay (record.h); freed by the caller. -ENOENT, -ENODATA: the
 * plugin is not watched. */
int overseer_record(struct overseer *overseer, const char *plugin, char **ret, size_t *ret_length);
