/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pace.h"

#include "monotonic.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum {
	/* Microseconds. Each stretch makes a request or a few late, and p99 is about a hundredth of all. */
	PACE_WORK = 25,    /* at a stretch: what somebody who is served may have to wait */
	PACE_SLEEP = 7975, /* between two */
	PACE_SHORT = 1975, /* after PACE_MANY: the largest heap shall be read in seconds too */
	PACE_OTHERS = 10,  /* work of others that is nothing: less than any request takes */
	PACE_CALM = 12000, /* without others, and nobody is thought to be served */
	PACE_MANY = 250,
};

static _Thread_local struct {
	bool on;
	uint64_t since;  /* when the stretch began */
	uint64_t others; /* what the process's other threads had worked when last seen at it, in microseconds */
	uint64_t seen;   /* when that was */
	unsigned sleeps;
} pace_state;

static uint64_t
pace_clock(clockid_t clock)
{
	struct timespec used;

	(void) clock_gettime(clock, &used);
	return (uint64_t) used.tv_sec * 1000000 + (uint64_t) used.tv_nsec / 1000;
}

/* True: no other thread of this process has worked for a while. */
static bool
pace_alone(uint64_t now)
{
	uint64_t others = pace_clock(CLOCK_PROCESS_CPUTIME_ID) - pace_clock(CLOCK_THREAD_CPUTIME_ID);

	if ((int64_t) (others - pace_state.others) > PACE_OTHERS) {
		pace_state.others = others;
		pace_state.seen = now;
	}
	return now - pace_state.seen > PACE_CALM;
}

void
pace_begin(void)
{
	pace_state.on = true;
	pace_state.sleeps = 0;
	pace_state.since = pace_state.seen = monotonic_now();
}

void
pace(void)
{
	uint64_t now;

	if (!pace_state.on || (now = monotonic_now()) - pace_state.since < PACE_WORK)
		return;
	if (pace_alone(now))
		(void) sched_yield(); /* to who may have been woken on this core */
	else {
		long sleep = pace_state.sleeps++ < PACE_MANY ? PACE_SLEEP : PACE_SHORT;
		(void) nanosleep(&(struct timespec){.tv_nsec = sleep * 1000}, NULL);
	}
	pace_state.since = monotonic_now();
}
