/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pace.h"

#include "monotonic.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum {
	PACE_WORK = 25,    /* microseconds at a stretch: what somebody who is served may have to wait */
	PACE_SLEEP = 1975, /* microseconds between two: an eightieth of a core is taken */
	PACE_OTHERS = 10,  /* microseconds of work of others that are nothing: less than any request takes */
	PACE_CALM = 4000,  /* microseconds without others after which nobody is thought to be served */
};

static _Thread_local struct {
	bool on;
	uint64_t since;  /* when the stretch began */
	uint64_t others; /* what the process's other threads had worked when they were last seen at it, in microseconds
			  */
	uint64_t seen;   /* when that was */
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
	else
		(void) nanosleep(&(struct timespec){.tv_nsec = PACE_SLEEP * 1000}, NULL);
	pace_state.since = monotonic_now();
}
