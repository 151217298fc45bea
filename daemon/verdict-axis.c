/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verdict-axis.c - which exposure explains the growth, and whether the traffic allows to tell. */
#include "verdict-internal.h"

#include "cleanup.h"
#include "trend.h"

#include <math.h>

enum {
	LEAST_POINTS = 32, /* four, as dependent as they are */
	BELOW = 3,         /* scales */
	ROUNDING = 64,     /* bytes squared a block: size classes make steps where causes are smooth */
};

static const double PRECISION = 1e-6; /* share of the squares: moments.h */

/* Where the traffic does not tell them apart, the earlier is named. */
static const enum signals_axis usual_order[SIGNALS_AXES] = {
	SIGNALS_REQUESTS, SIGNALS_SECONDS, SIGNALS_CONNECTIONS, SIGNALS_HANDSHAKES, SIGNALS_CLIENTS, SIGNALS_ERRORS,
};

/* What may be left where nothing is: by size classes, and by the sums' own precision. */
static double
rounding_of(const struct signals_moments *moments)
{
	return ROUNDING * (double) moments->count + PRECISION * moments->yy;
}

/* The sum of squares that the axes of the mask leave unexplained. */
static double
axis_fit(const struct signals_moments *moments, unsigned mask, double *ret)
{
	double gram[SIGNALS_AXES * SIGNALS_AXES] = {0}, product[SIGNALS_AXES] = {0}, rest = moments->yy;

	for (unsigned a = 0; a < SIGNALS_AXES; a++) {
		if (!(mask & 1U << a))
			continue;
		product[a] = moments->xy[a];
		for (unsigned b = 0; b < SIGNALS_AXES; b++)
			if (mask & 1U << b)
				gram[a * SIGNALS_AXES + b] = a <= b ? moments->xx[a][b] : moments->xx[b][a];
	}
	(void) trend_nonnegative(SIGNALS_AXES, gram, product, moments->yy, ret, &rest);
	return rest + rounding_of(moments);
}

/* Those of a few scales below: a hundred blocks for the twelve blocks that were looked at. Not every scale has some. */
static const struct signals_moments *
moments_of(const struct signals_history *history, unsigned scale)
{
	unsigned finer = scale > BELOW ? scale - BELOW : 0;

	if (finer >= SIGNALS_MOMENT_SCALES)
		finer = SIGNALS_MOMENT_SCALES - 1;
	while (finer > 0 && history->moments[finer].count == 0)
		finer--;
	return &history->moments[finer];
}

void
verdict_explain(const struct signals_history *history, unsigned scale, struct verdict_cause *ret)
{
	const struct signals_moments *moments = moments_of(history, scale);
	const unsigned all = (1U << SIGNALS_AXES) - 1;
	double rates[SIGNALS_AXES], single[SIGNALS_AXES], unused[SIGNALS_AXES], best = INFINITY, share = -1;
	double n = (double) moments->count / verdict_thresholds.dependent;

	*ret = (struct verdict_cause){.axis = SIGNALS_REQUESTS, .rest = 1};
	if (moments->count < LEAST_POINTS || moments->yy <= 0)
		return;
	double rest = axis_fit(moments, all, rates);
	/* What each contributes to the growth: its rate by how much of it there was. */
	for (unsigned a = 0; a < SIGNALS_AXES; a++) {
		double contributes = rates[a] * sqrt(moments->xx[a][a]);
		if (contributes > share) {
			share = contributes;
			ret->axis = (enum signals_axis) a;
		}
	}
	double without = axis_fit(moments, all & ~(1U << ret->axis), unused);
	ret->evidence = n * log(without / rest);
	ret->rest = rest / (moments->yy + rounding_of(moments));
	ret->separable = ret->evidence >= verdict_thresholds.separable;
	ret->rate = rates[ret->axis];
	if (ret->separable)
		return;
	for (unsigned a = 0; a < SIGNALS_AXES; a++) {
		single[a] = axis_fit(moments, 1U << a, unused);
		best = single[a] < best ? single[a] : best;
	}
	for (unsigned i = 0; i < SIGNALS_AXES; i++) {
		enum signals_axis axis = usual_order[i];
		if (n * log(single[axis] / best) >= verdict_thresholds.separable)
			continue;
		ret->axis = axis;
		ret->rate = moments->xx[axis][axis] > 0 ? moments->xy[axis] / moments->xx[axis][axis] : 0;
		return;
	}
}
