/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* score.h - what the runs of a family, or of many, come to.
 *
 * Found: the goal (CONFIRMED, without a hook LIKELY) was reached, not before there was anything to find, and with a
 * class the label accepts. Of a clean plugin the same is a false alarm, whatever the class. Sites, rates and axes are
 * those of the verdict that counts (run.h); an axis counts where the verdict says it can be told.
 *
 * Threads: one. Owns: its lists, until score_clear.
 */
#include "run.h"

#include <stdio.h>

struct score_list {
	double *values;
	size_t count, room;
};

struct score {
	unsigned runs, failed, early;
	unsigned reached[VERDICT_CONFIRMED + 1];
	unsigned goal, found; /* reached the goal; and is accepted */
	unsigned sited, site_first;
	unsigned axed, axis_told, axis_right;
	unsigned rated, rate_near; /* within 25 % */
	unsigned probes, rejected;
	unsigned alarms[BASELINE_KINDS];
	struct score_list latency[VERDICT_CONFIRMED + 1];
	struct score_list alarm_latency[BASELINE_KINDS];
	struct score_list rate_error; /* relative */
	double took;
};

void score_add(struct score *score, const struct run_order *order, const struct run_result *result);
void score_clear(struct score *score);
/* q: 0..1. NAN if the list is empty. */
double score_quantile(struct score_list *list, double q);

/* A table: its head, a row a family and hook, a row of sums. */
void score_print_head(FILE *file);
void score_print_row(FILE *file, const char *name, const char *kind, bool hook, struct score *score);
