/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the evaluation of the leak corpus rests on: traffic that repeats, labels that say what they mean, tests of trend
 * whose numbers are known, a score that counts what it says. */
#include "../leaks/baseline.h"
#include "../leaks/label.h"
#include "../leaks/score.h"
#include "../leaks/traffic.h"

#include "cleanup.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct label labels[LABEL_FAMILIES];
static int label_count;

static const char *
corpus_folder(void)
{
	static char folder[4096];
	const char *source = getenv("srcdir"); /* automake's */

	(void) snprintf(folder, sizeof(folder), "%s/tests/leaks", source != NULL ? source : ".");
	return folder;
}

static const struct label *
label_of(const char *name)
{
	for (int i = 0; i < label_count; i++) {
		if (strcmp(labels[i].name, name) == 0)
			return &labels[i];
	}
	fail_msg("no family %s", name);
	return NULL;
}

/* --- labels ------------------------------------------------------------------------------------------------------ */

/* How many labels lie in the folder of a part; all of them must be in SPLIT, as that part's. */
static int
labels_in(enum label_part part)
{
	char path[4200];
	struct dirent *entry;
	int found = 0;

	(void) snprintf(path, sizeof(path), "%s/%s", corpus_folder(), label_part_name(part));
	DIR *folder = opendir(path);
	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL) {
		char *end = strstr(entry->d_name, ".label");
		if (end == NULL)
			continue;
		*end = '\0';
		assert_int_equal(label_of(entry->d_name)->part, part);
		found++;
	}
	(void) closedir(folder);
	return found;
}

static void
test_every_label_is_in_the_split_once(void **state UNUSED)
{
	int found = 0;

	for (unsigned part = LABEL_TUNE; part < LABEL_ALL; part *= 2)
		found += labels_in(part);
	assert_int_equal(found, label_count);
	for (int i = 0; i < label_count; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(labels[i].name, labels[k].name);
}

static void
test_parts_are_large_enough(void **state UNUSED)
{
	int count[LABEL_ALL + 1][2] = {0}, bars[LABEL_ALL + 1][17] = {0};

	for (int i = 0; i < label_count; i++) {
		if (!labels[i].foreign)
			count[labels[i].part][labels[i].leaky]++;
		assert_true(labels[i].bar <= 16);
		bars[labels[i].part][labels[i].bar]++;
	}
	for (unsigned part = LABEL_TUNE; part < LABEL_BEYOND; part *= 2) {
		assert_true(count[part][true] >= 12);
		assert_true(count[part][false] >= 10);
		assert_int_equal(bars[part][16], 1);
		assert_int_equal(bars[part][1], 1);
	}
}

static void
test_labels_say_enough(void **state UNUSED)
{
	for (int i = 0; i < label_count; i++) {
		const struct label *label = &labels[i];
		if (!label->leaky) {
			assert_true(label->classes == 0 && label->axes == 0);
			assert_true(label->bound > 0 || label->part == LABEL_TUNE || label->part == LABEL_BEYOND);
			continue;
		}
		assert_true(label->classes != 0);
		assert_true(label->least > 0);
		assert_true(label->foreign == (label->site[0] == '\0'));
	}
	assert_int_equal(label_of("error_path")->axes, 1U << SIGNALS_ERRORS);
	assert_int_equal(label_of("vector")->classes, 1U << VERDICT_LEAK | 1U << VERDICT_GROWING_BUFFER);
	assert_string_equal(label_of("after_reload")->reload, "history: yes");
	assert_int_equal(label_of("late_onset")->onset, UINT64_C(3600000000));
	assert_true(fabs(label_of("error_path")->mix.errors - 0.025) < 1e-9);
}

static void
test_a_bad_label_is_refused(void **state UNUSED)
{
	static const char *const lines[] = {"kind: leaking", "axis: byte", "traffic: erors=1", "bytes: 0", "nonsense"};
	char folder[] = "/tmp/mtlsd-unit-XXXXXX", path[64];
	struct label label;

	assert_non_null(mkdtemp(folder));
	(void) snprintf(path, sizeof(path), "%s/bad.label", folder);
	for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
		FILE *file = fopen(path, "w");
		assert_non_null(file);
		(void) fprintf(file, "# a remark\n%s\n", lines[i]);
		assert_int_equal(fclose(file), 0);
		assert_true(label_read(folder, "bad", &label) < 0);
	}
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

/* --- traffic ----------------------------------------------------------------------------------------------------- */

static void
test_traffic_repeats(void **state UNUSED)
{
	struct traffic_mix mix = traffic_default_mix();
	struct traffic a, b, other;
	struct traffic_next next_a = {0}, next_b = {0}, next_other = {0};
	int same = 0;

	for (unsigned shape = 0; shape < TRAFFIC_SHAPES; shape++) {
		traffic_begin(&a, shape, &mix, 7);
		traffic_begin(&b, shape, &mix, 7);
		traffic_begin(&other, shape, &mix, 8);
		for (int i = 0; i < 10000; i++) {
			uint64_t before = next_a.at;
			traffic_next(&a, &next_a);
			traffic_next(&b, &next_b);
			traffic_next(&other, &next_other);
			assert_memory_equal(&next_a, &next_b, sizeof(next_a));
			assert_true(i == 0 || next_a.at >= before);
			same += next_a.key == next_other.key && next_a.took == next_other.took;
		}
	}
	assert_true(same < 10);
}

static void
test_traffic_has_its_rates_and_shares(void **state UNUSED)
{
	static const double rates[] = {500, 10.5, 0};
	enum { MANY = 400000 };
	struct traffic_mix mix = traffic_default_mix();

	for (unsigned shape = 0; shape < TRAFFIC_SHAPES; shape++) {
		struct traffic traffic;
		struct traffic_next next;
		struct traffic_opening opening;
		double aborts = 0, errors = 0, special = 0, quiet = 0;
		uint64_t before = 0;
		traffic_begin(&traffic, shape, &mix, 3);
		for (int i = 0; i < MANY; i++) {
			traffic_next(&traffic, &next);
			aborts += next.abort;
			errors += next.error;
			special += next.special;
			quiet += (double) (next.at - before > 100000 ? next.at - before : 0);
			before = next.at;
			if (i % 20 == 0)
				traffic_open(&traffic, &opening);
			assert_true(next.key >= 1 && (double) next.key <= mix.keys);
		}
		double rate = MANY / ((double) next.at / 1e6);
		assert_true(rates[shape] <= 0 || (rate > 0.9 * rates[shape] && rate < 1.1 * rates[shape]));
		assert_true(fabs(aborts / MANY - mix.aborts) < 0.001);
		assert_true(fabs(special / MANY - mix.special) < 0.003);
		/* Steady shares stay; the others drift about theirs. */
		assert_true(fabs(errors / MANY - mix.errors) < (shape == TRAFFIC_STEADY ? 0.002 : 0.02));
		if (shape == TRAFFIC_BURSTY)
			assert_true(quiet > 0.5 * (double) next.at);
		assert_true(traffic.clients > 300 + 400 && traffic.clients < 300 + 3000);
	}
}

/* --- baselines --------------------------------------------------------------------------------------------------- */

static void
test_mann_kendall_is_known(void **state UNUSED)
{
	double rising[12], falling[12], flat[12];
	const double tied[] = {1, 2, 2, 3};

	for (int i = 0; i < 12; i++) {
		rising[i] = i;
		falling[i] = -i;
		flat[i] = 5;
	}
	/* S = 66, variance 12 x 11 x 29 / 18 = 212.67: (66 - 1) / 14.583. */
	assert_true(fabs(baseline_mann_kendall_z(rising, 12) - 4.4572) < 1e-3);
	assert_true(fabs(baseline_mann_kendall_z(falling, 12) + 4.4572) < 1e-3);
	assert_true(fabs(baseline_mann_kendall_z(flat, 12)) < 1e-9);
	/* S = 5, variance (4 x 3 x 13 - 2 x 1 x 9) / 18 = 7.667: 4 / 2.769. */
	assert_true(fabs(baseline_mann_kendall_z(tied, 4) - 1.4446) < 1e-3);
}

static void
test_lines_are_known(void **state UNUSED)
{
	const double rising[] = {1, 3, 5, 7}, falling[] = {4, 3, 2, 1}, flat[] = {2, 2, 2, 2}, bent[] = {0, 1, 0, 1};

	assert_true(fabs(baseline_line_r2(rising, 4) - 1) < 1e-9);
	assert_true(fabs(baseline_line_r2(falling, 4) + 1) < 1e-9);
	assert_true(fabs(baseline_line_r2(flat, 4)) < 1e-9);
	/* xy = 1, xx = 5, yy = 1. */
	assert_true(fabs(baseline_line_r2(bent, 4) - 0.2) < 1e-9);
}

static void
test_alarms_come_with_a_trend_only(void **state UNUSED)
{
	struct baseline rising = {0}, flat = {0};

	for (uint64_t i = 0; i < 200; i++) {
		baseline_add(&rising, 1000 + 10 * i, 4096);
		baseline_add(&flat, 1000 + i % 2, 4096);
	}
	assert_int_equal(rising.alarm[BASELINE_MK], BASELINE_LOOK);
	assert_int_equal(rising.alarm[BASELINE_OLS], BASELINE_LOOK);
	assert_int_equal(rising.alarm[BASELINE_RSS], 0);
	for (unsigned kind = 0; kind < BASELINE_KINDS; kind++)
		assert_int_equal(flat.alarm[kind], 0);
}

/* --- score ------------------------------------------------------------------------------------------------------- */

static struct run_result
confirmed_result(void)
{
	struct run_result result = {
		.outcome = VERDICT_CONFIRMED,
		.class = VERDICT_LEAK,
		.axis = SIGNALS_REQUESTS,
		.separable = true,
		.rate = 20,
		.true_rate = 16,
		.per_request = 20,
		.true_per_request = 16,
	};
	for (unsigned i = 0; i <= VERDICT_CONFIRMED; i++)
		result.reached[i] = 1000 * i;
	for (unsigned i = 0; i < BASELINE_KINDS; i++)
		result.alarm[i] = RUN_NEVER;
	(void) snprintf(result.site, sizeof(result.site), "keep_word");
	return result;
}

static void
test_a_score_counts_what_is_right(void **state UNUSED)
{
	struct run_order order = {.label = label_of("every_request"), .hook = true};
	struct run_result right = confirmed_result(), wrong = right, early = right, missed = right, failed = right;
	struct score score = {0};

	(void) snprintf(wrong.site, sizeof(wrong.site), "cache_put");
	wrong.axis = SIGNALS_CLIENTS;
	wrong.per_request = 40;
	early.early = true;
	missed.reached[VERDICT_CONFIRMED] = RUN_NEVER;
	failed.failed = true;
	score_add(&score, &order, &right);
	score_add(&score, &order, &wrong);
	score_add(&score, &order, &early);
	score_add(&score, &order, &missed);
	score_add(&score, &order, &failed);
	assert_int_equal(score.runs, 5);
	assert_int_equal(score.failed, 1);
	assert_int_equal(score.early, 1);
	assert_int_equal(score.goal, 2);
	assert_int_equal(score.found, 2);
	assert_int_equal(score.sited, 2);
	assert_int_equal(score.site_first, 1);
	assert_int_equal(score.axis_told, 2);
	assert_int_equal(score.axis_right, 1);
	assert_int_equal(score.rate_near, 1);
	assert_true(fabs(score_quantile(&score.rate_error, 0) - 0.25) < 1e-9);
	assert_true(fabs(score_quantile(&score.rate_error, 1) - 1.5) < 1e-9);
	score_clear(&score);
}

static void
test_a_score_knows_false_alarms(void **state UNUSED)
{
	struct run_order order = {.label = label_of("pool"), .hook = true};
	struct run_result result = confirmed_result();
	struct score score = {0};

	result.class = VERDICT_GROWING_BUFFER; /* whatever it is taken for */
	score_add(&score, &order, &result);
	assert_int_equal(score.goal, 1);
	assert_int_equal(score.found, 0);
	/* A leak of another class than its label accepts was not found. */
	order.label = label_of("every_request");
	score_add(&score, &order, &result);
	assert_int_equal(score.goal, 2);
	assert_int_equal(score.found, 0);
	/* Without a hook LIKELY is all there is. */
	order.hook = false;
	result.class = VERDICT_LEAK;
	result.reached[VERDICT_CONFIRMED] = RUN_NEVER;
	score_add(&score, &order, &result);
	assert_int_equal(score.found, 1);
	score_clear(&score);
}

static int
set_up(void **state UNUSED)
{
	label_count = label_read_all(corpus_folder(), labels, LABEL_FAMILIES);
	return label_count > 0 ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_label_is_in_the_split_once),
		cmocka_unit_test(test_parts_are_large_enough),
		cmocka_unit_test(test_labels_say_enough),
		cmocka_unit_test(test_a_bad_label_is_refused),
		cmocka_unit_test(test_traffic_repeats),
		cmocka_unit_test(test_traffic_has_its_rates_and_shares),
		cmocka_unit_test(test_mann_kendall_is_known),
		cmocka_unit_test(test_lines_are_known),
		cmocka_unit_test(test_alarms_come_with_a_trend_only),
		cmocka_unit_test(test_a_score_counts_what_is_right),
		cmocka_unit_test(test_a_score_knows_false_alarms),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
