/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Restarts by the overseer: for a leak, near a limit, and of what failed to start; on threads of their own. */
#include "overseer-internal.h"
#include "units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void
repair_push(const struct sight *sight)
{
	struct repair *repair = &sight->ward->repair;

	if (atomic_load(&sight->overseer->stopped))
		return;
	repair->now = sight->now;
	repair->instance = sight->ward->instance;
	repair->config = config_ref(sight->config);
	repair->plugin = sight->plugin;
	pthread_mutex_lock(&sight->overseer->lock);
	snprintf(sight->ward->view.next, sizeof(sight->ward->view.next), "being replaced");
	pthread_mutex_unlock(&sight->overseer->lock);
	atomic_store(&repair->busy, true);
	pool_push(sight->overseer->repairs, &repair->job);
}

void
repair_begin(const struct sight *sight, enum policy_reason reason)
{
	struct ward *ward = sight->ward;
	struct repair *repair = &ward->repair;

	repair->kind = REPAIR_PLANNED;
	repair->reason = reason;
	repair->first = reason == POLICY_LEAK ? ward->first_held : 0;
	repair->own = sight->own;
	repair->held = sight->own + sight->foreign;
	repair_push(sight);
}

static void
tell_spent(struct overseer *overseer, struct ward *ward, const struct config_plugin *plugin)
{
	if (!budget_is_spent(&ward->budget) || ward->gave_up)
		return;
	ward->gave_up = true;
	ward_tell(overseer, ward, EVENT_BUDGET_SPENT, "failed as often as restart.burst allows; %s",
		  plugin->policy.on_exhausted == POLICY_EXHAUSTED_STAY ? "it is left alone until somebody restarts it"
								       : "it is tried again each restart.backoff.max");
}

/* What to wait for after one more failure. */
static void
count_failure(struct overseer *overseer, struct ward *ward, const struct config_plugin *plugin, uint64_t now,
	      const char *what, const char *why)
{
	uint64_t wait = 0;
	char time[32];

	budget_failed(&ward->budget, &plugin->budget, now, overseer_random(overseer));
	(void) budget_may_retry(&ward->budget, now, &wait);
	ward_tell(overseer, ward, EVENT_RESTART_FAILED, "%s: %s; the next try comes in %s", what, why,
		  units_format_duration(wait, time, sizeof(time)));
	tell_spent(overseer, ward, plugin);
}

/* --- what serves ------------------------------------------------------------------------------------------------- */

static void
judge_restart(const struct repair *repair, const struct supervisor_restart *report)
{
	struct overseer *overseer = repair->overseer;
	struct ward *ward = repair->ward;
	struct supervisor_plugin now = {0};
	char taken_text[32], held_text[32], own_text[32], foreign_text[32];

	if (supervisor_find(overseer->supervisor, ward->name, &now) < 0)
		return;
	/* A zombie's memory is not taken back. */
	uint64_t left = now.own.live_bytes + now.foreign.live_bytes + (report->zombie ? repair->own : 0);
	uint64_t taken = repair->held > left ? repair->held - left : 0;
	units_format_size(taken, taken_text, sizeof(taken_text));
	units_format_size(repair->held, held_text, sizeof(held_text));
	ward_tell(overseer, ward, EVENT_RESTARTED,
		  "instance %" PRIu64 " replaced by %" PRIu64 " %s: %s of %s taken back; %" PRIu64
		  " requests ended in the old one, %" PRIu64 " were cancelled",
		  report->old_instance, report->new_instance,
		  repair->reason == POLICY_LEAK ? "for its leak" : "near its hard limit", taken_text, held_text,
		  report->drained, report->cancelled);
	if (!policy_is_elsewhere(repair->first, repair->held, left))
		return;
	ward->stopped = true;
	units_format_size(now.own.live_bytes, own_text, sizeof(own_text));
	units_format_size(now.foreign.live_bytes, foreign_text, sizeof(foreign_text));
	double percent = repair->held > 0 ? 100 * (double) taken / (double) repair->held : 0;
	if (report->zombie)
		ward_tell(overseer, ward, EVENT_LOOP_STOPPED,
			  "the restart took back %.0f %% of %s, as the old instance could not be ended: %s; it is not "
			  "restarted for this any more",
			  percent, held_text, report->zombie_reason);
	else if (now.foreign.live_bytes >= now.own.live_bytes)
		ward_tell(overseer, ward, EVENT_LOOP_STOPPED,
			  "the restart took back %.0f %% of %s: %s are foreign, held by libraries on its behalf, and "
			  "outlive instances; it is not restarted for this any more; see: mtlsctl dump %s",
			  percent, held_text, foreign_text, ward->name);
	else
		ward_tell(overseer, ward, EVENT_LOOP_STOPPED,
			  "the restart took back %.0f %% of %s: the new instance holds %s already; it is not restarted "
			  "for this any more; see: mtlsctl dump %s",
			  percent, held_text, own_text, ward->name);
}

static void
repair_replace(const struct repair *repair)
{
	struct ward *ward = repair->ward;
	struct supervisor_restart report = {0};
	struct error why = {0};

	int r = supervisor_replace(repair->overseer->supervisor, ward->name, repair->instance, SUPERVISOR_LEAK, &report,
				   &why);
	if (r == 0) {
		budget_planned(&ward->budget, repair->now);
		ward->replaced_by = report.new_instance;
		judge_restart(repair, &report);
	}
	if (r < 0 && r != -EBUSY && r != -ESTALE && r != -ENOLINK && r != -ENOENT)
		count_failure(repair->overseer, ward, repair->plugin, repair->now, "not replaced", why.text);
	/* It is wanted as before, unless an operator was quicker. */
	if (r < 0 && repair->reason == POLICY_LEAK)
		ward->policy.wanted = repair->now;
}

/* --- what does not ----------------------------------------------------------------------------------------------- */

static void
repair_start(const struct repair *repair)
{
	struct overseer *overseer = repair->overseer;
	struct ward *ward = repair->ward;
	struct supervisor_restart report = {0};
	struct error why = {0};

	int r = supervisor_replace(overseer->supervisor, ward->name, 0, SUPERVISOR_CRASH, &report, &why);
	if (r == 0)
		ward_tell(overseer, ward, EVENT_RESTARTED, "instance %" PRIu64 " serves after %u failures",
			  report.new_instance, ward->budget.in_a_row);
	else if (r != -EBUSY && r != -ENOLINK && r != -ENOENT)
		count_failure(overseer, ward, repair->plugin, repair->now, "not started", why.text);
}

/* --- what frees what it must not --------------------------------------------------------------------------------- */

static void
repair_mend(const struct repair *repair)
{
	struct overseer *overseer = repair->overseer;
	struct ward *ward = repair->ward;
	struct supervisor_restart report = {0};
	struct error why = {0};

	int r = supervisor_replace(overseer->supervisor, ward->name, repair->instance, SUPERVISOR_CRASH, &report, &why);
	if (r == -EBUSY || r == -ESTALE || r == -ENOLINK || r == -ENOENT)
		return; /* whoever was quicker may have replaced it: the next step looks again */
	if (r < 0) {
		count_failure(overseer, ward, repair->plugin, repair->now, "not replaced after bad frees", why.text);
		return;
	}
	budget_failed(&ward->budget, &repair->plugin->budget, repair->now, overseer_random(overseer));
	ward->replaced_by = report.new_instance;
	ward_tell(overseer, ward, EVENT_RESTARTED, "replaced after bad frees: instance %" PRIu64 " by %" PRIu64,
		  report.old_instance, report.new_instance);
	tell_spent(overseer, ward, repair->plugin);
}

/* --- what is asked for ------------------------------------------------------------------------------------------- */

static void
show_next(const struct sight *sight, const char *next)
{
	struct ward *ward = sight->ward;

	pthread_mutex_lock(&sight->overseer->lock);
	snprintf(ward->view.next, sizeof(ward->view.next), "%s", next);
	pthread_mutex_unlock(&sight->overseer->lock);
}

void
ward_revive(struct sight *sight)
{
	struct ward *ward = sight->ward;
	const struct config_plugin *plugin = sight->plugin;
	char next[sizeof(ward->view.next)] = "", time[32];
	uint64_t wait = 0;

	if (sight->state != SUPERVISOR_FAILED || !sight->enabled)
		return;
	if (!ward->failure_counted) {
		ward->failure_counted = true;
		count_failure(sight->overseer, ward, plugin, sight->now, "not started", sight->last_error);
	}
	if (budget_is_spent(&ward->budget) && plugin->policy.on_exhausted == POLICY_EXHAUSTED_STAY) {
		snprintf(next, sizeof(next), "no new try: restart.on_exhausted says stay");
	} else if (!budget_may_retry(&ward->budget, sight->now, &wait)) {
		snprintf(next, sizeof(next), "a new try in %s", units_format_duration(wait, time, sizeof(time)));
	} else {
		ward->repair.kind = REPAIR_START;
		repair_push(sight);
		return;
	}
	show_next(sight, next);
}

/* Bad frees are failures, and replacements for them are bounded as other tries are. */
void
ward_mend(struct sight *sight)
{
	struct ward *ward = sight->ward;
	char next[sizeof(ward->view.next)], time[32];
	uint64_t wait = 0;

	if (!sight->faulty || !sight->enabled || atomic_load(&ward->repair.busy))
		return;
	if (budget_is_spent(&ward->budget) && sight->plugin->policy.on_exhausted == POLICY_EXHAUSTED_STAY) {
		show_next(sight, "not replaced after bad frees: restart.on_exhausted says stay");
	} else if (!budget_may_retry(&ward->budget, sight->now, &wait)) {
		snprintf(next, sizeof(next), "replaced after bad frees in %s",
			 units_format_duration(wait, time, sizeof(time)));
		show_next(sight, next);
	} else {
		ward->repair.kind = REPAIR_FAULTS;
		repair_push(sight);
	}
}

void
repair_work(struct pool_job *job)
{
	struct repair *repair = CONTAINER_OF(job, struct repair, job);
	struct config *config = repair->config;

	if (atomic_load(&repair->overseer->stopped))
		;
	else if (repair->kind == REPAIR_START)
		repair_start(repair);
	else if (repair->kind == REPAIR_FAULTS)
		repair_mend(repair);
	else
		repair_replace(repair);
	repair->config = NULL;
	config_unref(&config);
	overseer_end(repair->overseer, &repair->busy);
}
