/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "timeline.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The linker's: where this program's own code lies. */
extern const char __executable_start[], etext[];

static struct {
	pthread_mutex_t lock; /* guards the rest but for reading now on the thread that moves it */
	pthread_cond_t moved, slept;
	uint64_t now;
	uint64_t earliest; /* of those asleep */
	unsigned asleep;
	unsigned awake; /* were woken, and do not sleep again yet */
	bool begun;
} timeline = {.lock = PTHREAD_MUTEX_INITIALIZER,
	      .moved = PTHREAD_COND_INITIALIZER,
	      .slept = PTHREAD_COND_INITIALIZER,
	      .earliest = UINT64_MAX};

void
timeline_begin(uint64_t now)
{
	timeline.now = now;
	timeline.begun = true;
}

uint64_t
timeline_now(void)
{
	return __atomic_load_n(&timeline.now, __ATOMIC_RELAXED);
}

void
timeline_settle(unsigned sleepers)
{
	pthread_mutex_lock(&timeline.lock);
	while (timeline.asleep < sleepers)
		pthread_cond_wait(&timeline.slept, &timeline.lock);
	pthread_mutex_unlock(&timeline.lock);
}

void
timeline_advance(uint64_t now)
{
	pthread_mutex_lock(&timeline.lock);
	__atomic_store_n(&timeline.now, now, __ATOMIC_RELAXED);
	if (timeline.earliest <= now) {
		/* Each of the sleepers looks; who is not due goes back to sleep at once. */
		timeline.earliest = UINT64_MAX;
		timeline.awake = timeline.asleep;
		timeline.asleep = 0;
		pthread_cond_broadcast(&timeline.moved);
		while (timeline.awake > 0)
			pthread_cond_wait(&timeline.slept, &timeline.lock);
	}
	pthread_mutex_unlock(&timeline.lock);
}

/* --- what plugins call ------------------------------------------------------------------------------------------- */

static bool
is_ours(const void *caller)
{
	return (const char *) caller >= __executable_start && (const char *) caller < etext;
}

int
clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (!timeline.begun || is_ours(__builtin_return_address(0)))
		return (int) syscall(SYS_clock_gettime, clock, ret);
	uint64_t now = timeline_now();
	ret->tv_sec = (time_t) (now / 1000000);
	ret->tv_nsec = (long) (now % 1000000 * 1000);
	return 0;
}

int
nanosleep(const struct timespec *time, struct timespec *left)
{
	if (!timeline.begun || is_ours(__builtin_return_address(0)))
		return (int) syscall(SYS_nanosleep, time, left);
	pthread_mutex_lock(&timeline.lock);
	uint64_t until = timeline.now + (uint64_t) time->tv_sec * 1000000 + (uint64_t) time->tv_nsec / 1000;
	/* Whoever sleeps the first time was not waited for. */
	static _Thread_local bool known;
	if (known && timeline.awake > 0)
		timeline.awake--;
	known = true;
	for (;;) {
		timeline.asleep++;
		if (until < timeline.earliest)
			timeline.earliest = until;
		pthread_cond_broadcast(&timeline.slept);
		uint64_t since = timeline.now;
		while (timeline.now == since)
			pthread_cond_wait(&timeline.moved, &timeline.lock);
		if (until <= timeline.now)
			break;
		timeline.awake--;
	}
	pthread_mutex_unlock(&timeline.lock);
	return 0;
}
