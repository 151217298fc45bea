/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "baseline.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const double Z_ONE_PERCENT = 2.3263; /* one-sided */
static const double R2_STRAIGHT = 0.8;
static const double LEAST_GROWTH = 32768; /* of the resident set over a look: a page now and then is the process's */

const char *
baseline_name(enum baseline_kind kind)
{
	static const char *const names[] = {"mk", "ols", "rss"};
	return names[kind];
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *) a, y = *(const double *) b;
	return (x > y) - (x < y);
}

double
baseline_mann_kendall_z(const double *values, size_t n)
{
	double sorted[BASELINE_POINTS], s = 0, count = (double) n;

	for (size_t i = 0; i < n; i++)
		for (size_t k = i + 1; k < n; k++)
			s += (values[k] > values[i]) - (values[k] < values[i]);
	double variance = count * (count - 1) * (2 * count + 5);
	memcpy(sorted, values, n * sizeof(*values));
	qsort(sorted, n, sizeof(*sorted), compare);
	for (size_t i = 0, k; i < n; i = k) {
		for (k = i; k < n && sorted[k] <= sorted[i]; k++)
			;
		double ties = (double) (k - i);
		variance -= ties * (ties - 1) * (2 * ties + 5);
	}
	variance /= 18;
	if (variance <= 0)
		return 0;
	return (s > 0 ? s - 1 : s < 0 ? s + 1 : 0) / sqrt(variance);
}

double
baseline_line_r2(const double *values, size_t n)
{
	double mean = 0, middle = (double) (n - 1) / 2, xx = 0, xy = 0, yy = 0;

	for (size_t i = 0; i < n; i++)
		mean += values[i] / (double) n;
	for (size_t i = 0; i < n; i++) {
		double x = (double) i - middle, y = values[i] - mean;
		xx += x * x;
		xy += x * y;
		yy += y * y;
	}
	if (yy <= 0)
		return 0;
	return xy * fabs(xy) / (xx * yy);
}

static void
look(struct baseline *baseline)
{
	double live[BASELINE_POINTS], resident[BASELINE_POINTS];
	size_t n = baseline->count < BASELINE_POINTS ? baseline->count : BASELINE_POINTS;

	for (size_t i = 0; i < n; i++) {
		size_t at = (baseline->count - n + i) % BASELINE_POINTS;
		live[i] = baseline->live[at];
		resident[i] = baseline->resident[at];
	}
	const bool found[BASELINE_KINDS] = {
		[BASELINE_MK] = baseline_mann_kendall_z(live, n) > Z_ONE_PERCENT,
		[BASELINE_OLS] = baseline_line_r2(live, n) > R2_STRAIGHT,
		[BASELINE_RSS] = baseline_mann_kendall_z(resident, n) > Z_ONE_PERCENT &&
				 resident[n - 1] - resident[0] >= LEAST_GROWTH,
	};
	for (unsigned kind = 0; kind < BASELINE_KINDS; kind++) {
		if (found[kind] && baseline->alarm[kind] == 0)
			baseline->alarm[kind] = baseline->count;
	}
}

void
baseline_add(struct baseline *baseline, uint64_t live, uint64_t resident)
{
	baseline->live[baseline->count % BASELINE_POINTS] = (double) live;
	baseline->resident[baseline->count % BASELINE_POINTS] = (double) resident;
	baseline->count++;
	if (baseline->count % BASELINE_LOOK == 0)
		look(baseline);
}
