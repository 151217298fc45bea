/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the overseer does about a plugin: evicts for its probe, tells what is new, and does what the policy decides. */
#include "overseer-internal.h"
#include "units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LEVEL_ALL = 2 }; /* what can be rebuilt; never what guards against replays */

/* --- the breaker ------------------------------------------------------------------------------------------------- */

/* Requests open and close it; what happened since the last look is told in order. */
static void
ward_tell_breaker(const struct sight *sight)
{
	struct overseer *overseer = sight->overseer;
	struct ward *ward = sight->ward;
	struct breaker_view seen;
	char wait[32];

	breaker_view(plugin_breaker(sight->handle), sight->now, &seen);
	if (seen.opened != ward->breaker_opened && !seen.held && !ward->held)
		ward_tell(overseer, ward, EVENT_BREAKER_OPEN, "requests are refused after failures; one is tried in %s",
			  units_format_duration(seen.until > sight->now ? seen.until - sight->now : 0, wait,
						sizeof(wait)));
	if (seen.state == BREAKER_HALF_OPEN && ward->breaker != BREAKER_HALF_OPEN && !seen.held)
		ward_tell(overseer, ward, EVENT_BREAKER_HALF_OPEN, "one request is let in to see");
	if (seen.closed != ward->breaker_closed && seen.state == BREAKER_CLOSED)
		ward_tell(overseer, ward, EVENT_BREAKER_CLOSED, "requests are served again");
	ward->breaker_opened = seen.opened;
	ward->breaker_closed = seen.closed;
	ward->breaker = seen.state;
	pthread_mutex_lock(&overseer->lock);
	snprintf(ward->view.breaker, sizeof(ward->view.breaker), "%s", breaker_state_name(seen.state));
	ward->view.breaker_until = 0;
	if (seen.state == BREAKER_OPEN)
		ward->view.breaker_until = (uint64_t) time(NULL) +
					   (seen.until > sight->now ? seen.until - sight->now : 0) / OVERSEER_SECOND;
	pthread_mutex_unlock(&overseer->lock);
}

static void
ward_hold(const struct sight *sight, const struct policy_decision *decision)
{
	struct breaker *breaker = plugin_breaker(sight->handle);
	struct ward *ward = sight->ward;
	char held[32];

	breaker_stop(breaker, decision->stop);
	if (decision->hold) {
		breaker_hold(breaker, sight->now);
		if (!ward->held)
			ward_tell(
				sight->overseer, ward, EVENT_BREAKER_OPEN,
				"requests are refused but for a trial now and then: it holds %s near its limit, and no "
				"restart is left",
				units_format_size(sight->own + sight->foreign, held, sizeof(held)));
	} else if (ward->held) {
		breaker_let(breaker);
	}
	ward->held = decision->hold;
}

/* --- a decision's deeds ------------------------------------------------------------------------------------------ */

static void
ward_tell_verdict(const struct sight *sight, const struct policy_decision *decision)
{
	struct ward *ward = sight->ward;
	const struct verdict *verdict = &ward->verdict;
	char sentence[sizeof(ward->view.sentence)];
	bool is_other = verdict->class == VERDICT_CACHE_GROWTH || verdict->class == VERDICT_CLIENT_STATE ||
			verdict->class == VERDICT_FRAGMENTATION;
	enum event_kind kind = is_other                                ? EVENT_OTHER
			       : verdict->outcome == VERDICT_CONFIRMED ? EVENT_CONFIRMED
			       : verdict->outcome == VERDICT_LIKELY    ? EVENT_LIKELY
			       : verdict->outcome == VERDICT_SUSPECT   ? EVENT_SUSPECT
								       : EVENT_CLEARED;

	ward_sentence(ward, sentence, sizeof(sentence));
	if (decision->cleared) {
		if (ward->suspected)
			ward_tell(sight->overseer, ward, is_other ? EVENT_OTHER : EVENT_CLEARED,
				  "no longer suspected: %s", sentence);
		ward->suspected = false;
	}
	if (!decision->rose || (decision->actions & POLICY_LOG) == 0)
		return;
	/* Suspicions come and go; proof is told in any case. */
	if (kind != EVENT_CONFIRMED && !ward_is_due(ward, kind, sight->now, OVERSEER_REST))
		return;
	ward->suspected = true;
	ward_tell(sight->overseer, ward, kind, "%s", sentence);
}

static void
ward_tell_limits(const struct sight *sight, const struct policy_decision *decision)
{
	struct ward *ward = sight->ward;
	char held[32], limit[32], own[32], foreign[32];

	if (decision->crossed_soft && ward_is_due(ward, EVENT_SOFT_LIMIT, sight->now, OVERSEER_EVICT_REST))
		ward_tell(sight->overseer, ward, EVENT_SOFT_LIMIT,
			  "holds %s (own %s, foreign %s), more than its soft limit of %s",
			  units_format_size(sight->own + sight->foreign, held, sizeof(held)),
			  units_format_size(sight->own, own, sizeof(own)),
			  units_format_size(sight->foreign, foreign, sizeof(foreign)),
			  units_format_size(sight->plugin->memory_soft, limit, sizeof(limit)));
	if (decision->planned)
		ward_tell(sight->overseer, ward, EVENT_RESTART_PLANNED, "%s", decision->next);
	if (decision->exhausted)
		ward_tell(sight->overseer, ward, EVENT_BUDGET_SPENT, "restarted as often as restart.planned allows; %s",
			  decision->next);
}

static void
ward_evict(const struct sight *sight, const struct policy_decision *decision)
{
	struct ward *ward = sight->ward;
	bool quietly = decision->for_limit && !ward_is_due(ward, EVENT_EVICTED, sight->now, OVERSEER_EVICT_REST) &&
		       !decision->came_near;
	const char *why = !decision->for_limit        ? "for the leak"
			  : ward->policy.evicted_near ? "near its hard limit"
						      : "above its soft limit";

	int64_t freed =
		ward_give_back(sight, decision->evict_target, decision->evict_level, why, decision->for_limit, quietly);
	if (decision->for_limit)
		policy_evicted(&ward->policy, sight->now, freed > 0 ? (uint64_t) freed : 0);
}

static void
ward_do(struct sight *sight, const struct policy_decision *decision)
{
	ward_tell_verdict(sight, decision);
	ward_tell_limits(sight, decision);
	ward_hold(sight, decision);
	if ((decision->actions & POLICY_DUMP) != 0)
		ward_dump(sight);
	if ((decision->actions & POLICY_EVICT) != 0)
		ward_evict(sight, decision);
	if ((decision->actions & POLICY_BREAKER) != 0)
		breaker_trip(plugin_breaker(sight->handle), sight->now);
	if ((decision->actions & POLICY_RESTART) != 0)
		repair_begin(sight, decision->reason);
}

static void
ward_facts(struct sight *sight, struct policy_facts *ret)
{
	const struct config_plugin *plugin = sight->plugin;
	struct ward *ward = sight->ward;

	*ret = (struct policy_facts){
		.now = sight->now,
		.verdict = ward->inspection != NULL ? &ward->verdict : NULL,
		.own = sight->own,
		.foreign = sight->foreign,
		.soft = plugin->memory_soft,
		.hard = plugin->memory_hard,
		.inflight = sight->inflight,
		.refusing = sight->refusing,
		.has_evict = ward->has_evict,
		.stopped = ward->stopped,
		.random = overseer_random(sight->overseer),
	};
	ret->has_planned = budget_has_planned(&ward->budget, &plugin->budget, sight->now, &ret->planned_wait);
	(void) budget_may_retry(&ward->budget, sight->now, &ret->retry_wait);
}

/* Near the limit an eviction is looked at at once: whether it helped decides whether requests may come in. */
static bool
ward_looks_again(struct sight *sight, const struct policy_decision *decision)
{
	struct supervisor_plugin now;

	if (!decision->for_limit || decision->evict_target != UINT64_MAX || (decision->actions & POLICY_RESTART) != 0 ||
	    supervisor_find(sight->overseer->supervisor, sight->ward->name, &now) < 0)
		return false;
	sight->own = now.own.live_bytes;
	sight->foreign = now.foreign.live_bytes;
	return true;
}

static void
ward_decide(struct sight *sight)
{
	struct ward *ward = sight->ward;
	struct policy_decision decision;
	struct policy_facts facts;

	budget_healthy(&ward->budget, &sight->plugin->budget, sight->now);
	do {
		ward_facts(sight, &facts);
		policy_decide(&sight->plugin->policy, &ward->policy, &facts, &decision);
		ward_do(sight, &decision);
	} while (ward_looks_again(sight, &decision));
	pthread_mutex_lock(&sight->overseer->lock);
	if (!atomic_load(&ward->repair.busy))
		snprintf(ward->view.next, sizeof(ward->view.next), "%s", decision.next);
	pthread_mutex_unlock(&sight->overseer->lock);
}

/* --- the probe --------------------------------------------------------------------------------------------------- */

static void
ward_probe(struct sight *sight)
{
	struct ward *ward = sight->ward;
	struct supervisor_eviction eviction = {0};
	struct error why = {0};

	/* Busy: it is being changed; the probe asks again. */
	int r = supervisor_evict(sight->overseer->supervisor, ward->name, UINT64_MAX, LEVEL_ALL, &eviction, &why);
	if (r == -EBUSY)
		return;
	if (r == 0 && !eviction.hook)
		r = -EOPNOTSUPP;
	pthread_mutex_lock(&ward->inspection->work);
	inspector_evicted(ward->inspection->inspector, sight->now, r, eviction.claimed);
	pthread_mutex_unlock(&ward->inspection->work);
}

static bool
is_idle(const char *phase)
{
	return phase[0] == '\0' || strcmp(phase, "idle") == 0;
}

/* The end of a probe comes before what it proved, its beginning after what it is for. */
static void
ward_tell_probe(const struct sight *sight, bool ended)
{
	struct ward *ward = sight->ward;
	char phase[sizeof(ward->phase)];

	pthread_mutex_lock(&ward->inspection->work);
	snprintf(phase, sizeof(phase), "%s", probe_phase(inspector_probe(ward->inspection->inspector)));
	pthread_mutex_unlock(&ward->inspection->work);
	if (ended != is_idle(phase))
		return;
	if (ended && !is_idle(ward->phase))
		ward_tell(sight->overseer, ward, EVENT_PROBE_ENDED, "probe ended: %s",
			  ward->probes.confirmed ? "what grew was not given back" : "it proves no leak");
	else if (!ended && is_idle(ward->phase))
		ward_tell(sight->overseer, ward, EVENT_PROBE_BEGUN,
			  "probed: its caches are emptied, to see what stays");
	snprintf(ward->phase, sizeof(ward->phase), "%s", phase);
}

static void
ward_show(const struct sight *sight)
{
	struct ward *ward = sight->ward;
	char sentence[sizeof(ward->view.sentence)];

	ward_sentence(ward, sentence, sizeof(sentence));
	if (ward->inspection == NULL)
		snprintf(sentence, sizeof(sentence), "%s", sight->serves ? "is not watched" : "serves nothing");
	pthread_mutex_lock(&sight->overseer->lock);
	ward->view.instance = ward->instance;
	ward->view.verdict = ward->verdict;
	ward->view.probes = ward->probes;
	ward->view.stopped = ward->stopped;
	ward->view.judged = (uint64_t) time(NULL);
	snprintf(ward->view.sentence, sizeof(ward->view.sentence), "%s", sentence);
	snprintf(ward->view.probe, sizeof(ward->view.probe), "%s", ward->phase[0] != '\0' ? ward->phase : "idle");
	pthread_mutex_unlock(&sight->overseer->lock);
}

void
ward_act(struct sight *sight)
{
	struct ward *ward = sight->ward;

	ward_tell_breaker(sight);
	if (sight->skipped)
		return;
	if (sight->serves && sight->wants_eviction)
		ward_probe(sight);
	if (sight->serves && ward->inspection != NULL) {
		ward_tell_probe(sight, true);
		ward_name_site(sight);
	}
	ward_show(sight);
	if (sight->serves) {
		ward->failure_counted = false;
		ward->gave_up &= budget_is_spent(&ward->budget);
		ward_decide(sight);
		ward_mend(sight);
		if (ward->inspection != NULL)
			ward_tell_probe(sight, false);
	} else {
		ward_revive(sight);
	}
}

/* --- memory pressure --------------------------------------------------------------------------------------------- */

struct largest {
	struct overseer *overseer;
	uint64_t now, bytes;
	char name[32];
};

static void
compare_size(const struct supervisor_look *seen, void *ctx)
{
	struct largest *largest = ctx;
	const struct ward *ward = overseer_ward(largest->overseer, seen->name);
	struct heap_usage usage;

	if (seen->instance == NULL || instance_descriptor(seen->instance)->evict == NULL || ward == NULL ||
	    (ward->pressed != 0 && largest->now - ward->pressed < OVERSEER_PRESSURE_REST))
		return;
	heap_usage(scope_space_own(instance_space(seen->instance)), &usage);
	if (usage.live_bytes <= largest->bytes)
		return;
	largest->bytes = usage.live_bytes;
	snprintf(largest->name, sizeof(largest->name), "%s", seen->name);
}

void
overseer_relieve(struct overseer *overseer, uint64_t now)
{
	struct largest largest = {.overseer = overseer, .now = now};
	struct supervisor_eviction eviction;
	char before[32], after[32];

	for (size_t i = 0; supervisor_look(overseer->supervisor, i, compare_size, &largest) == 0; i++)
		;
	struct ward *ward = largest.bytes > 0 ? overseer_ward(overseer, largest.name) : NULL;
	if (ward == NULL || atomic_load(&ward->repair.busy))
		return;
	ward->pressed = now;
	if (supervisor_evict(overseer->supervisor, ward->name, UINT64_MAX, LEVEL_ALL, &eviction, NULL) == 0)
		ward_tell(overseer, ward, EVENT_PRESSURE,
			  "memory is short: as the largest that can, it was asked to give back what it holds (%s, now "
			  "%s)",
			  units_format_size(eviction.live_before, before, sizeof(before)),
			  units_format_size(eviction.live_after, after, sizeof(after)));
}
