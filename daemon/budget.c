/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "budget.h"

#include <stddef.h>

static void
times_add(struct budget_times *times, uint64_t now)
{
	times->at[times->count++ % BUDGET_TIMES] = now;
}

/* The nth last, 1 for the last; n is at most the count and BUDGET_TIMES. */
static uint64_t
times_last(const struct budget_times *times, unsigned n)
{
	return times->at[(times->count - n) % BUDGET_TIMES];
}

/* Whether the last n lie within so much time of now. */
static bool
times_are_full(const struct budget_times *times, int64_t n, uint64_t within, uint64_t now)
{
	if (n <= 0)
		return true;
	if (n > BUDGET_TIMES)
		n = BUDGET_TIMES;
	return times->count >= n && now - times_last(times, (unsigned) n) < within;
}

void
budget_failed(struct budget *budget, const struct budget_settings *settings, uint64_t now, double random)
{
	double wait = (double) settings->initial, max = (double) settings->max;

	times_add(&budget->failures, now);
	for (unsigned i = 0; i < budget->in_a_row && wait < max; i++)
		wait *= settings->factor > 1 ? settings->factor : 2;
	if (settings->burst > 0 && times_are_full(&budget->failures, settings->burst, settings->burst_within, now))
		budget->spent = true;
	if (wait > max || budget->spent)
		wait = max;
	wait *= 1 + settings->jitter * (2 * random - 1);
	budget->in_a_row++;
	budget->last_failure = now;
	budget->not_before = now + (uint64_t) wait;
}

bool
budget_may_retry(const struct budget *budget, uint64_t now, uint64_t *ret_wait)
{
	bool may = now >= budget->not_before;

	if (!may && ret_wait != NULL)
		*ret_wait = budget->not_before - now;
	return may;
}

bool
budget_is_spent(const struct budget *budget)
{
	return budget->spent;
}

void
budget_healthy(struct budget *budget, const struct budget_settings *settings, uint64_t now)
{
	if (budget->in_a_row > 0 && now - budget->last_failure >= settings->reset_after) {
		budget->in_a_row = 0;
		budget->spent = false;
		budget->not_before = 0;
		budget->failures.count = 0;
	}
}

bool
budget_has_planned(const struct budget *budget, const struct budget_settings *settings, uint64_t now,
		   uint64_t *ret_wait)
{
	int64_t n = settings->planned < BUDGET_TIMES ? settings->planned : BUDGET_TIMES;
	bool full = times_are_full(&budget->planned, n, settings->planned_within, now);

	if (full && ret_wait != NULL)
		*ret_wait = n <= 0 ? UINT64_MAX
				   : times_last(&budget->planned, (unsigned) n) + settings->planned_within - now;
	return !full;
}

void
budget_planned(struct budget *budget, uint64_t now)
{
	times_add(&budget->planned, now);
}
