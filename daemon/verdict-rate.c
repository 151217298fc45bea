/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verdict-rate.c - how fast, with its interval, and how long until the limit. */
#include "verdict-internal.h"

#include "cleanup.h"
#include "trend.h"

#include <math.h>

/* Rate on the axis that explains the growth, from the floors the verdict was judged on. */
void
verdict_rate_floors(struct verdict *ret, const struct verdict_look *look)
{
	double x[SIGNALS_BLOCKS], y[SIGNALS_BLOCKS];
	struct trend_line line;

	ret->per_request = look->per_request;
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++) {
		x[i] = verdict_served(&look->blocks[0].exposure, &look->blocks[i].exposure, ret->axis);
		y[i] = (double) look->blocks[i].floor - (double) look->blocks[0].floor;
	}
	if (trend_slope(SIGNALS_BLOCKS, x, y, &line) < 0 || line.slope <= 0)
		return;
	ret->rate = line.slope;
	ret->rate_low = fmax(line.low, 0);
	ret->rate_high = line.high;
}

/* Rate from the cohorts, where the floors are masked: what survives, by what caused it. */
void
verdict_rate_cohorts(const struct verdict_input *input, struct verdict *ret, double per_request)
{
	const struct signals_exposure none = {{0}}, *all = &input->history->last.exposure;
	double units = verdict_served(&none, all, ret->axis);

	ret->per_request = per_request;
	ret->rate = units > 0 ? per_request * (double) all->count[SIGNALS_REQUESTS] / units : per_request;
	/* The octaves it was taken from differ by no more than that. */
	ret->rate_low = ret->rate * verdict_thresholds.thinning;
	ret->rate_high = ret->rate / verdict_thresholds.thinning;
}

void
verdict_rate_probe(const struct verdict_probes *probes, struct verdict *ret)
{
	const struct signals_exposure none = {{0}};
	double first = verdict_served(&none, &probes->first, ret->axis);
	double second = verdict_served(&none, &probes->second, ret->axis);
	double sum = (double) probes->residual_first + (double) probes->residual_second;

	ret->per_request = probes->rate;
	ret->grown = verdict_whole(sum);
	ret->window_requests = probes->interval_requests;
	ret->window_seconds = verdict_served(&none, &probes->first, SIGNALS_SECONDS) +
			      verdict_served(&none, &probes->second, SIGNALS_SECONDS);
	if (first <= 0 || second <= 0) {
		ret->axis = SIGNALS_REQUESTS;
		ret->separable = false;
		first = (double) probes->first.count[SIGNALS_REQUESTS];
		second = (double) probes->second.count[SIGNALS_REQUESTS];
		if (first <= 0 || second <= 0)
			return;
	}
	ret->rate = sum / (first + second);
	/* As far as the intervals differ, or as a count of so many events may vary. */
	double differ = fabs((double) probes->residual_first / first - (double) probes->residual_second / second) / 2;
	double counted =
		probes->objects_grown >= VERDICT_FEW ? 1.96 * ret->rate / sqrt((double) probes->objects_grown) : 0;
	double reach = fmax(differ, counted);
	ret->rate_low = fmax(ret->rate - reach, 0);
	ret->rate_high = ret->rate + reach;
}

void
verdict_limit(const struct verdict_input *input, struct verdict *ret)
{
	const struct signals_sample *last = &input->history->last;
	double lives = (double) (ret->foreign ? last->foreign_bytes : last->live_bytes);
	double speed = ret->window_seconds > 0 ? (double) ret->grown / ret->window_seconds : 0;

	ret->seconds_to_limit = -1;
	if (input->hard_limit == 0 || ret->outcome < VERDICT_SUSPECT || speed <= 0 ||
	    ret->class == VERDICT_FRAGMENTATION)
		return;
	ret->seconds_to_limit = fmax((double) input->hard_limit - lives, 0) / speed;
}
