/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* baseline.h - what others do with the same numbers: trend tests on live bytes and on the resident set.
 *
 * A point every BASELINE_EVERY requests; after the same warm-up as the verdict's, every BASELINE_LOOK points a look at
 * the last BASELINE_POINTS (or as many as there are), and one look that finds a trend is an alarm:
 *
 *   mk   Mann-Kendall's test of live bytes, rising, p < 0.01
 *   ols  a straight line through live bytes, rising, R2 > 0.8
 *   rss  Mann-Kendall's test of the process's resident set, rising, p < 0.01, by 32 KiB at least
 *
 * Source: Mann, "Nonparametric tests against trend", 1945; Kendall, "Rank correlation methods", 1975.
 *
 * Threads: one at a time. Owns: nothing; a baseline is a plain value.
 */
#include <stddef.h>
#include <stdint.h>

enum {
	BASELINE_EVERY = 1024,
	BASELINE_POINTS = 48,
	BASELINE_LOOK = 12,
};

enum baseline_kind { BASELINE_MK, BASELINE_OLS, BASELINE_RSS, BASELINE_KINDS };
const char *baseline_name(enum baseline_kind kind);

struct baseline {
	size_t count;                                            /* points, ever */
	double live[BASELINE_POINTS], resident[BASELINE_POINTS]; /* a ring */
	uint64_t alarm[BASELINE_KINDS];                          /* the point at which it came first; 0: it did not */
};

void baseline_add(struct baseline *baseline, uint64_t live, uint64_t resident);

/* The tests, of n values in the order of time. z: Mann-Kendall's, with the correction for ties. */
double baseline_mann_kendall_z(const double *values, size_t n);
/* R2 of the straight line, negative if it falls. */
double baseline_line_r2(const double *values, size_t n);
