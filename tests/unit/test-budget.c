/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "budget.h"
#include "cleanup.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { MS = 1000, SECOND = 1000000, MINUTE = 60 * SECOND };

static const struct budget_settings settings = {
	.initial = 250 * MS,
	.max = MINUTE,
	.factor = 2,
	.jitter = 0.2,
	.reset_after = 10L * MINUTE,
	.burst = 5,
	.burst_within = 30 * SECOND,
	.planned = 2,
	.planned_within = 60L * MINUTE,
};

/* Fails, and tells how long it is to wait. */
static uint64_t
fail_at(struct budget *budget, const struct budget_settings *with, uint64_t now, double random)
{
	uint64_t wait = 0;

	budget_failed(budget, with, now, random);
	(void) budget_may_retry(budget, now, &wait);
	return wait;
}

static void
test_waits_double_up_to_the_longest(void **state UNUSED)
{
	struct budget_settings patient = settings;
	struct budget budget = {0};
	uint64_t now = 0;

	patient.burst = 0;
	assert_true(budget_may_retry(&budget, now, NULL));
	for (uint64_t want = 250 * MS; want < MINUTE; want *= 2) {
		uint64_t wait = fail_at(&budget, &patient, now, 0.5);
		assert_int_equal(wait, want);
		assert_false(budget_may_retry(&budget, now + wait - 1, NULL));
		now += wait;
		assert_true(budget_may_retry(&budget, now, NULL));
	}
	for (int i = 0; i < 1000; i++, now += MINUTE)
		assert_int_equal(fail_at(&budget, &patient, now, 0.5), MINUTE);
	assert_false(budget_is_spent(&budget));
}

static void
test_jitter_goes_both_ways(void **state UNUSED)
{
	struct budget early = {0}, late = {0};

	assert_int_equal(fail_at(&early, &settings, 0, 0), 200 * MS);
	assert_int_equal(fail_at(&late, &settings, 0, 0.9999999) / MS, 299);
}

static void
test_a_burst_spends_the_budget_until_health(void **state UNUSED)
{
	struct budget budget = {0};
	uint64_t now = 7L * MINUTE;

	for (int i = 0; i < 4; i++) {
		assert_true(fail_at(&budget, &settings, now, 0.5) < 3 * SECOND);
		now += SECOND;
	}
	assert_false(budget_is_spent(&budget));
	assert_int_equal(fail_at(&budget, &settings, now, 0.5), MINUTE);
	assert_true(budget_is_spent(&budget));
	/* Long after the burst the next one still waits as long. */
	now += 5L * MINUTE;
	assert_int_equal(fail_at(&budget, &settings, now, 0.5), MINUTE);
	budget_healthy(&budget, &settings, now + settings.reset_after - 1);
	assert_true(budget_is_spent(&budget));
	budget_healthy(&budget, &settings, now + settings.reset_after);
	assert_false(budget_is_spent(&budget));
	assert_true(budget_may_retry(&budget, now, NULL));
	assert_int_equal(fail_at(&budget, &settings, now + settings.reset_after, 0.5), 250 * MS);
}

static void
test_slow_failures_are_no_burst(void **state UNUSED)
{
	struct budget budget = {0};

	for (uint64_t i = 0; i < 500; i++)
		budget_failed(&budget, &settings, i * 8 * SECOND, 0.5);
	assert_false(budget_is_spent(&budget));
}

static void
test_planned_restarts_are_counted_apart(void **state UNUSED)
{
	struct budget budget = {0};
	uint64_t wait = 0;

	for (int i = 0; i < 5; i++)
		budget_failed(&budget, &settings, 0, 0.5);
	assert_true(budget_has_planned(&budget, &settings, 0, &wait));
	budget_planned(&budget, 10 * SECOND);
	assert_true(budget_has_planned(&budget, &settings, 10 * SECOND, &wait));
	budget_planned(&budget, 20 * SECOND);
	assert_false(budget_has_planned(&budget, &settings, 30 * SECOND, &wait));
	assert_int_equal(wait, settings.planned_within - 20 * SECOND);
	assert_true(budget_has_planned(&budget, &settings, settings.planned_within + 10 * SECOND, &wait));
	budget_planned(&budget, settings.planned_within + 10 * SECOND);
	assert_false(budget_has_planned(&budget, &settings, settings.planned_within + 19 * SECOND, &wait));
	assert_int_equal(wait, SECOND);
}

static void
test_none_planned_means_never(void **state UNUSED)
{
	struct budget_settings none = settings;
	struct budget budget = {0};
	uint64_t wait = 0;

	none.planned = 0;
	assert_false(budget_has_planned(&budget, &none, 0, &wait));
	assert_true(wait == UINT64_MAX);
}

static void
test_more_times_than_are_remembered(void **state UNUSED)
{
	struct budget_settings many = settings;
	struct budget budget = {0};

	many.planned = BUDGET_TIMES;
	for (uint64_t i = 0; i < 3 * BUDGET_TIMES; i++) {
		uint64_t now = i * many.planned_within;
		assert_true(budget_has_planned(&budget, &many, now, NULL));
		budget_planned(&budget, now);
	}
	for (int i = 0; i < BUDGET_TIMES - 1; i++)
		budget_planned(&budget, 3 * BUDGET_TIMES * many.planned_within);
	assert_false(budget_has_planned(&budget, &many, 3 * BUDGET_TIMES * many.planned_within - 1, NULL));
	assert_true(budget_has_planned(&budget, &many, 3 * BUDGET_TIMES * many.planned_within, NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_double_up_to_the_longest),
		cmocka_unit_test(test_jitter_goes_both_ways),
		cmocka_unit_test(test_a_burst_spends_the_budget_until_health),
		cmocka_unit_test(test_slow_failures_are_no_burst),
		cmocka_unit_test(test_planned_restarts_are_counted_apart),
		cmocka_unit_test(test_none_planned_means_never),
		cmocka_unit_test(test_more_times_than_are_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
