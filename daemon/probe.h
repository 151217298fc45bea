/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* probe.h - the experiment that tells a leak from a cache: evict, serve, evict again, compare what is left.
 *
 * A state machine without clock or I/O of its own. Its owner feeds it readings and does what it asks for: an eviction
 * of everything that can be rebuilt, at about the crowd of the one before. Two residuals in a row that agree confirm a
 * leak, if what was born in the first interval still lives after the second; none within the longest interval rejects
 * it and says: a cache. Intervals double while there is too little to tell.
 *
 * Threads: one at a time. Owns: nothing.
 */
#include "signals.h"
#include "verdict.h"

enum probe_step {
	PROBE_IDLE,
	PROBE_WAIT,    /* serve on */
	PROBE_EVICT,   /* call evict now, then probe_evicted, and look for the floor from then on */
	PROBE_PROFILE, /* walk the heaps now, then probe_profiled */
	PROBE_DONE,    /* told once: the result is in probe_results; idle again */
};

struct probe_settings {
	bool allow;
	unsigned per_hour;   /* probes begun in any hour, at most PROBE_PER_HOUR */
	double max_load;     /* of the machine or the plugin's threads, 0..1: none begins above it */
	uint64_t min_growth; /* bytes */
	uint64_t least_time; /* microseconds an interval lasts at least, however many requests come in a burst */
};
enum { PROBE_PER_HOUR = 16 };
struct probe_settings probe_default_settings(void);

struct probe;
int probe_new(struct probe **ret);
void probe_free(struct probe **probe); /* accepts NULL */
/* Begins one if settings, budget and load allow; why not is told in a sentence. verdict: LIKELY, whose rate says how
 * long to serve between evictions. -EBUSY, -EAGAIN (budget, load, too soon after a rejection), -EPERM (not allowed). */
int probe_begin(struct probe *probe, uint64_t now, const struct probe_settings *settings, const struct verdict *verdict,
		const struct signals_sample *last, double load, const char **ret_why);
/* What to do now. watch: the floor since the eviction it asked for last. */
enum probe_step probe_step(struct probe *probe, uint64_t now, const struct signals_sample *last,
			   const struct signals_watch *watch);
/* The eviction it asked for was done (or failed: result < 0, which ends the probe without a result). */
void probe_evicted(struct probe *probe, uint64_t now, int result, uint64_t claimed);
/* How many requests ago the first interval began and ended, and the last eviction was, for the walk it asked for. */
void probe_ages(const struct probe *probe, const struct signals_sample *last, double *ret_from, double *ret_to,
		double *ret_evicted);
/* The walk was done: bytes alive that were born in the first interval (negative: not known), and how many
 * requests ago the last eviction was. */
void probe_profiled(struct probe *probe, double survived, double evicted);
/* Restart, reload, shutdown: forgets the one under way; it does not count as rejected. */
void probe_cancel(struct probe *probe);
/* Forgets results and backoff too: the plugin is another one now. The budget stays. */
void probe_forget(struct probe *probe);
void probe_results(const struct probe *probe, struct verdict_probes *ret);
/* A word for what it does now: "idle", "first floor", "serving 1 of 2", ... */
const char *probe_phase(const struct probe *probe);
