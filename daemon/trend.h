/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* trend.h - the statistics of short series: rank trend, robust slope, spread, and non-negative least squares.
 *
 * Sources: Mann (1945) and Kendall's S; Theil (1950) and Sen (1968) with Sen's interval; Lawson and Hanson's active
 * sets (1974).
 *
 * Threads: any. Owns: nothing.
 */
#include <stddef.h>

enum {
	TREND_POINTS = 24, /* longest series */
	TREND_COLUMNS = 8, /* most unknowns of trend_nonnegative */
};

/* Kendall's S: pairs that rise less pairs that fall. */
int trend_kendall(size_t count, const double *y);

struct trend_line {
	double slope, intercept;
	double low, high; /* 95 % interval of the slope */
	double spread;    /* median absolute deviation from the line */
};
/* Theil and Sen: the median of the slopes of all pairs whose x differ. -EINVAL with fewer than two such points or more
 * than TREND_POINTS. */
int trend_slope(size_t count, const double *x, const double *y, struct trend_line *ret);

double trend_median(size_t count, double *values); /* sorts them; 0 for none */

/* Minimises |Ax - b| with x >= 0, given the products G = A'A (row-wise, width columns) and h = A'b. Columns of zeros
 * get 0. bb: b'b. *ret_rest: the sum of squares left over. -EINVAL for more than TREND_COLUMNS. */
int trend_nonnegative(size_t columns, const double *gram, const double *product, double bb, double *ret,
		      double *ret_rest);
