/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "deadline.h"

#include "cleanup.h"
#include "monotonic.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

/* One revolution is 51.2 s: most deadlines of a server lie within it, so that a slot holds few of a later round. */
enum { SLOTS = 1024, TICK = 50000 };

struct deadline_wheel {
	uint64_t (*clock)(void);
	pthread_mutex_t lock; /* guards all below and the links of every armed deadline */
	pthread_cond_t wake;  /* the thread: something is due earlier than it sleeps */
	pthread_cond_t done;  /* deadline_cancel: an expire has ended */
	pthread_t thread;
	pthread_t runner;         /* valid while running is set */
	struct deadline *running; /* its expire is being called */
	struct deadline *due;     /* unlinked from their slots, about to expire */
	uint64_t turned;          /* the last tick that was looked at */
	uint64_t sleeps_until;    /* tick; UINT64_MAX: until it is woken */
	size_t armed;
	bool threaded, stop;
	struct deadline *slots[SLOTS];
};

static void
deadline_link(struct deadline **head, struct deadline *deadline)
{
	deadline->next = *head;
	if (deadline->next)
		deadline->next->link = &deadline->next;
	deadline->link = head;
	*head = deadline;
}

static void
deadline_unlink(struct deadline *deadline)
{
	*deadline->link = deadline->next;
	if (deadline->next)
		deadline->next->link = deadline->link;
	deadline->next = NULL;
	deadline->link = NULL;
}

static void
wheel_collect(struct deadline_wheel *wheel, uint64_t tick, uint64_t now)
{
	struct deadline *next;
	for (struct deadline *deadline = wheel->slots[tick % SLOTS]; deadline; deadline = next) {
		next = deadline->next;
		if (deadline->at > now)
			continue; /* a later round */
		deadline_unlink(deadline);
		deadline_link(&wheel->due, deadline);
	}
}

static void
wheel_run_due(struct deadline_wheel *wheel)
{
	while (wheel->due) {
		struct deadline *deadline = wheel->due;
		deadline_unlink(deadline);
		wheel->armed--;
		wheel->running = deadline;
		wheel->runner = pthread_self();
		pthread_mutex_unlock(&wheel->lock);
		deadline->expire(deadline);
		pthread_mutex_lock(&wheel->lock);
		wheel->running = NULL;
		pthread_cond_broadcast(&wheel->done);
	}
}

static void
wheel_turn_locked(struct deadline_wheel *wheel)
{
	uint64_t now = wheel->clock(), last = now / TICK;
	if (last <= wheel->turned)
		return;
	/* After a long pause every slot needs one look only. */
	uint64_t first = last - wheel->turned > SLOTS ? last - SLOTS + 1 : wheel->turned + 1;
	wheel->turned = last;
	for (uint64_t tick = first; tick <= last; tick++)
		wheel_collect(wheel, tick, now);
	wheel_run_due(wheel);
}

/* The next tick at which a slot that is not empty comes up. */
static uint64_t
wheel_next(const struct deadline_wheel *wheel)
{
	if (!wheel->armed)
		return UINT64_MAX;
	for (uint64_t tick = wheel->turned + 1; tick <= wheel->turned + SLOTS; tick++)
		if (wheel->slots[tick % SLOTS])
			return tick;
	return UINT64_MAX;
}

static void *
wheel_thread(void *arg)
{
	struct deadline_wheel *wheel = arg;
	pthread_mutex_lock(&wheel->lock);
	while (!wheel->stop) {
		wheel_turn_locked(wheel);
		if (wheel->stop)
			break;
		wheel->sleeps_until = wheel_next(wheel);
		if (wheel->sleeps_until == UINT64_MAX) {
			pthread_cond_wait(&wheel->wake, &wheel->lock);
		} else if (wheel->sleeps_until > wheel->clock() / TICK) {
			uint64_t at = wheel->sleeps_until * TICK;
			struct timespec until = {.tv_sec = (time_t) (at / 1000000),
						 .tv_nsec = (long) (at % 1000000 * 1000)};
			pthread_cond_timedwait(&wheel->wake, &wheel->lock, &until);
		}
	}
	pthread_mutex_unlock(&wheel->lock);
	return NULL;
}

int
deadline_wheel_new(uint64_t (*clock)(void), struct deadline_wheel **ret)
{
	struct deadline_wheel *wheel = calloc(1, sizeof(*wheel));
	if (!wheel)
		return -ENOMEM;
	wheel->clock = clock ? clock : monotonic_now;
	wheel->turned = wheel->clock() / TICK;
	wheel->sleeps_until = UINT64_MAX;
	pthread_mutex_init(&wheel->lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&wheel->wake, &monotonic);
	pthread_cond_init(&wheel->done, NULL);
	pthread_condattr_destroy(&monotonic);
	if (!clock) {
		int r = pthread_create(&wheel->thread, NULL, wheel_thread, wheel);
		if (r) {
			deadline_wheel_free(&wheel);
			return -r;
		}
		wheel->threaded = true;
		(void) pthread_setname_np(wheel->thread, "deadline");
	}
	*ret = wheel;
	return 0;
}

void
deadline_wheel_turn(struct deadline_wheel *wheel)
{
	pthread_mutex_lock(&wheel->lock);
	wheel_turn_locked(wheel);
	pthread_mutex_unlock(&wheel->lock);
}

uint64_t
deadline_now(const struct deadline_wheel *wheel)
{
	return wheel->clock();
}

void
deadline_init(struct deadline *deadline, void (*expire)(struct deadline *))
{
	*deadline = (struct deadline){.expire = expire};
}

void
deadline_arm(struct deadline_wheel *wheel, struct deadline *deadline, uint64_t at)
{
	pthread_mutex_lock(&wheel->lock);
	if (deadline->link)
		deadline_unlink(deadline);
	else
		wheel->armed++;
	deadline->at = at;
	/* Rounded up: at the start of that tick the deadline has passed. */
	uint64_t tick = at / TICK + (at % TICK != 0);
	if (tick <= wheel->turned)
		tick = wheel->turned + 1;
	deadline_link(&wheel->slots[tick % SLOTS], deadline);
	if (tick < wheel->sleeps_until) {
		wheel->sleeps_until = tick;
		pthread_cond_signal(&wheel->wake);
	}
	pthread_mutex_unlock(&wheel->lock);
}

void
deadline_cancel(struct deadline_wheel *wheel, struct deadline *deadline)
{
	pthread_mutex_lock(&wheel->lock);
	for (;;) {
		if (deadline->link) {
			deadline_unlink(deadline);
			wheel->armed--;
		}
		if (wheel->running != deadline || pthread_equal(wheel->runner, pthread_self()))
			break;
		pthread_cond_wait(&wheel->done, &wheel->lock); /* it may arm itself again meanwhile */
	}
	pthread_mutex_unlock(&wheel->lock);
}

void
deadline_wheel_free(struct deadline_wheel **wheel)
{
	if (!*wheel)
		return;
	struct deadline_wheel *old = STEAL(*wheel);
	if (old->threaded) {
		pthread_mutex_lock(&old->lock);
		old->stop = true;
		pthread_cond_signal(&old->wake);
		pthread_mutex_unlock(&old->lock);
		pthread_join(old->thread, NULL);
	}
	assert(!old->armed);
	pthread_cond_destroy(&old->wake);
	pthread_cond_destroy(&old->done);
	pthread_mutex_destroy(&old->lock);
	free(old);
}
