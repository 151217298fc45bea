/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verdict-sites.c - who leaks: call sites whose bytes do not thin out with age. */
#include "verdict-internal.h"

#include "cleanup.h"

#include <math.h>

enum {
	YOUNG = 64, /* requests: what is younger may belong to those being served */
};

double
verdict_younger(const struct verdict_site *site, double requests)
{
	double sum = 0;

	for (unsigned k = 0; k < VERDICT_COHORTS; k++) {
		double from = k == 0 ? 0 : (double) (UINT64_C(1) << (k - 1)), to = (double) (UINT64_C(1) << k),
		       bytes = (double) site->age_bytes[k];
		if (from >= requests)
			break;
		sum += to <= requests ? bytes : bytes * (requests - from) / (to - from);
	}
	return sum;
}

/* Bytes a request of the ages between. */
static double
site_density(const struct verdict_site *site, double from, double to)
{
	return to > from ? (verdict_younger(site, to) - verdict_younger(site, from)) / (to - from) : 0;
}

/* Bytes a request at which a site has grown through all its life: the least of its oldest octaves, if they are about
 * equal; 0: older cohorts are thinner, or the young are: a cache that turns over, or one that filled long ago. */
static double
site_plateau(const struct verdict_site *site, double life)
{
	double least = INFINITY, most = 0, to = exp2(floor(log2(life)));

	for (unsigned octave = 0; octave < (unsigned) verdict_thresholds.octaves; octave++, to /= 2) {
		double density = site_density(site, to / 2, to);
		least = density < least ? density : least;
		most = density > most ? density : most;
	}
	return least >= verdict_thresholds.thinning * most ? least : 0;
}

static const struct verdict_site *
site_find(const struct verdict_site *sites, size_t count, const struct verdict_site *like)
{
	for (size_t i = 0; i < count; i++)
		if (sites[i].site == like->site && sites[i].foreign == like->foreign)
			return &sites[i];
	return NULL;
}

/* Bytes a request by which a site has grown since the walk before, less where its old blocks died: a cache that turns
 * over has births like a leak, but deaths as well. */
static double
site_growth(const struct verdict_site *site, const struct verdict_site *before, double span)
{
	double was = before ? (double) before->bytes : 0, grown = (double) site->bytes - was;
	double born = verdict_younger(site, span), old = (double) site->bytes - born;
	double survival = was > 0 && old < was ? old / was : 1;

	if (grown <= 0)
		return 0;
	return fmin(grown, born > 0 ? born : grown) / span * survival * survival;
}

static double
site_rate(const struct verdict_input *input, const struct verdict_site *site, bool buffer, double window)
{
	const struct verdict_probes *probes = &input->probes;
	double span = input->earlier ? (double) (uint32_t) (input->epoch - input->earlier_epoch) : 0;

	if (buffer)
		return site->objects < VERDICT_FEW
			       ? (double) site->bytes /
					 ((double) input->history->last.exposure.count[SIGNALS_REQUESTS] + 1)
			       : 0;
	/* What is older than the last eviction outlived it; caches fill again since. Ages are known by octaves. */
	if (probes->confirmed && probes->interval_requests > YOUNG) {
		double from = YOUNG, to = (double) probes->interval_requests;
		while (from < (double) probes->walk_age && from < to / 4)
			from *= 2;
		return site_density(site, from, to);
	}
	if (span > YOUNG)
		return site_growth(site, site_find(input->earlier, input->earlier_count, site), span);
	return window > YOUNG ? site_density(site, YOUNG, window) : 0;
}

static void
rank_insert(struct verdict *ret, const struct verdict_site *site, double rate)
{
	unsigned at = ret->site_count;

	while (at > 0 && ret->site_rates[at - 1] < rate)
		at--;
	if (at == VERDICT_SITES)
		return;
	if (ret->site_count < VERDICT_SITES)
		ret->site_count++;
	for (unsigned i = ret->site_count - 1; i > at; i--) {
		ret->sites[i] = ret->sites[i - 1];
		ret->site_rates[i] = ret->site_rates[i - 1];
	}
	ret->sites[at] = (struct verdict_suspect){
		.site = site->site, .foreign = site->foreign, .bytes = site->bytes, .objects = site->objects};
	ret->site_rates[at] = rate;
}

/* The plateau of a site, if it comes to anything. */
static double
site_steady(const struct verdict_input *input, const struct verdict_site *site)
{
	double life = (double) input->history->last.exposure.count[SIGNALS_REQUESTS];
	double span =
		(double) verdict_thresholds.cohort_span + (input->has_evict ? 0 : verdict_thresholds.alone_requests);
	double plateau = life >= span ? site_plateau(site, life) : 0;

	return plateau * life >= (double) input->settings.min_growth && plateau >= input->settings.min_rate / 4
		       ? plateau
		       : 0;
}

double
verdict_rank(const struct verdict_input *input, bool buffer, struct verdict *ret)
{
	double steady = 0, foreign = 0, sum = 0;

	ret->site_count = 0;
	for (size_t i = 0; i < input->site_count && !buffer; i++)
		steady += site_steady(input, &input->sites[i]);
	/* Of one walk alone, what turns over looks like what stays. */
	bool steady_only = steady >= input->settings.min_rate && !input->earlier && !input->probes.confirmed;
	for (size_t i = 0; i < input->site_count; i++) {
		const struct verdict_site *site = &input->sites[i];
		double plateau = buffer ? 0 : site_steady(input, site);
		double rate = steady_only ? 0 : site_rate(input, site, buffer, (double) ret->window_requests);
		if (rate < plateau && !input->probes.confirmed)
			rate = plateau;
		if (rate <= 0)
			continue;
		rank_insert(ret, site, rate);
		sum += rate;
		foreign += site->foreign ? rate : 0;
	}
	if (sum > 0)
		ret->foreign = foreign > sum / 2;
	return steady;
}
