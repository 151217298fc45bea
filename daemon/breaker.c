/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "breaker.h"

#include "cleanup.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

/* A refused client is told to wait this long where nobody knows better. */
enum { BREAKER_PAUSE = 1000000 };

struct breaker {
	/* read by every request, written on changes only */
	atomic_bool shut;      /* not closed, or stopped */
	atomic_llong in_a_row; /* failures */
	_Atomic int64_t failures;

	pthread_mutex_t lock; /* guards the rest */
	struct breaker_settings settings;
	bool open, held, stopped, trying;
	bool proved; /* it was a trial that closed it last, at closed_at */
	uint64_t until, closed_at;
	unsigned level; /* how often it opened again soon */
	uint64_t opened, closed, trials;
};

const char *
breaker_state_name(enum breaker_state state)
{
	static const char *const names[] = {
		[BREAKER_CLOSED] = "closed",
		[BREAKER_OPEN] = "open",
		[BREAKER_HALF_OPEN] = "half-open",
		[BREAKER_STOPPED] = "stopped",
	};
	return names[state];
}

int
breaker_new(struct breaker **ret)
{
	struct breaker *breaker = calloc(1, sizeof(*breaker));
	if (breaker == NULL)
		return -ENOMEM;
	pthread_mutex_init(&breaker->lock, NULL);
	breaker->settings = (struct breaker_settings){.open = 30000000, .max_open = 300000000};
	*ret = breaker;
	return 0;
}

void
breaker_free(struct breaker **breakerp)
{
	struct breaker *breaker = *breakerp;
	if (breaker == NULL)
		return;
	pthread_mutex_destroy(&breaker->lock);
	free(breaker);
	*breakerp = NULL;
}

void
breaker_set(struct breaker *breaker, const struct breaker_settings *settings)
{
	pthread_mutex_lock(&breaker->lock);
	breaker->settings = *settings;
	atomic_store(&breaker->failures, settings->failures);
	pthread_mutex_unlock(&breaker->lock);
}

/* With the lock held. */
static void
publish(struct breaker *breaker)
{
	atomic_store(&breaker->shut, breaker->open || breaker->stopped);
}

/* With the lock held. */
static uint64_t
open_time(const struct breaker *breaker)
{
	uint64_t time = breaker->settings.open;

	for (unsigned i = 0; i < breaker->level && time < breaker->settings.max_open; i++)
		time *= 2;
	return time < breaker->settings.max_open ? time : breaker->settings.max_open;
}

/* With the lock held. */
static void
open_now(struct breaker *breaker, uint64_t now)
{
	if (!breaker->open) {
		bool soon = breaker->proved && now - breaker->closed_at < breaker->settings.max_open;
		breaker->level = soon ? breaker->level + 1 : 0;
		breaker->opened++;
	}
	breaker->open = true;
	breaker->trying = false;
	breaker->until = now + open_time(breaker);
	atomic_store(&breaker->in_a_row, 0);
	publish(breaker);
}

/* With the lock held. */
static void
close_now(struct breaker *breaker)
{
	breaker->open = breaker->trying = false;
	breaker->closed++;
	atomic_store(&breaker->in_a_row, 0);
	publish(breaker);
}

bool
breaker_is_closed(const struct breaker *breaker)
{
	return !atomic_load_explicit(&((struct breaker *) breaker)->shut, memory_order_relaxed);
}

bool
breaker_admit(struct breaker *breaker, uint64_t now, bool *ret_trial, uint64_t *ret_wait)
{
	bool admitted = true, trial = false;
	uint64_t wait = BREAKER_PAUSE;

	pthread_mutex_lock(&breaker->lock);
	if (breaker->stopped) {
		admitted = false;
	} else if (breaker->open) {
		trial = now >= breaker->until && !breaker->trying;
		admitted = trial;
		if (now < breaker->until)
			wait = breaker->until - now;
		breaker->trying |= trial;
		breaker->trials += trial;
	}
	pthread_mutex_unlock(&breaker->lock);
	*ret_trial = trial;
	if (!admitted)
		*ret_wait = wait;
	return admitted;
}

static void
trial_ended(struct breaker *breaker, uint64_t now, enum breaker_outcome outcome)
{
	pthread_mutex_lock(&breaker->lock);
	/* Opened anew, or closed, meanwhile: the trial was one of an earlier time. */
	bool counts = breaker->open && breaker->trying;
	breaker->trying = false;
	if (counts && outcome == BREAKER_GOOD && !breaker->held) {
		close_now(breaker);
		breaker->proved = true;
		breaker->closed_at = now;
	} else if (counts && outcome != BREAKER_UNKNOWN) {
		breaker->level += outcome == BREAKER_BAD;
		breaker->until = now + open_time(breaker);
	}
	pthread_mutex_unlock(&breaker->lock);
}

static void
count_failure(struct breaker *breaker, uint64_t now)
{
	int64_t limit = atomic_load(&breaker->failures);

	if (limit == 0 || atomic_fetch_add(&breaker->in_a_row, 1) + 1 < limit)
		return;
	pthread_mutex_lock(&breaker->lock);
	if (!breaker->open)
		open_now(breaker, now);
	pthread_mutex_unlock(&breaker->lock);
}

void
breaker_ended(struct breaker *breaker, uint64_t now, bool trial, enum breaker_outcome outcome)
{
	if (trial)
		trial_ended(breaker, now, outcome);
	else if (outcome == BREAKER_BAD && breaker_is_closed(breaker))
		count_failure(breaker, now);
	else if (outcome == BREAKER_GOOD && atomic_load_explicit(&breaker->in_a_row, memory_order_relaxed) != 0)
		atomic_store(&breaker->in_a_row, 0);
}

void
breaker_trip(struct breaker *breaker, uint64_t now)
{
	pthread_mutex_lock(&breaker->lock);
	open_now(breaker, now);
	pthread_mutex_unlock(&breaker->lock);
}

void
breaker_hold(struct breaker *breaker, uint64_t now)
{
	pthread_mutex_lock(&breaker->lock);
	breaker->held = true;
	if (!breaker->open)
		open_now(breaker, now);
	pthread_mutex_unlock(&breaker->lock);
}

void
breaker_let(struct breaker *breaker)
{
	pthread_mutex_lock(&breaker->lock);
	breaker->held = breaker->proved = false; /* the next opening is no relapse */
	if (breaker->open)
		close_now(breaker);
	pthread_mutex_unlock(&breaker->lock);
}

void
breaker_stop(struct breaker *breaker, bool stop)
{
	pthread_mutex_lock(&breaker->lock);
	breaker->stopped = stop;
	publish(breaker);
	pthread_mutex_unlock(&breaker->lock);
}

void
breaker_view(struct breaker *breaker, uint64_t now, struct breaker_view *ret)
{
	pthread_mutex_lock(&breaker->lock);
	*ret = (struct breaker_view){
		.state = breaker->stopped                           ? BREAKER_STOPPED
			 : !breaker->open                           ? BREAKER_CLOSED
			 : breaker->trying || now >= breaker->until ? BREAKER_HALF_OPEN
								    : BREAKER_OPEN,
		.until = breaker->until,
		.held = breaker->held,
		.opened = breaker->opened,
		.closed = breaker->closed,
		.trials = breaker->trials,
	};
	pthread_mutex_unlock(&breaker->lock);
}
