/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trend.h"

#include "cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

int
trend_kendall(size_t count, const double *y)
{
	int s = 0;

	for (size_t i = 0; i < count; i++)
		for (size_t j = i + 1; j < count; j++)
			s += (y[j] > y[i]) - (y[j] < y[i]);
	return s;
}

/* Shell's sort with Ciura's gaps: a few hundred numbers at most, without a call for each comparison. */
static void
sort(size_t count, double *values)
{
	static const size_t gaps[] = {57, 23, 10, 4, 1};

	for (size_t g = 0; g < ARRAY_LENGTH(gaps); g++)
		for (size_t i = gaps[g]; i < count; i++) {
			double value = values[i];
			size_t at = i;
			for (; at >= gaps[g] && values[at - gaps[g]] > value; at -= gaps[g])
				values[at] = values[at - gaps[g]];
			values[at] = value;
		}
}

double
trend_median(size_t count, double *values)
{
	if (count == 0)
		return 0;
	sort(count, values);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

int
trend_slope(size_t count, const double *x, const double *y, struct trend_line *ret)
{
	double slopes[TREND_POINTS * (TREND_POINTS - 1) / 2], rest[TREND_POINTS];
	struct trend_line line;
	size_t pairs = 0;

	if (count > TREND_POINTS)
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		for (size_t j = i + 1; j < count; j++)
			if (x[j] != x[i])
				slopes[pairs++] = (y[j] - y[i]) / (x[j] - x[i]);
	if (pairs == 0)
		return -EINVAL;
	line.slope = trend_median(pairs, slopes);

	/* Sen: S of a series without trend is about normal; the interval runs between the slopes of these ranks. */
	double n = (double) count, reach = 1.96 * sqrt(n * (n - 1) * (2 * n + 5) / 18);
	double low = floor(((double) pairs - reach) / 2), high = ceil(((double) pairs + reach) / 2);
	line.low = slopes[low > 0 ? (size_t) low : 0];
	line.high = slopes[high < (double) (pairs - 1) ? (size_t) high : pairs - 1];

	for (size_t i = 0; i < count; i++)
		rest[i] = y[i] - line.slope * x[i];
	line.intercept = trend_median(count, rest);
	for (size_t i = 0; i < count; i++)
		rest[i] = fabs(y[i] - line.intercept - line.slope * x[i]);
	line.spread = trend_median(count, rest);
	*ret = line;
	return 0;
}

struct system {
	size_t columns;
	double gram[TREND_COLUMNS][TREND_COLUMNS], product[TREND_COLUMNS]; /* scaled: the diagonal is 1 or 0 */
	bool active[TREND_COLUMNS];                                        /* may differ from 0 */
};

/* Solves for the active columns by elimination with pivots; a column that depends on others gets 0. */
static void
system_solve(const struct system *system, double *solution)
{
	double a[TREND_COLUMNS][TREND_COLUMNS + 1];
	size_t index[TREND_COLUMNS] = {0}, n = 0;
	bool dead[TREND_COLUMNS] = {0};

	for (size_t c = 0; c < system->columns; c++) {
		solution[c] = 0;
		if (system->active[c])
			index[n++] = c;
	}
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n; j++)
			a[i][j] = system->gram[index[i]][index[j]];
		a[i][n] = system->product[index[i]];
	}
	/* A positive semi-definite system needs no exchange of rows; a pivot near 0 is a dependent column. */
	for (size_t p = 0; p < n; p++) {
		if (a[p][p] < 1e-9) {
			dead[p] = true;
			continue;
		}
		for (size_t i = 0; i < n; i++) {
			if (i == p || dead[i])
				continue;
			double factor = a[i][p] / a[p][p];
			for (size_t j = 0; j <= n; j++)
				a[i][j] -= factor * a[p][j];
		}
	}
	for (size_t i = 0; i < n; i++)
		solution[index[i]] = dead[i] ? 0 : a[i][n] / a[i][i];
}

/* The inactive column along which the error falls most, or -1. */
static int
system_steepest(const struct system *system, const double *x, const bool *tried)
{
	double best = 1e-10;
	int found = -1;

	for (size_t c = 0; c < system->columns; c++) {
		if (system->active[c] || tried[c] || system->gram[c][c] == 0)
			continue;
		double gradient = system->product[c];
		for (size_t k = 0; k < system->columns; k++)
			gradient -= system->gram[c][k] * x[k];
		if (gradient > best) {
			best = gradient;
			found = (int) c;
		}
	}
	return found;
}

/* Moves x to the solution of the active columns, leaving those behind that would become negative. */
static void
system_settle(struct system *system, double *x)
{
	double z[TREND_COLUMNS];

	for (size_t round = 0; round <= system->columns; round++) {
		double step = 1;
		system_solve(system, z);
		for (size_t c = 0; c < system->columns; c++)
			if (system->active[c] && z[c] <= 0 && x[c] - z[c] > 0 && x[c] / (x[c] - z[c]) < step)
				step = x[c] / (x[c] - z[c]);
		for (size_t c = 0; c < system->columns; c++) {
			x[c] += step * (z[c] - x[c]);
			if (system->active[c] && (x[c] <= 1e-12 || z[c] <= 0) && x[c] <= 1e-9) {
				x[c] = 0;
				system->active[c] = false;
			}
		}
		if (step >= 1)
			return;
	}
}

int
trend_nonnegative(size_t columns, const double *gram, const double *product, double bb, double *ret, double *ret_rest)
{
	struct system system = {.columns = columns};
	double x[TREND_COLUMNS] = {0}, scale[TREND_COLUMNS], size = sqrt(bb > 0 ? bb : 1);
	bool tried[TREND_COLUMNS] = {0};

	if (columns > TREND_COLUMNS)
		return -EINVAL;
	for (size_t c = 0; c < columns; c++)
		scale[c] = gram[c * columns + c] > 0 ? 1 / sqrt(gram[c * columns + c]) : 0;
	for (size_t r = 0; r < columns; r++) {
		for (size_t c = 0; c < columns; c++)
			system.gram[r][c] = gram[r * columns + c] * scale[r] * scale[c];
		system.product[r] = product[r] * scale[r] / size;
	}
	/* Each round takes one column in; at most a few go out again. */
	for (size_t round = 0; round < 3 * columns; round++) {
		int next = system_steepest(&system, x, tried);
		if (next < 0)
			break;
		system.active[next] = true;
		system_settle(&system, x);
		tried[next] = !system.active[next];
	}
	double rest = bb > 0 ? 1 : 0;
	for (size_t r = 0; r < columns; r++) {
		rest -= 2 * x[r] * system.product[r];
		for (size_t c = 0; c < columns; c++)
			rest += x[r] * system.gram[r][c] * x[c];
	}
	for (size_t c = 0; c < columns; c++)
		ret[c] = x[c] * scale[c] * size;
	*ret_rest = rest > 0 ? rest * size * size : 0;
	return 0;
}
