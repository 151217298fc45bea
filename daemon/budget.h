/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* budget.h - how often one plugin may be restarted by itself: after failures with backoff, for leaks so many an hour.
 *
 * Failures (a start that failed, an instance that had to be replaced) and planned restarts are counted apart: a plugin
 * that leaks is no plugin that crashes. After each failure the next try waits `initial`, then `factor` times as long,
 * `max` at most, each give or take `jitter` of it, so that plugins that fell together do not rise together; once it has
 * been healthy for `reset_after` all is forgotten. `burst` failures within `burst_within` spend the budget: from then
 * on tries are `max` apart.
 *
 * Pure: time (microseconds of any clock that moves on) and chance come in with each call.
 *
 * Threads: one at a time. Owns: nothing.
 */
#include <stdbool.h>
#include <stdint.h>

enum { BUDGET_TIMES = 64 };

struct budget_settings {
	uint64_t initial, max; /* microseconds, as all times here */
	double factor, jitter;
	uint64_t reset_after;
	int64_t burst; /* at most BUDGET_TIMES, as planned */
	uint64_t burst_within;
	int64_t planned;
	uint64_t planned_within;
};

struct budget_times {
	unsigned count; /* ever */
	uint64_t at[BUDGET_TIMES];
};

/* Zeroed at the beginning. */
struct budget {
	unsigned in_a_row;
	bool spent; /* a burst was seen */
	uint64_t last_failure, not_before;
	struct budget_times failures, planned;
};

/* random: 0 <= random < 1. */
void budget_failed(struct budget *budget, const struct budget_settings *settings, uint64_t now, double random);
/* False: not yet; *ret_wait (may be NULL) microseconds to go. */
bool budget_may_retry(const struct budget *budget, uint64_t now, uint64_t *ret_wait);
/* Too many failures in too short a time, and not healthy since. */
bool budget_is_spent(const struct budget *budget);
/* It serves: to be told now and then. */
void budget_healthy(struct budget *budget, const struct budget_settings *settings, uint64_t now);

/* Whether a planned restart is left; if not, *ret_wait (may be NULL) says in how many microseconds one is. */
bool budget_has_planned(const struct budget *budget, const struct budget_settings *settings, uint64_t now,
			uint64_t *ret_wait);
void budget_planned(struct budget *budget, uint64_t now);
