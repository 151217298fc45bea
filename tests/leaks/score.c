/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double NEAR = 0.25;

static void
list_add(struct score_list *list, double value)
{
	if (list->count == list->room) {
		list->room = list->room * 2 + 16;
		list->values = reallocarray(list->values, list->room, sizeof(*list->values));
		if (list->values == NULL)
			abort();
	}
	list->values[list->count++] = value;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *) a, y = *(const double *) b;
	return (x > y) - (x < y);
}

double
score_quantile(struct score_list *list, double q)
{
	if (list->count == 0)
		return (double) NAN;
	qsort(list->values, list->count, sizeof(*list->values), compare);
	return list->values[(size_t) ceil(q * (double) (list->count - 1))];
}

void
score_clear(struct score *score)
{
	for (unsigned i = 0; i <= VERDICT_CONFIRMED; i++)
		free(score->latency[i].values);
	for (unsigned i = 0; i < BASELINE_KINDS; i++)
		free(score->alarm_latency[i].values);
	free(score->rate_error.values);
	*score = (struct score){0};
}

/* How far the rate is off: by its own axis if that is right, else by bytes a request. Negative: not known. */
static double
rate_error(const struct label *label, const struct run_result *result)
{
	bool own = (label->axes & 1U << result->axis) != 0;
	double truth = own ? result->true_rate : result->true_per_request;

	/* A buffer that grows in steps has no rate to be near to. */
	if (truth <= 0 || label->bytes <= 0)
		return -1;
	return fabs((own ? result->rate : result->per_request) / truth - 1);
}

static void
add_found(struct score *score, const struct label *label, const struct run_result *result)
{
	double error = rate_error(label, result);

	score->found++;
	if (label->site[0] != '\0') {
		score->sited++;
		score->site_first += strcmp(result->site, label->site) == 0;
	}
	if (label->axes != 0) {
		score->axed++;
		score->axis_told += result->separable;
		score->axis_right += result->separable && (label->axes & 1U << result->axis) != 0;
	}
	if (error >= 0) {
		score->rated++;
		score->rate_near += error <= NEAR;
		list_add(&score->rate_error, error);
	}
}

void
score_add(struct score *score, const struct run_order *order, const struct run_result *result)
{
	const struct label *label = order->label;
	enum verdict_outcome goal = order->hook ? VERDICT_CONFIRMED : VERDICT_LIKELY;

	score->runs++;
	score->took += result->took;
	if (result->failed) {
		score->failed++;
		return;
	}
	score->early += result->early;
	score->probes += result->probes;
	score->rejected += result->rejected;
	for (unsigned i = VERDICT_SUSPECT; i <= VERDICT_CONFIRMED; i++) {
		if (result->reached[i] == RUN_NEVER)
			continue;
		score->reached[i]++;
		list_add(&score->latency[i], (double) result->reached[i]);
	}
	for (unsigned i = 0; i < BASELINE_KINDS; i++) {
		if (result->alarm[i] == RUN_NEVER)
			continue;
		score->alarms[i]++;
		list_add(&score->alarm_latency[i], (double) result->alarm[i]);
	}
	if (result->early || result->reached[goal] == RUN_NEVER)
		return;
	score->goal++;
	if (label->leaky && (label->classes & 1U << result->class) != 0)
		add_found(score, label, result);
}

/* --- table ------------------------------------------------------------------------------------------------------- */

void
score_print_head(FILE *file)
{
	(void) fprintf(file,
		       "%-16s %-5s %-4s %4s | %4s %8s %4s %8s %4s %8s | %5s %5s %5s %6s | %4s %4s %4s | %5s\n"
		       "%-16s %-5s %-4s %4s | %13s %13s %13s | %5s %5s %5s %6s | %14s | %5s\n",
		       "", "", "", "", "susp", "median", "lkly", "median", "conf", "median", "found", "site", "axis",
		       "rate", "mk", "ols", "rss", "s/run", "family", "kind", "hook", "runs", "requests", "requests",
		       "requests", "", "first", "right", "error", "alarms", "");
}

/* "never" where there is none. */
static const char *
number(char *text, size_t size, double value)
{
	if (isnan(value))
		(void) snprintf(text, size, "-");
	else
		(void) snprintf(text, size, "%.0f", value);
	return text;
}

static const char *
share(char *text, size_t size, unsigned part, unsigned whole)
{
	if (whole == 0)
		(void) snprintf(text, size, "-");
	else
		(void) snprintf(text, size, "%.2f", (double) part / whole);
	return text;
}

void
score_print_row(FILE *file, const char *name, const char *kind, bool hook, struct score *score)
{
	char text[7][16], error[16] = "-";
	double middle = score_quantile(&score->rate_error, 0.5);

	if (!isnan(middle))
		(void) snprintf(error, sizeof(error), "%.0f%%", middle * 100);
	(void) fprintf(file, "%-16s %-5s %-4s %4u | %4u %8s %4u %8s %4u %8s | %5s %5s %5s %6s | %4u %4u %4u | %5.2f",
		       name, kind, hook ? "yes" : "no", score->runs, score->reached[VERDICT_SUSPECT],
		       number(text[0], sizeof(text[0]), score_quantile(&score->latency[VERDICT_SUSPECT], 0.5)),
		       score->reached[VERDICT_LIKELY],
		       number(text[1], sizeof(text[1]), score_quantile(&score->latency[VERDICT_LIKELY], 0.5)),
		       score->reached[VERDICT_CONFIRMED],
		       number(text[2], sizeof(text[2]), score_quantile(&score->latency[VERDICT_CONFIRMED], 0.5)),
		       share(text[3], sizeof(text[3]), score->found, score->runs),
		       share(text[4], sizeof(text[4]), score->site_first, score->sited),
		       share(text[5], sizeof(text[5]), score->axis_right, score->axis_told), error,
		       score->alarms[BASELINE_MK], score->alarms[BASELINE_OLS], score->alarms[BASELINE_RSS],
		       score->runs > 0 ? score->took / score->runs : 0);
	if (score->failed + score->early > 0)
		(void) fprintf(file, "  %u failed, %u early", score->failed, score->early);
	(void) fputc('\n', file);
}
