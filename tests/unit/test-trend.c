/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "trend.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void
kendall_counts_rising_and_falling_pairs(void **state)
{
	const double rising[] = {1, 2, 3, 4}, falling[] = {9, 5, 2}, equal[] = {7, 7, 7}, mixed[] = {1, 3, 2, 3};
	(void) state;
	assert_int_equal(trend_kendall(4, rising), 6);
	assert_int_equal(trend_kendall(3, falling), -3);
	assert_int_equal(trend_kendall(3, equal), 0);
	assert_int_equal(trend_kendall(4, mixed), 3); /* four rise, one falls, one is equal */
	assert_int_equal(trend_kendall(1, rising), 0);
	assert_int_equal(trend_kendall(0, rising), 0);
}

static void
medians_of_few_and_many(void **state)
{
	double none[1], one[] = {4}, even[] = {9, 1, 3, 5}, odd[] = {8, 2, 5};
	(void) state;
	assert_float_equal(trend_median(0, none), 0, 0);
	assert_float_equal(trend_median(1, one), 4, 0);
	assert_float_equal(trend_median(4, even), 4, 0);
	assert_float_equal(trend_median(3, odd), 5, 0);
}

static void
a_line_is_found_exactly_and_an_outlier_does_not_move_it(void **state)
{
	double x[12], y[12];
	struct trend_line line;
	(void) state;
	for (unsigned i = 0; i < 12; i++) {
		x[i] = 10 * i;
		y[i] = 7 + 3 * x[i];
	}
	assert_int_equal(trend_slope(12, x, y, &line), 0);
	assert_float_equal(line.slope, 3, 1e-12);
	assert_float_equal(line.intercept, 7, 1e-9);
	assert_float_equal(line.spread, 0, 1e-9);
	assert_float_equal(line.low, 3, 1e-12);
	assert_float_equal(line.high, 3, 1e-12);
	y[6] = 100000;
	assert_int_equal(trend_slope(12, x, y, &line), 0);
	assert_float_equal(line.slope, 3, 1e-9);
	assert_true(line.low <= 3 && line.high >= 3);
}

/* Hollander and Wolfe's example for Theil's and Sen's method: medians of slopes, and its ranks. */
static void
a_known_interval(void **state)
{
	const double x[] = {0, 1, 2, 3, 12, 18, 24}, y[] = {8.98, 8.14, 6.67, 5.96, 4.34, 3.78, 3.60};
	struct trend_line line;
	(void) state;
	/* 21 slopes; S's deviation is sqrt(7*6*19/18) = 6.66, so the ranks are 3 and 18 from 0: (21 -+ 13.05) / 2. */
	assert_int_equal(trend_slope(7, x, y, &line), 0);
	double slopes[21];
	size_t n = 0;
	for (unsigned i = 0; i < 7; i++)
		for (unsigned j = i + 1; j < 7; j++)
			slopes[n++] = (y[j] - y[i]) / (x[j] - x[i]);
	double median = trend_median(n, slopes);
	assert_float_equal(line.slope, median, 1e-12);
	assert_float_equal(line.low, slopes[3], 1e-12);
	assert_float_equal(line.high, slopes[18], 1e-12);
}

static void
what_has_no_slope_is_refused(void **state)
{
	const double same[] = {5, 5, 5}, y[] = {1, 2, 3};
	double many[TREND_POINTS + 1] = {0};
	struct trend_line line = {.slope = 42};
	(void) state;
	assert_int_equal(trend_slope(3, same, y, &line), -EINVAL);
	assert_int_equal(trend_slope(1, y, y, &line), -EINVAL);
	assert_int_equal(trend_slope(0, y, y, &line), -EINVAL);
	assert_int_equal(trend_slope(TREND_POINTS + 1, many, many, &line), -EINVAL);
	assert_float_equal(line.slope, 42, 0);
}

/* Products of A (rows by columns) and b. */
static double
solve(size_t rows, size_t columns, const double *a, const double *b, double *ret)
{
	double gram[TREND_COLUMNS * TREND_COLUMNS] = {0}, product[TREND_COLUMNS] = {0}, bb = 0, rest = -1;

	for (size_t r = 0; r < rows; r++) {
		for (size_t i = 0; i < columns; i++) {
			for (size_t j = 0; j < columns; j++)
				gram[i * columns + j] += a[r * columns + i] * a[r * columns + j];
			product[i] += a[r * columns + i] * b[r];
		}
		bb += b[r] * b[r];
	}
	assert_int_equal(trend_nonnegative(columns, gram, product, bb, ret, &rest), 0);
	return rest;
}

static void
causes_are_told_apart(void **state)
{
	/* b = 2 * first + 5 * third. */
	const double a[] = {1, 0, 3, 2, 1, 1, 0, 4, 2, 5, 1, 0, 3, 3, 1};
	double b[5], x[3];
	(void) state;
	for (unsigned r = 0; r < 5; r++)
		b[r] = 2 * a[3 * r] + 5 * a[3 * r + 2];
	assert_float_equal(solve(5, 3, a, b, x), 0, 1e-9);
	assert_float_equal(x[0], 2, 1e-9);
	assert_float_equal(x[1], 0, 1e-9);
	assert_float_equal(x[2], 5, 1e-9);
}

static void
what_would_be_negative_is_nothing(void **state)
{
	/* Without the bound the best is (3, -1); with it, x0 = A0'b / A0'A0 = 5/2. */
	const double a[] = {1, 1, 1, 0}, b[] = {2, 3};
	double x[2];
	(void) state;
	double rest = solve(2, 2, a, b, x);
	assert_float_equal(x[0], 2.5, 1e-9);
	assert_float_equal(x[1], 0, 1e-9);
	assert_float_equal(rest, 0.5, 1e-9);
	/* All of it negative. */
	const double negative[] = {-2, -3};
	rest = solve(2, 2, a, negative, x);
	assert_float_equal(x[0], 0, 0);
	assert_float_equal(x[1], 0, 0);
	assert_float_equal(rest, 13, 1e-9);
}

static void
columns_of_zeros_and_twins_do_no_harm(void **state)
{
	const double zeros[] = {1, 0, 2, 0, 3, 0}, b[] = {2, 4, 6};
	double x[2];
	(void) state;
	assert_float_equal(solve(3, 2, zeros, b, x), 0, 1e-9);
	assert_float_equal(x[0], 2, 1e-9);
	assert_float_equal(x[1], 0, 0);
	const double twins[] = {1, 10, 2, 20, 3, 30};
	assert_float_equal(solve(3, 2, twins, b, x), 0, 1e-6);
	assert_float_equal(x[0] + 10 * x[1], 2, 1e-6);
	assert_true(x[0] >= 0 && x[1] >= 0);
	double gram[1] = {1}, product[1] = {1}, rest;
	assert_int_equal(trend_nonnegative(TREND_COLUMNS + 1, gram, product, 1, x, &rest), -EINVAL);
}

static uint64_t seed = 12345;

static double
any(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (double) (seed % 10000) / 1000;
}

/* Kuhn and Tucker: where x is 0 the error would rise with it, elsewhere its slope is 0. */
static void
every_solution_is_the_best(void **state)
{
	(void) state;
	for (unsigned round = 0; round < 2000; round++) {
		double a[15 * 6], b[15], x[6];
		for (unsigned i = 0; i < 15 * 6; i++)
			a[i] = any();
		for (unsigned r = 0; r < 15; r++)
			b[r] = any() * 4 - 15;
		double rest = solve(15, 6, a, b, x), left[15], sum = 0;
		for (unsigned r = 0; r < 15; r++) {
			left[r] = b[r];
			for (unsigned c = 0; c < 6; c++)
				left[r] -= a[r * 6 + c] * x[c];
			sum += left[r] * left[r];
		}
		assert_float_equal(rest, sum, 1e-6 * (1 + sum));
		for (unsigned c = 0; c < 6; c++) {
			double gradient = 0;
			for (unsigned r = 0; r < 15; r++)
				gradient += a[r * 6 + c] * left[r];
			assert_true(x[c] >= 0);
			if (x[c] > 0)
				assert_float_equal(gradient, 0, 1e-5);
			else
				assert_true(gradient <= 1e-5);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kendall_counts_rising_and_falling_pairs),
		cmocka_unit_test(medians_of_few_and_many),
		cmocka_unit_test(a_line_is_found_exactly_and_an_outlier_does_not_move_it),
		cmocka_unit_test(a_known_interval),
		cmocka_unit_test(what_has_no_slope_is_refused),
		cmocka_unit_test(causes_are_told_apart),
		cmocka_unit_test(what_would_be_negative_is_nothing),
		cmocka_unit_test(columns_of_zeros_and_twins_do_no_harm),
		cmocka_unit_test(every_solution_is_the_best),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
