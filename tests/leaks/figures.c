/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "figures.h"

#include "score.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Bytes a request of the leaks the stricter bar is about. */
static const double LARGE = 4;

struct chosen {
	const struct run_order *orders;
	const struct run_result *results;
	size_t count;
};

static bool
is_large(const struct label *label)
{
	return label->leaky && !label->foreign && label->least >= LARGE;
}

static bool
is_small(const struct label *label)
{
	return label->leaky && !label->foreign && label->least < LARGE;
}

static bool
is_own_leak(const struct label *label)
{
	return label->leaky && !label->foreign;
}

static bool
is_clean(const struct label *label)
{
	return !label->leaky;
}

static struct score
sum_heldout(const struct chosen *chosen, bool hook, bool (*is_wanted)(const struct label *))
{
	struct score score = {0};

	for (size_t i = 0; i < chosen->count; i++) {
		const struct run_order *order = &chosen->orders[i];
		if (order->label->half == LABEL_HELDOUT && order->hook == hook && is_wanted(order->label))
			score_add(&score, order, &chosen->results[i]);
	}
	return score;
}

static struct score
sum_family(const struct chosen *chosen, bool hook, const char *name)
{
	struct score score = {0};

	for (size_t i = 0; i < chosen->count; i++) {
		if (chosen->orders[i].hook == hook && strcmp(chosen->orders[i].label->name, name) == 0)
			score_add(&score, &chosen->orders[i], &chosen->results[i]);
	}
	return score;
}

static void
figure(const char *name, double value, const char *unit)
{
	(void) printf("figure %s %.6g %s\n", name, value, unit);
}

static void
ratio(const char *name, unsigned part, unsigned whole)
{
	if (whole > 0)
		(void) printf("figure %s %.4f ratio runs=%u\n", name, (double) part / whole, whole);
}

/* The slowest of the runs; where one never came, that is said. */
static void
slowest(const char *name, struct score_list *latency, unsigned runs)
{
	if (runs == 0)
		return;
	if (latency->count < runs)
		(void) printf("figure %s never requests missed=%zu runs=%u\n", name, runs - latency->count, runs);
	else
		(void) printf("figure %s %.0f requests median=%.0f runs=%u\n", name, score_quantile(latency, 1),
			      score_quantile(latency, 0.5), runs);
}

static void
print_verdicts(const struct chosen *chosen)
{
	struct score clean = sum_heldout(chosen, true, is_clean), own = sum_heldout(chosen, true, is_own_leak);
	struct score large = sum_heldout(chosen, true, is_large), small = sum_heldout(chosen, true, is_small);

	if (clean.runs > 0) {
		figure("verdict.heldout.clean_runs", clean.runs, "runs");
		figure("verdict.heldout.false_confirmed", clean.goal + own.early, "runs");
	}
	ratio("verdict.heldout.recall", large.found, large.runs);
	ratio("verdict.heldout.recall_1B", small.found, small.runs);
	ratio("verdict.heldout.site_first", own.site_first, own.sited);
	ratio("verdict.heldout.axis", own.axis_right, own.axis_told);
	ratio("verdict.heldout.axis_told", own.axis_told, own.axed);
	if (own.rate_error.count > 0) {
		figure("verdict.heldout.rate_error", 100 * score_quantile(&own.rate_error, 0.5), "percent");
		figure("verdict.heldout.rate_error_p95", 100 * score_quantile(&own.rate_error, 0.95), "percent");
		ratio("verdict.heldout.rate_within_25", own.rate_near, own.rated);
	}
	score_clear(&clean);
	score_clear(&own);
	score_clear(&large);
	score_clear(&small);
}

static void
print_without_hook(const struct chosen *chosen)
{
	struct score clean = sum_heldout(chosen, false, is_clean), own = sum_heldout(chosen, false, is_own_leak);
	struct score large = sum_heldout(chosen, false, is_large), small = sum_heldout(chosen, false, is_small);

	if (clean.runs > 0) {
		figure("verdict.nohook.clean_runs", clean.runs, "runs");
		figure("verdict.nohook.false_confirmed", clean.reached[VERDICT_CONFIRMED], "runs");
		figure("verdict.nohook.false_likely", clean.goal, "runs");
	}
	ratio("verdict.nohook.recall", large.found, large.runs);
	ratio("verdict.nohook.recall_1B", small.found, small.runs);
	ratio("verdict.nohook.site_first", own.site_first, own.sited);
	ratio("verdict.nohook.axis", own.axis_right, own.axis_told);
	if (own.rate_error.count > 0)
		ratio("verdict.nohook.rate_within_25", own.rate_near, own.rated);
	score_clear(&clean);
	score_clear(&own);
	score_clear(&large);
	score_clear(&small);
}

static void
print_latencies(const struct chosen *chosen)
{
	struct score sixteen = sum_family(chosen, true, "every_request"), one = sum_family(chosen, true, "one_byte");

	slowest("verdict.16B.suspect", &sixteen.latency[VERDICT_SUSPECT], sixteen.runs);
	slowest("verdict.16B.confirmed", &sixteen.latency[VERDICT_CONFIRMED], sixteen.runs);
	slowest("verdict.1B.confirmed", &one.latency[VERDICT_CONFIRMED], one.runs);
	score_clear(&sixteen);
	score_clear(&one);
}

/* The runs without a hook: nothing was evicted in them, and all went to their end. */
static void
print_baseline(const struct chosen *chosen, enum baseline_kind kind)
{
	struct score clean = sum_heldout(chosen, false, is_clean), large = sum_heldout(chosen, false, is_large);
	struct score sixteen = sum_family(chosen, false, "every_request"), one = sum_family(chosen, false, "one_byte");
	char name[64];

	if (clean.runs > 0) {
		(void) snprintf(name, sizeof(name), "baseline.%s.heldout.clean_runs", baseline_name(kind));
		figure(name, clean.runs, "runs");
		(void) snprintf(name, sizeof(name), "baseline.%s.heldout.false_confirmed", baseline_name(kind));
		figure(name, clean.alarms[kind], "runs");
	}
	(void) snprintf(name, sizeof(name), "baseline.%s.heldout.recall", baseline_name(kind));
	ratio(name, large.alarms[kind], large.runs);
	(void) snprintf(name, sizeof(name), "baseline.%s.16B.confirmed", baseline_name(kind));
	slowest(name, &sixteen.alarm_latency[kind], sixteen.runs);
	(void) snprintf(name, sizeof(name), "baseline.%s.1B.confirmed", baseline_name(kind));
	slowest(name, &one.alarm_latency[kind], one.runs);
	score_clear(&clean);
	score_clear(&large);
	score_clear(&sixteen);
	score_clear(&one);
}

void
figures_print(const struct run_order *orders, const struct run_result *results, size_t count)
{
	const struct chosen chosen = {orders, results, count};

	print_verdicts(&chosen);
	print_latencies(&chosen);
	print_without_hook(&chosen);
	for (unsigned kind = 0; kind < BASELINE_KINDS; kind++)
		print_baseline(&chosen, kind);
}
