/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspector.h"

#include "cleanup.h"
#include "heap.h"
#include "record.h"
#include "verdict-internal.h"
#include "walk.h"

#include <errno.h>

enum {
	JUDGE_BLOCKS = 3,     /* new blocks of scale 0 before a verdict is made anew */
	LIMIT_BLOCKS = 64,    /* once it is confirmed: only the time to the limit still changes */
	WALK_REQUESTS = 4096, /* least requests between two walks */
};

struct inspector {
	struct inspector_settings settings;
	struct signals *signals;
	struct signals *before; /* as they were when the probe under way began; NULL: none is */
	struct probe *probe;
	struct walk *newest, *earlier; /* NULL: none; the one before the newest, to compare with */
	bool walk_wanted;
	uint64_t walk_at;       /* exposure of requests from which the next walk is due anyway */
	bool stale;             /* something else than blocks changed since the last verdict */
	uint64_t now;           /* of the last call that told */
	uint64_t judged_blocks; /* of scale 0 */
	struct verdict verdict;
};

/* What a verdict is made of, unpacked for as long as it takes. */
struct evidence {
	struct signals_history history;
	struct verdict_input input;
	struct verdict_site sites[]; /* the newest walk's, then the earlier one's */
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
	signals_free(&(*inspector)->before);
	walk_free(&(*inspector)->newest);
	walk_free(&(*inspector)->earlier);
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

/* NULL: no memory. */
static struct evidence *
inspector_evidence(const struct inspector *inspector)
{
	size_t newest = walk_count(inspector->newest), earlier = walk_count(inspector->earlier);
	struct evidence *evidence = calloc(1, sizeof(*evidence) + (newest + earlier) * sizeof(evidence->sites[0]));

	if (evidence == NULL)
		return NULL;
	signals_history(inspector->before ? inspector->before : inspector->signals, &evidence->history);
	evidence->input = (struct verdict_input){
		.history = &evidence->history,
		.has_evict = inspector->settings.has_evict,
		.hard_limit = inspector->settings.hard_limit,
		.settings = inspector->settings.verdict,
	};
	if (inspector->newest) {
		walk_sites(inspector->newest, evidence->sites);
		evidence->input.sites = evidence->sites;
		evidence->input.site_count = newest;
		evidence->input.epoch = walk_epoch(inspector->newest);
	}
	if (inspector->earlier) {
		walk_sites(inspector->earlier, evidence->sites + newest);
		evidence->input.earlier = evidence->sites + newest;
		evidence->input.earlier_count = earlier;
		evidence->input.earlier_epoch = walk_epoch(inspector->earlier);
	}
	probe_results(inspector->probe, &evidence->input.probes);
	return evidence;
}

static void
inspector_conclude(struct inspector *inspector, const struct evidence *evidence)
{
	/* Evictions tear the floors: until the probe ends, what made it begin stands. */
	if (!evidence->input.probes.running)
		verdict_judge(&evidence->input, &inspector->verdict);
	inspector->judged_blocks = evidence->history.blocks[0];
	inspector->stale = false;
}

static void
inspector_judge(struct inspector *inspector)
{
	struct evidence *evidence = inspector_evidence(inspector);

	/* Without memory the verdict stays; the next step tries again. */
	if (evidence != NULL)
		inspector_conclude(inspector, evidence);
	free(evidence);
}

static void
inspector_forget_walks(struct inspector *inspector)
{
	walk_free(&inspector->newest);
	walk_free(&inspector->earlier);
}

/* What was kept for the time of a probe is of no use after it. */
static void
inspector_release(struct inspector *inspector)
{
	struct verdict_probes probes;

	probe_results(inspector->probe, &probes);
	if (!probes.running)
		signals_free(&inspector->before);
}

/* A walk costs milliseconds for a million blocks: one at a first suspicion, and else the less often the longer it has
 * lived. */
static bool
walk_due(const struct inspector *inspector)
{
	const struct walk *newest = inspector->newest;
	enum verdict_outcome outcome = inspector->verdict.outcome;
	struct signals_sample last;

	signals_last(inspector->signals, &last);
	uint64_t requests = last.exposure.count[SIGNALS_REQUESTS];
	if (outcome == VERDICT_WARMING || outcome == VERDICT_CONFIRMED)
		return false;
	if (signals_bytes(&last) < inspector->settings.verdict.min_growth)
		return false;
	if (outcome >= VERDICT_SUSPECT && newest == NULL)
		return true;
	uint64_t pause = requests / (outcome >= VERDICT_SUSPECT ? 8 : 2);
	return requests >= inspector->walk_at &&
	       (newest == NULL || requests - walk_requests(newest) >= (pause > WALK_REQUESTS ? pause : WALK_REQUESTS));
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
		inspector_forget_walks(inspector);
		inspector_release(inspector);
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
	(void) signals_copy(inspector->signals, &inspector->before);
	return inspector_probe_on(inspector, now);
}

/* The probe hears what of its first interval still lives. */
static int
walk_tell(struct inspector *inspector, const struct signals_sample *last)
{
	struct verdict_site *sites = calloc(walk_count(inspector->newest) + 1, sizeof(*sites));
	double from, to, evicted, sum = 0;

	if (sites == NULL)
		return -ENOMEM;
	walk_sites(inspector->newest, sites);
	probe_ages(inspector->probe, last, &from, &to, &evicted);
	for (size_t i = 0; i < walk_count(inspector->newest); i++)
		sum += verdict_younger(&sites[i], from) - verdict_younger(&sites[i], to);
	free(sites);
	probe_profiled(inspector->probe, sum, evicted);
	return 0;
}

int
inspector_profile(struct inspector *inspector, const struct heap_profile *own, const struct heap_profile *foreign)
{
	struct verdict_probes probes;
	struct signals_sample last;
	struct walk *walk;

	signals_last(inspector->signals, &last);
	int r = walk_new(own, foreign, last.exposure.count[SIGNALS_REQUESTS], &walk);
	if (r < 0)
		return r;
	walk_free(&inspector->earlier);
	inspector->earlier = inspector->newest;
	inspector->newest = walk;
	inspector->walk_wanted = false;
	inspector->walk_at = walk_requests(walk) + WALK_REQUESTS;
	inspector->stale = true;
	probe_results(inspector->probe, &probes);
	if (!probes.running)
		return 0;
	r = walk_tell(inspector, &last);
	probe_results(inspector->probe, &probes);
	if (!probes.confirmed && !probes.running)
		signals_restart(inspector->signals, inspector->now);
	inspector_release(inspector);
	return r;
}

void
inspector_evicted(struct inspector *inspector, uint64_t now, int result, uint64_t claimed)
{
	probe_evicted(inspector->probe, now, result, claimed);
	signals_watch(inspector->signals);
	/* What was torn by evictions of a probe that failed is not to be judged either. */
	if (result < 0)
		signals_restart(inspector->signals, now);
	inspector_release(inspector);
}

void
inspector_restart(struct inspector *inspector, uint64_t now)
{
	signals_restart(inspector->signals, now);
	probe_forget(inspector->probe);
	inspector_release(inspector);
	inspector_forget_walks(inspector);
	inspector->walk_wanted = false;
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
inspector_record(struct inspector *inspector, const char *(*name)(const struct verdict_site *site, void *ctx),
		 void *ctx, char **ret, size_t *ret_length)
{
	struct evidence *evidence = inspector_evidence(inspector);

	if (evidence == NULL)
		return -ENOMEM;
	inspector_conclude(inspector, evidence);
	int r = record_write(&evidence->input, name, ctx, ret, ret_length);
	free(evidence);
	return r;
}
