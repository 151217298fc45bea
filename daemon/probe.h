/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* probe.h - the experiment that tells a leak from a cache: evict, serve, evict again, compare what is left.
 *
 * A state machine without clock or I/O of its own. Its owner feeds it samples and does what it asks for: an eviction of
 * everything that can be rebuilt, at about the concurrency of the one before. Two residuals in a row that agree confirm
 * a leak; one that is nothing rejects it and says: a cache.
 *
 * Threads: one at a time. Owns: nothing.
 */
#include "signals.h"
#include "verdict.h"

enum probe_step {
	PROBE_IDLE,
	PROBE_WAIT,  /* serve on */
	PROBE_EVICT, /* call evict now, then probe_evicted */
	PROBE_DONE,  /* the result is in probe_result; back to idle */
};

struct probe_settings {
	bool allow;
	unsigned per_hour;   /* probes begun in any hour */
	double max_load;     /* of the machine or the plugin's threads, 0..1: none begins above it */
	uint64_t min_growth; /* bytes */
};
struct probe_settings probe_default_settings(void);

struct probe; /* plain value inside; opaque for its owner */
int probe_new(struct probe **ret);
void probe_free(struct probe **probe);
/* Begins one if settings, budget and load allow; why not is told in a sentence. verdict: LIKELY, whose rate says how
 * long to serve between evictions. -EBUSY, -EAGAIN (budget, load), -EPERM (not allowed). */
int probe_begin(struct probe *probe, uint64_t now, const struct probe_settings *settings, const struct verdict *verdict,
		double load, const char **ret_why);
/* What to do after this sample. */
enum probe_step probe_sample(struct probe *probe, uint64_t now, const struct signals_sample *sample);
/* The eviction it asked for was done (or failed: result < 0, which ends the probe). */
void probe_evicted(struct probe *probe, uint64_t now, int result, uint64_t claimed);
/* Restart, reload, shutdown: forgets the one under way; it does not count as rejected. */
void probe_cancel(struct probe *probe);
void probe_results(const struct probe *probe, struct verdict_probes *ret);
/* A word for what it does now: "idle", "first floor", "serving 1 of 2", ... */
const char *probe_phase(const struct probe *probe);
