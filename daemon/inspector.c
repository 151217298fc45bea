/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspector.h"

#include "cleanup.h"
#include "heap.h"
#include "record.h"
#include "verdict-internal.h"

#include <errno.h>
#include <string.h>

enum {
	SITES_KEPT = 64,      /* of a walk: those with the most bytes */
	JUDGE_BLOCKS = 3,     /* new blocks of scale 0 before a verdict is made anew */
	LIMIT_BLOCKS = 64,    /* once it is confirmed: only the time to the limit still changes */
	WALK_REQUESTS = 4096, /* least requests between two walks */
};

/* The sites of one walk. */
struct walk {
	bool taken;
	uint32_t epoch;
	uint64_t requests; /* exposure then */
	size_t count;
	struct verdict_site sites[SITES_KEPT];
};

struct inspector {
	struct inspector_settings settings;
	struct signals *signals;
	struct probe *probe;
	struct walk walk[3]; /* a ring */
	unsigned newest;
	unsigned earlier; /* index of the walk to compare with */
	bool has_earlier;
	bool walk_wanted;
	uint64_t walk_at;               /* exposure of requests from which the next walk is due anyway */
	bool stale;                     /* something else than blocks changed since the last verdict */
	uint64_t now;                   /* of the last call that told */
	uint64_t judged_blocks;         /* of scale 0 */
	struct signals_history history; /* what the last verdict was made of */
	struct verdict verdict;
};

int
inspector_new(uint64_t now, const struct inspector_settings *settings, struct inspector **ret)
{
	struct inspector *inspector = calloc(1, sizeof(*inspector));

	if (inspector == NULL)
		return -ENOMEM;
	inspector->settings = *settings;
	inspector->now = now;
	inspector->verdict.seconds_to_limit = -1;
	if (signals_new(now, &inspector->signals) < 0 || probe_new(&inspector->probe) < 0) {
		inspector_free(&inspector);
		return -ENOMEM;
	}
	*ret = inspector;
	return 0;
}

void
inspector_free(struct inspector **inspector)
{
	if (*inspector == NULL)
		return;
	signals_free(&(*inspector)->signals);
	probe_free(&(*inspector)->probe);
	free(*inspector);
	*inspector = NULL;
}

void
inspector_set(struct inspector *inspector, const struct inspector_settings *settings)
{
	inspector->settings = *settings;
	inspector->stale = true;
}

bool
inspector_sample(struct inspector *inspector, uint64_t now, const struct signals_sample *sample)
{
	return signals_sample(inspector->signals, now, sample);
}

static void
inspector_input(const struct inspector *inspector, struct verdict_input *ret)
{
	const struct walk *newest = &inspector->walk[inspector->newest],
			  *earlier = &inspector->walk[inspector->earlier];

	*ret = (struct verdict_input){
		.history = &inspector->history,
		.has_evict = inspector->settings.has_evict,
		.hard_limit = inspector->settings.hard_limit,
		.settings = inspector->settings.verdict,
	};
	if (newest->taken) {
		ret->sites = newest->sites;
		ret->site_count = newest->count;
		ret->epoch = newest->epoch;
	}
	if (newest->taken && inspector->has_earlier) {
		ret->earlier = earlier->sites;
		ret->earlier_count = earlier->count;
		ret->earlier_epoch = earlier->epoch;
	}
	probe_results(inspector->probe, &ret->probes);
}

static void
inspector_judge(struct inspector *inspector)
{
	struct verdict_input input;

	signals_history(inspector->signals, &inspector->history);
	inspector_input(inspector, &input);
	/* Evictions tear the floors: until the probe ends, what made it begin stands. */
	if (!input.probes.running)
		verdict_judge(&input, &inspector->verdict);
	inspector->judged_blocks = inspector->history.blocks[0];
	inspector->stale = false;
}

/* A walk costs milliseconds for a million blocks: one at a first suspicion, and else the less often the longer it has
 * lived. */
static bool
walk_due(const struct inspector *inspector)
{
	const struct walk *newest = &inspector->walk[inspector->newest];
	uint64_t requests = inspector->history.last.exposure.count[SIGNALS_REQUESTS];

	if (inspector->verdict.outcome == VERDICT_WARMING || inspector->verdict.outcome == VERDICT_CONFIRMED)
		return false;
	if (signals_bytes(&inspector->history.last) < inspector->settings.verdict.min_growth)
		return false;
	if (inspector->verdict.outcome >= VERDICT_SUSPECT && !newest->taken)
		return true;
	uint64_t pause = requests / (inspector->verdict.outcome >= VERDICT_SUSPECT ? 8 : 2);
	return requests >= inspector->walk_at &&
	       (!newest->taken || requests - newest->requests >= (pause > WALK_REQUESTS ? pause : WALK_REQUESTS));
}

static enum inspector_wish
inspector_probe_on(struct inspector *inspector, uint64_t now)
{
	struct signals_sample last;
	struct signals_watch watch;

	signals_last(inspector->signals, &last);
	signals_watched(inspector->signals, &watch);
	switch (probe_step(inspector->probe, now, &last, &watch)) {
	case PROBE_EVICT:
		return INSPECTOR_EVICT;
	case PROBE_PROFILE:
		return INSPECTOR_PROFILE;
	case PROBE_DONE:
		/* It ended without a confirmation: what it tore is not to be judged. */
		signals_restart(inspector->signals, now);
		inspector->walk[inspector->newest].taken = inspector->has_earlier = false;
		inspector_judge(inspector);
		return INSPECTOR_NOTHING;
	case PROBE_IDLE:
	case PROBE_WAIT:
		break;
	}
	return INSPECTOR_NOTHING;
}

/* A cache that was found by probe before may begin to leak: it is asked again, ever more rarely. */
static bool
probe_worth(const struct inspector *inspector, const struct verdict_probes *probes)
{
	const struct verdict *verdict = &inspector->verdict;

	if (!inspector->settings.has_evict || verdict->class == VERDICT_FRAGMENTATION)
		return false;
	return verdict->outcome == VERDICT_LIKELY || (verdict->outcome == VERDICT_SUSPECT && probes->rejected > 0);
}

enum inspector_wish
inspector_step(struct inspector *inspector, uint64_t now, double load)
{
	struct verdict_probes probes;
	struct signals_sample last;

	inspector->now = now;
	probe_results(inspector->probe, &probes);
	if (probes.running)
		return inspector_probe_on(inspector, now);
	if (inspector->walk_wanted)
		return INSPECTOR_PROFILE;
	/* After a restart of the signals there are fewer. */
	uint64_t blocks = signals_blocks(inspector->signals);
	uint64_t least = probes.confirmed ? LIMIT_BLOCKS : JUDGE_BLOCKS;
	if (!inspector->stale && blocks >= inspector->judged_blocks && blocks - inspector->judged_blocks < least)
		return INSPECTOR_NOTHING;
	inspector_judge(inspector);
	if (walk_due(inspector)) {
		inspector->walk_wanted = true;
		return INSPECTOR_PROFILE;
	}
	if (!probe_worth(inspector, &probes))
		return INSPECTOR_NOTHING;
	signals_last(inspector->signals, &last);
	if (probe_begin(inspector->probe, now, &inspector->settings.probe, &inspector->verdict, &last, load, NULL) < 0)
		return INSPECTOR_NOTHING;
	return inspector_probe_on(inspector, now);
}

static void
walk_add(struct walk *walk, const struct heap_profile *profile, bool foreign)
{
	for (size_t i = 0; i < profile->count && walk->count < SITES_KEPT; i++) {
		const struct heap_site_usage *usage = &profile->sites[i];
		if (usage->arena)
			continue;
		struct verdict_site *site = &walk->sites[walk->count++];
		*site = (struct verdict_site){
			.site = usage->site, .foreign = foreign, .bytes = usage->bytes, .objects = usage->objects};
		memcpy(site->age_bytes, usage->age_bytes, sizeof(site->age_bytes));
	}
}

/* The one to compare with: not too near, since rare leaks need many requests to show. */
static void
walk_keep(struct inspector *inspector)
{
	const struct walk *newest = &inspector->walk[inspector->newest];
	unsigned next = (inspector->newest + 1) % ARRAY_LENGTH(inspector->walk);

	if (newest->taken) {
		if (inspector->has_earlier && next == inspector->earlier)
			next = (next + 1) % ARRAY_LENGTH(inspector->walk);
		inspector->earlier = inspector->newest;
		inspector->has_earlier = true;
		inspector->newest = next;
	}
}

/* The probe hears what of its first interval still lives. */
static void
walk_tell(struct inspector *inspector, const struct walk *walk, const struct signals_sample *last)
{
	double from, to, evicted, sum = 0;

	probe_ages(inspector->probe, last, &from, &to, &evicted);
	for (size_t i = 0; i < walk->count; i++)
		sum += verdict_younger(&walk->sites[i], from) - verdict_younger(&walk->sites[i], to);
	probe_profiled(inspector->probe, sum, evicted);
}

int
inspector_profile(struct inspector *inspector, const struct heap_profile *own, const struct heap_profile *foreign)
{
	struct verdict_probes probes;
	struct signals_sample last;

	signals_last(inspector->signals, &last);
	walk_keep(inspector);
	struct walk *walk = &inspector->walk[inspector->newest];
	walk->taken = true;
	walk->count = 0;
	walk->epoch = own->epoch;
	walk->requests = last.exposure.count[SIGNALS_REQUESTS];
	/* Half the room at least is the own heap's, whatever a library holds. */
	struct heap_profile some = foreign ? *foreign : (struct heap_profile){0};
	if (some.count > SITES_KEPT / 2)
		some.count = SITES_KEPT / 2;
	walk_add(walk, &some, true);
	walk_add(walk, own, false);
	inspector->walk_wanted = false;
	inspector->walk_at = walk->requests + WALK_REQUESTS;
	inspector->stale = true;
	probe_results(inspector->probe, &probes);
	if (!probes.running)
		return 0;
	walk_tell(inspector, walk, &last);
	probe_results(inspector->probe, &probes);
	if (!probes.confirmed && !probes.running)
		signals_restart(inspector->signals, inspector->now);
	return 0;
}

void
inspector_evicted(struct inspector *inspector, uint64_t now, int result, uint64_t claimed)
{
	probe_evicted(inspector->probe, now, result, claimed);
	signals_watch(inspector->signals);
	/* What was torn by evictions of a probe that failed is not to be judged either. */
	if (result < 0)
		signals_restart(inspector->signals, now);
}

void
inspector_restart(struct inspector *inspector, uint64_t now)
{
	signals_restart(inspector->signals, now);
	probe_forget(inspector->probe);
	inspector->walk[inspector->newest].taken = inspector->has_earlier = inspector->walk_wanted = false;
	inspector->walk_at = 0;
	inspector_judge(inspector);
}

const struct verdict *
inspector_verdict(const struct inspector *inspector)
{
	return &inspector->verdict;
}

const struct probe *
inspector_probe(const struct inspector *inspector)
{
	return inspector->probe;
}

const struct signals *
inspector_signals(const struct inspector *inspector)
{
	return inspector->signals;
}

int
inspector_record(const struct inspector *inspector, const char *(*name)(const struct verdict_site *site, void *ctx),
		 void *ctx, char **ret, size_t *ret_length)
{
	struct verdict_input input;

	inspector_input(inspector, &input);
	return record_write(&input, name, ctx, ret, ret_length);
}
