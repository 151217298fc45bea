/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "figures.h"

#include "score.h"

#include <math.h>
#include <stdio.h>

/* Bytes a request of the leaks the stricter bar is about. */
static const double LARGE = 4;

struct chosen {
	const struct run_order *orders;
	const struct run_result *results;
	size_t count;
	enum label_part part;
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
sum_part(const struct chosen *chosen, bool hook, bool (*is_wanted)(const struct label *))
{
	struct score score = {0};

	for (size_t i = 0; i < chosen->count; i++) {
		const struct run_order *order = &chosen->orders[i];
		if (order->label->part == chosen->part && order->hook == hook && is_wanted(order->label))
			score_add(&score, order, &chosen->results[i]);
	}
	return score;
}

static struct score
sum_bar(const struct chosen *chosen, bool hook, unsigned bar)
{
	struct score score = {0};

	for (size_t i = 0; i < chosen->count; i++) {
		const struct run_order *order = &chosen->orders[i];
		if (order->label->part == chosen->part && order->hook == hook && order->label->bar == bar)
			score_add(&score, order, &chosen->results[i]);
	}
	return score;
}

static const char *
part_word(const struct chosen *chosen)
{
	return chosen->part == LABEL_SEALED ? "heldout" : label_part_name(chosen->part);
}

/* kind.part.what: valid until the next call. */
static const char *
name_of(const struct chosen *chosen, const char *kind, const char *what)
{
	static char name[96];

	(void) snprintf(name, sizeof(name), "%s.%s.%s", kind, part_word(chosen), what);
	return name;
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
	struct score clean = sum_part(chosen, true, is_clean), own = sum_part(chosen, true, is_own_leak);
	struct score large = sum_part(chosen, true, is_large), small = sum_part(chosen, true, is_small);

	if (clean.runs > 0) {
		figure(name_of(chosen, "verdict", "clean_runs"), clean.runs, "runs");
		figure(name_of(chosen, "verdict", "false_confirmed"), clean.goal + own.early, "runs");
	}
	ratio(name_of(chosen, "verdict", "recall"), large.found, large.runs);
	ratio(name_of(chosen, "verdict", "recall_1B"), small.found, small.runs);
	ratio(name_of(chosen, "verdict", "site_first"), own.site_first, own.sited);
	ratio(name_of(chosen, "verdict", "axis"), own.axis_right, own.axis_told);
	ratio(name_of(chosen, "verdict", "axis_told"), own.axis_told, own.axed);
	if (own.rate_error.count > 0) {
		figure(name_of(chosen, "verdict", "rate_error"), 100 * score_quantile(&own.rate_error, 0.5), "percent");
		figure(name_of(chosen, "verdict", "rate_error_p95"), 100 * score_quantile(&own.rate_error, 0.95),
		       "percent");
		ratio(name_of(chosen, "verdict", "rate_within_25"), own.rate_near, own.rated);
	}
	score_clear(&clean);
	score_clear(&own);
	score_clear(&large);
	score_clear(&small);
}

static void
print_without_hook(const struct chosen *chosen)
{
	struct score clean = sum_part(chosen, false, is_clean), own = sum_part(chosen, false, is_own_leak);
	struct score large = sum_part(chosen, false, is_large), small = sum_part(chosen, false, is_small);

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
	struct score sixteen = sum_bar(chosen, true, 16), one = sum_bar(chosen, true, 1);

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
	struct score clean = sum_part(chosen, false, is_clean), large = sum_part(chosen, false, is_large);
	struct score sixteen = sum_bar(chosen, false, 16), one = sum_bar(chosen, false, 1);
	char name[64], who[32];

	(void) snprintf(who, sizeof(who), "baseline.%s", baseline_name(kind));
	if (clean.runs > 0) {
		figure(name_of(chosen, who, "clean_runs"), clean.runs, "runs");
		figure(name_of(chosen, who, "false_confirmed"), clean.alarms[kind], "runs");
	}
	ratio(name_of(chosen, who, "recall"), large.alarms[kind], large.runs);
	(void) snprintf(name, sizeof(name), "%s.16B.confirmed", who);
	slowest(name, &sixteen.alarm_latency[kind], sixteen.runs);
	(void) snprintf(name, sizeof(name), "%s.1B.confirmed", who);
	slowest(name, &one.alarm_latency[kind], one.runs);
	score_clear(&clean);
	score_clear(&large);
	score_clear(&sixteen);
	score_clear(&one);
}

void
figures_print(const struct run_order *orders, const struct run_result *results, size_t count, enum label_part part)
{
	const struct chosen chosen = {orders, results, count, part};

	print_verdicts(&chosen);
	print_latencies(&chosen);
	print_without_hook(&chosen);
	for (unsigned kind = 0; kind < BASELINE_KINDS; kind++)
		print_baseline(&chosen, kind);
}
