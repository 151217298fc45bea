/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy.h"

#include "units.h"

#include <stdio.h>

enum {
	SECOND = 1000000,
	EVICT_PAUSE_MAX = 60 * SECOND, /* between evictions that give nothing */
	CALM_PERCENT = 95,             /* of a mark: below it the mark counts as left */
};

static bool
is_leak(const struct verdict *verdict)
{
	return verdict->class == VERDICT_NONE || verdict->class == VERDICT_LEAK ||
	       verdict->class == VERDICT_GROWING_BUFFER;
}

static unsigned
actions_of(const struct policy_settings *settings, const struct verdict *verdict)
{
	unsigned actions = 0;

	if (verdict->outcome == VERDICT_SUSPECT)
		actions = settings->on_suspect;
	else if (verdict->outcome == VERDICT_LIKELY)
		actions = settings->on_likely;
	else if (verdict->outcome == VERDICT_CONFIRMED)
		actions = settings->on_confirmed;
	return is_leak(verdict) ? actions : actions & POLICY_LOG;
}

static void
decide_verdict(const struct policy_settings *settings, struct policy *policy, const struct policy_facts *facts,
	       struct policy_decision *decision)
{
	const struct verdict *verdict = facts->verdict;
	enum verdict_outcome outcome = verdict != NULL ? verdict->outcome : VERDICT_WARMING;

	if (outcome <= VERDICT_OK) {
		decision->cleared = policy->done > VERDICT_OK;
		policy->done = outcome;
		policy->wanted = policy->due = 0;
		return;
	}
	if (outcome <= policy->done)
		return;
	decision->rose = true;
	policy->done = outcome;
	unsigned actions = actions_of(settings, verdict);
	decision->actions |= actions & ~(unsigned) POLICY_RESTART;
	if ((actions & POLICY_EVICT) != 0) {
		decision->evict_target = UINT64_MAX;
		decision->evict_level = 2;
	}
	if ((actions & POLICY_RESTART) != 0 && policy->wanted == 0)
		policy->wanted = facts->now + (facts->now == 0);
}

/* --- the restart for a leak -------------------------------------------------------------------------------------- */

static bool
condition_holds(const struct policy_settings *settings, const struct policy_facts *facts)
{
	const struct verdict *verdict = facts->verdict;
	bool asked = settings->time_to_limit != 0 || settings->bytes != 0;
	bool soon = settings->time_to_limit != 0 && verdict != NULL && verdict->seconds_to_limit >= 0 &&
		    verdict->seconds_to_limit * SECOND <= (double) settings->time_to_limit;
	bool much = settings->bytes != 0 && facts->own + facts->foreign >= settings->bytes;

	return !asked || soon || much;
}

static void
say_condition(const struct policy_settings *settings, struct policy_decision *decision)
{
	char time[32], bytes[32];

	units_format_duration(settings->time_to_limit, time, sizeof(time));
	units_format_size(settings->bytes, bytes, sizeof(bytes));
	if (settings->time_to_limit != 0 && settings->bytes != 0)
		snprintf(decision->next, sizeof(decision->next), "restart %s before its limit, or at %s", time, bytes);
	else if (settings->time_to_limit != 0)
		snprintf(decision->next, sizeof(decision->next), "restart %s before its limit", time);
	else
		snprintf(decision->next, sizeof(decision->next), "restart at %s", bytes);
}

/* A restart that may be done is left, or it is said that none is. */
static bool
may_restart(struct policy *policy, const struct policy_facts *facts, struct policy_decision *decision)
{
	char wait[32];

	if (facts->stopped) {
		snprintf(decision->next, sizeof(decision->next),
			 "no restart: the last one took back too little, the leak is elsewhere");
		return false;
	}
	if (facts->has_planned && facts->retry_wait > 0) {
		snprintf(decision->next, sizeof(decision->next), "restart in %s, after one that failed",
			 units_format_duration(facts->retry_wait, wait, sizeof(wait)));
		return false;
	}
	if (facts->has_planned) {
		policy->exhausted = false;
		return true;
	}
	decision->exhausted = !policy->exhausted;
	policy->exhausted = true;
	if (facts->planned_wait == UINT64_MAX)
		snprintf(decision->next, sizeof(decision->next), "no restart: restart.planned allows none");
	else
		snprintf(decision->next, sizeof(decision->next), "restart in %s, when its budget allows one again",
			 units_format_duration(facts->planned_wait, wait, sizeof(wait)));
	return false;
}

static void
decide_wanted(const struct policy_settings *settings, struct policy *policy, const struct policy_facts *facts,
	      struct policy_decision *decision)
{
	char wait[32];

	if (policy->wanted == 0 || (decision->actions & POLICY_RESTART) != 0)
		return;
	if (!may_restart(policy, facts, decision))
		return;
	if (!condition_holds(settings, facts)) {
		policy->due = 0;
		decision->planned = decision->rose;
		say_condition(settings, decision);
		return;
	}
	if (policy->due == 0)
		policy->due = facts->now + (facts->now == 0);
	uint64_t waited = facts->now > policy->due ? facts->now - policy->due : 0;
	bool quiet = !settings->quiet || facts->inflight <= (uint64_t) settings->quiet_inflight;
	if (!quiet && waited < settings->quiet_wait) {
		decision->planned = decision->rose;
		snprintf(decision->next, sizeof(decision->next), "restart at a quiet moment, in %s at the latest",
			 units_format_duration(settings->quiet_wait - waited, wait, sizeof(wait)));
		return;
	}
	decision->actions |= POLICY_RESTART;
	decision->reason = POLICY_LEAK;
	policy->wanted = policy->due = 0;
}

/* --- limits ------------------------------------------------------------------------------------------------------ */

/* Above a mark, or still not calm below it. */
static bool
is_above(uint64_t value, uint64_t mark, bool before)
{
	return value >= (before ? mark / 100 * CALM_PERCENT : mark);
}

static void
decide_ramp(struct policy *policy, const struct policy_facts *facts, uint64_t held, struct policy_decision *decision)
{
	bool above = facts->soft != 0 && is_above(held, facts->soft, policy->above_soft);

	decision->crossed_soft = above && !policy->above_soft;
	policy->above_soft = above;
	if (!above)
		policy->evict_after = policy->evict_pause = 0;
	if (!above || held < facts->soft || !facts->has_evict || facts->now < policy->evict_after ||
	    (decision->actions & POLICY_EVICT) != 0)
		return;
	double ramp =
		facts->hard > facts->soft ? (double) (held - facts->soft) / (double) (facts->hard - facts->soft) : 1;
	if (facts->random >= ramp)
		return;
	decision->actions |= POLICY_EVICT;
	decision->for_limit = true;
	decision->evict_target = held - facts->soft;
	decision->evict_level = ramp < 0.5 ? 1 : 2;
}

static void
decide_near(const struct policy_settings *settings, struct policy *policy, const struct policy_facts *facts,
	    uint64_t held, struct policy_decision *decision)
{
	uint64_t percent = facts->hard / 100;
	bool near = facts->hard != 0 && is_above(held, percent * POLICY_NEAR, policy->near);
	bool full = near && held >= percent * POLICY_STOP;
	/* What may meet a NULL is kept out; libraries are never refused, and need not be waited for. */
	bool stop = near && facts->own >= percent * POLICY_STOP;

	decision->came_near = near && !policy->near;
	policy->near = near;
	policy->holding = policy->holding && full;
	if (!near) {
		policy->evicted_near = false;
		return;
	}
	if (settings->on_limit == POLICY_LIMIT_IGNORE)
		return;
	if (facts->has_evict && !policy->evicted_near) {
		policy->evicted_near = true;
		decision->actions |= POLICY_EVICT;
		decision->for_limit = true;
		decision->evict_target = UINT64_MAX;
		decision->evict_level = 2;
		decision->stop = stop;
		return;
	}
	if (held < percent * POLICY_NEAR)
		return;
	if (may_restart(policy, facts, decision)) {
		decision->actions |= POLICY_RESTART;
		decision->reason = POLICY_NEAR_LIMIT;
		decision->stop = stop;
		policy->wanted = policy->due = 0;
	} else {
		bool fails = held >= facts->hard || (full && facts->refusing);
		policy->holding = settings->on_exhausted == POLICY_EXHAUSTED_BREAKER && (policy->holding || fails);
		decision->hold = policy->holding;
	}
}

void
policy_decide(const struct policy_settings *settings, struct policy *policy, const struct policy_facts *facts,
	      struct policy_decision *ret)
{
	uint64_t held = facts->own + facts->foreign;

	*ret = (struct policy_decision){0};
	decide_verdict(settings, policy, facts, ret);
	decide_near(settings, policy, facts, held, ret);
	decide_ramp(policy, facts, held, ret);
	decide_wanted(settings, policy, facts, ret);
}

void
policy_evicted(struct policy *policy, uint64_t now, uint64_t freed)
{
	if (freed > 0) {
		policy->evict_pause = 0;
		return;
	}
	policy->evict_pause = policy->evict_pause == 0 ? 2 * SECOND : policy->evict_pause * 2;
	if (policy->evict_pause > EVICT_PAUSE_MAX)
		policy->evict_pause = EVICT_PAUSE_MAX;
	policy->evict_after = now + policy->evict_pause;
}

bool
policy_is_elsewhere(uint64_t first, uint64_t held, uint64_t left)
{
	uint64_t taken = held > left ? held - left : 0, grown = held > first ? held - first : 0;

	return (double) taken * 100 < (double) held * POLICY_TAKEN_BACK && (double) taken * 2 < (double) grown;
}
