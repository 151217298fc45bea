/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pace.h"

#include "monotonic.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum {
	PACE_WORK = 25,   /* microseconds at a stretch: what somebody who is served may have to wait */
	PACE_SLEEP = 225, /* microseconds between two: a tenth of a core is taken */
};

static _Thread_local struct {
	bool on;
	uint64_t since; /* when the stretch began */
} pace_state;

void
pace_begin(void)
{
	pace_state.on = true;
	pace_state.since = monotonic_now();
}

void
pace(void)
{
	if (!pace_state.on || monotonic_now() - pace_state.since < PACE_WORK)
		return;
	(void) nanosleep(&(struct timespec){.tv_nsec = PACE_SLEEP * 1000}, NULL);
	pace_state.since = monotonic_now();
}
