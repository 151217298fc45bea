/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* wall-plan.h - which paths a configuration needs, and whether one plan holds all of another.
 *
 * Threads: pure but for looking up real paths. Owns: its strings.
 */
#include "config.h"

#include <stdbool.h>
#include <stddef.h>

struct wall_grant {
	char *path; /* a file or a folder with all below it; real at the time of the plan */
	bool write;
};

struct wall_plan {
	bool files, calls; /* which walls are asked for */
	bool network;      /* some plugin connects out */
	bool exec;         /* some plugin starts programs */
	struct wall_grant *grants;
	size_t count;
};

/* -ENOMEM. */
int wall_plan_make(const struct config *config, struct wall_plan *ret);
/* The first thing of `wanted` that `plan` lacks, as words for a sentence; NULL: nothing. */
const char *wall_plan_lacks(const struct wall_plan *plan, const struct wall_plan *wanted);
void wall_plan_clear(struct wall_plan *plan);
