/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run.h"

#include "cleanup.h"
#include "course.h"
#include "heap.h"
#include "inspector.h"
#include "replay.h"
#include "scope.h"
#include "timeline.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SECOND = 1000000 };

static const double LOAD = 0.2; /* of the machine: nothing keeps a probe from beginning */

struct run {
	const struct run_order *order;
	struct run_result *result;
	struct course course;
	struct inspector *inspector;
	struct baseline baseline;
	struct verdict_settings settings;
	uint64_t settled;    /* timeline at the start or the last reload */
	uint64_t settled_at; /* the same in requests */
	uint64_t warm;       /* request at which the warm-up ended; RUN_NEVER: not yet */
	uint64_t onset;      /* request; RUN_NEVER: not yet */
	struct signals_exposure at_onset;
	struct verdict verdict; /* the one that counts, so far */
	bool trace;
	int statm;
};

/* --- measuring --------------------------------------------------------------------------------------------------- */

static uint64_t
resident_set(const struct run *run)
{
	char text[64] = "";
	unsigned long all = 0, resident = 0;

	if (pread(run->statm, text, sizeof(text) - 1, 0) > 0)
		(void) sscanf(text, "%lu %lu", &all, &resident);
	return resident * (uint64_t) sysconf(_SC_PAGESIZE);
}

static struct signals_sample
read_sample(const struct run *run)
{
	struct signals_sample sample = {0};

	(void) plugin_sample(stage_plugin(run->course.stage), stage_instance(run->course.stage), timeline_now(),
			     &sample);
	return sample;
}

static void
measure_truth(struct run *run)
{
	const struct label *label = run->order->label;
	struct run_result *result = run->result;
	struct signals_exposure now = read_sample(run).exposure;
	double units[SIGNALS_AXES], bytes = (double) stage_site_bytes(run->course.stage, label->site);

	if (!label->leaky || run->onset == RUN_NEVER)
		return;
	unsigned first = label->axes != 0 ? (unsigned) __builtin_ctz(label->axes) : SIGNALS_REQUESTS;
	for (unsigned i = 0; i < SIGNALS_AXES; i++)
		units[i] = (double) (now.count[i] - run->at_onset.count[i]);
	units[SIGNALS_SECONDS] /= SECOND;
	if (bytes <= 0)
		bytes = label->bytes * units[first]; /* nothing of it lies in the plugin's own heap */
	if (units[SIGNALS_REQUESTS] > 0)
		result->true_per_request = bytes / units[SIGNALS_REQUESTS];
	if (units[result->axis] > 0)
		result->true_rate = bytes / units[result->axis];
	if (units[first] > 0)
		result->true_unit = bytes / units[first];
}

/* --- judging ----------------------------------------------------------------------------------------------------- */

/* From when requests count, or RUN_NEVER. */
static uint64_t
counts_from(const struct run *run)
{
	uint64_t onset = run->order->label->leaky ? run->onset : 0;

	if (run->warm == RUN_NEVER || onset == RUN_NEVER)
		return RUN_NEVER;
	return onset > run->warm ? onset : run->warm;
}

static uint64_t
since(const struct run *run)
{
	uint64_t from = counts_from(run);
	return from == RUN_NEVER || run->course.served < from ? 0 : run->course.served - from;
}

static void
tell_verdict(struct run *run)
{
	const struct verdict *verdict = &run->verdict;
	struct run_result *result = run->result;

	result->outcome = verdict->outcome;
	result->class = verdict->class;
	result->axis = verdict->axis;
	result->separable = verdict->separable;
	result->rate = verdict->rate;
	result->per_request = verdict->per_request;
	result->site[0] = result->function[0] = '\0';
	if (verdict->site_count > 0)
		(void) snprintf(result->site, sizeof(result->site), "%s",
				verdict->sites[0].foreign ? "foreign"
							  : stage_function(run->course.stage, verdict->sites[0].site));
	if (verdict->site_count > 1)
		(void) snprintf(result->function, sizeof(result->function), "%s",
				verdict->sites[1].foreign ? "foreign"
							  : stage_function(run->course.stage, verdict->sites[1].site));
	verdict_sentence(verdict, result->sentence, sizeof(result->sentence));
}

static void
take_verdict(struct run *run, const struct verdict *verdict)
{
	enum verdict_outcome goal = run->order->hook ? VERDICT_CONFIRMED : VERDICT_LIKELY;
	struct run_result *result = run->result;

	if (run->order->label->leaky && run->onset == RUN_NEVER) {
		result->early |= verdict->outcome == VERDICT_CONFIRMED;
		return;
	}
	for (unsigned outcome = VERDICT_SUSPECT; outcome <= (unsigned) verdict->outcome; outcome++) {
		if (result->reached[outcome] == RUN_NEVER)
			result->reached[outcome] = since(run);
	}
	if (verdict->outcome >= goal && run->verdict.outcome < goal &&
	    !replay_agrees(run->inspector, run->course.stage))
		result->failed = true;
	if (verdict->outcome >= goal || run->verdict.outcome < goal)
		run->verdict = *verdict;
}

static void
grant_profile(struct run *run)
{
	struct scope_space *space = instance_space(stage_instance(run->course.stage));
	struct heap_profile *own = NULL, *foreign = NULL;

	if (heap_profile_take(scope_space_own(space), 0, &own) == 0) {
		(void) heap_profile_take(scope_space_foreign(space), 0, &foreign);
		(void) inspector_profile(run->inspector, own, foreign);
	}
	heap_profile_free(&own);
	heap_profile_free(&foreign);
}

static void
grant_eviction(struct run *run)
{
	struct instance *instance = stage_instance(run->course.stage);
	uint64_t claimed = 0;

	int r = instance_evict(instance, UINT64_MAX, MTLSD_EVICT_STATE, &claimed);
	(void) heap_trim(scope_space_own(instance_space(instance)));
	inspector_evicted(run->inspector, timeline_now(), r, claimed);
}

static void
trace(const struct run *run, const struct signals_sample *sample)
{
	const struct verdict *verdict = inspector_verdict(run->inspector);
	char sentence[256];

	verdict_sentence(verdict, sentence, sizeof(sentence));
	(void) fprintf(stderr, "%8.0f s %8llu requests %10llu B %8llu blocks  %-9s %-14s %-14s %s\n",
		       (double) (timeline_now() - run->course.began) / SECOND, (unsigned long long) run->course.served,
		       (unsigned long long) sample->live_bytes, (unsigned long long) sample->live_objects,
		       verdict_outcome_name(verdict->outcome), verdict_class_name(verdict->class),
		       probe_phase(inspector_probe(run->inspector)), sentence);
}

static void
judge(struct run *run)
{
	uint64_t now = timeline_now();
	struct signals_sample sample = read_sample(run);
	enum inspector_wish wish;

	(void) inspector_sample(run->inspector, now, &sample);
	while ((wish = inspector_step(run->inspector, now, LOAD)) != INSPECTOR_NOTHING) {
		if (wish == INSPECTOR_PROFILE)
			grant_profile(run);
		else
			grant_eviction(run);
	}
	take_verdict(run, inspector_verdict(run->inspector));
	if (run->trace)
		trace(run, &sample);
}

/* On the way of requests, from the daemon's own code. */
static bool
observe(void *ctx, uint64_t now, const struct signals_sample *sample)
{
	return inspector_sample(ctx, now, sample);
}

/* --- the course of things ---------------------------------------------------------------------------------------- */

static void
note_warm_up(struct run *run)
{
	if (run->warm == RUN_NEVER && timeline_now() - run->settled >= run->settings.warm_up_time &&
	    run->course.served - run->settled_at >= run->settings.warm_up_requests)
		run->warm = run->course.served;
}

static void
note_onset(struct run *run)
{
	if (run->onset != RUN_NEVER || !course_past_onset(&run->course))
		return;
	run->onset = run->course.served;
	run->at_onset = read_sample(run).exposure;
}

static void
reloaded(struct run *run)
{
	inspector_restart(run->inspector, timeline_now());
	run->settled = timeline_now();
	run->settled_at = run->course.served;
	run->warm = RUN_NEVER;
}

static void
second(void *ctx)
{
	struct run *run = ctx;

	note_onset(run);
	note_warm_up(run);
	judge(run);
}

static void
note_baseline(struct run *run)
{
	struct signals_sample sample = {0};

	if (run->course.served % BASELINE_EVERY != 0 || run->warm == RUN_NEVER)
		return;
	(void) plugin_glance(stage_plugin(run->course.stage), stage_instance(run->course.stage), timeline_now(),
			     &sample);
	baseline_add(&run->baseline, sample.live_bytes, resident_set(run));
	for (unsigned kind = 0; kind < BASELINE_KINDS; kind++) {
		/* An alarm before the onset is one of a plugin that is well: it is not counted as having found the
		 * leak. */
		if (run->baseline.alarm[kind] == run->baseline.count && run->result->alarm[kind] == RUN_NEVER) {
			if (counts_from(run) == RUN_NEVER)
				run->baseline.alarm[kind] = 0;
			else
				run->result->alarm[kind] = since(run);
		}
	}
}

static bool
is_over(const struct run *run)
{
	const struct label *label = run->order->label;

	if (run->result->reached[VERDICT_CONFIRMED] != RUN_NEVER)
		return true;
	if (run->result->early)
		return true;
	if (label->leaky && run->onset == RUN_NEVER)
		return false;
	/* The bars count from the end of the warm-up. */
	return counts_from(run) != RUN_NEVER && since(run) >= label->requests;
}

static bool
set_up(struct run *run)
{
	const struct run_order *order = run->order;

	if (course_begin(&run->course, order->label, order->plugins, order->shape, order->seed) < 0)
		return false;
	run->course.second = second;
	run->course.ctx = run;
	run->settings = verdict_default_settings();
	const struct inspector_settings inspecting = {
		.verdict = run->settings,
		.probe = probe_default_settings(),
		.has_evict = order->hook,
	};
	if (inspector_new(run->course.began, &inspecting, &run->inspector) < 0)
		return false;
	const struct instance_observer observer = {.observe = observe, .ctx = run->inspector};
	instance_set_observer(stage_instance(run->course.stage), &observer);
	run->settled = run->course.began;
	run->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	note_onset(run);
	return run->statm >= 0;
}

static void
save_record(const struct run *run)
{
	const struct run_order *order = run->order;
	char path[PATH_MAX];

	(void) snprintf(path, sizeof(path), "%s/%s-%s-%s-%llu.record", order->records, order->label->name,
			traffic_shape_name(order->shape), order->hook ? "hook" : "no-hook",
			(unsigned long long) order->seed);
	replay_save(run->inspector, run->course.stage, path);
}

void
run_do(const struct run_order *order, bool trace_it, struct run_result *ret)
{
	struct run run = {.order = order, .result = ret, .warm = RUN_NEVER, .onset = RUN_NEVER, .trace = trace_it};
	struct timespec from, to;

	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i <= VERDICT_CONFIRMED; i++)
		ret->reached[i] = RUN_NEVER;
	for (unsigned i = 0; i < BASELINE_KINDS; i++)
		ret->alarm[i] = RUN_NEVER;
	(void) clock_gettime(CLOCK_MONOTONIC, &from);
	ret->failed = !set_up(&run);
	while (!ret->failed && !is_over(&run)) {
		bool turned = false;
		if (course_request(&run.course, &turned) < 0)
			ret->failed = true;
		note_baseline(&run);
		if (turned)
			reloaded(&run);
	}
	(void) clock_gettime(CLOCK_MONOTONIC, &to);
	ret->took = (double) (to.tv_sec - from.tv_sec) + (double) (to.tv_nsec - from.tv_nsec) / 1e9;
	if (ret->failed)
		return;
	if (order->records != NULL)
		save_record(&run);
	tell_verdict(&run);
	measure_truth(&run);
	struct verdict_probes probes = {0};
	probe_results(inspector_probe(run.inspector), &probes);
	ret->probes = probes.done;
	ret->rejected = probes.rejected;
	ret->requests = run.course.served;
	ret->began = counts_from(&run);
}
