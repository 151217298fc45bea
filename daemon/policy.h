/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* policy.h - what is to be done about a plugin: verdict, limits and budgets in, actions out.
 *
 * Verdicts: each rise (suspect, likely, confirmed) has its list of actions, done once an instance; what grows but is no
 * leak (a cache, state of clients, fragmentation) is logged only. A restart is *wanted* first and *due* when its
 * conditions hold: so close to the limit, or so many bytes, and then a quiet moment or the end of patience.
 *
 * Limits: from the soft limit on eviction is asked for with a probability that rises linearly to 1 at the hard one.
 * From POLICY_NEAR percent of the hard limit all is evicted, and if that does not help the instance is replaced; from
 * POLICY_STOP percent on, own bytes alone, nothing is admitted until that is done. Else own and foreign bytes count
 * together: libraries are never refused memory, so somebody must act before the machine has none.
 *
 * Without a restart left the breaker is held, once libraries have taken it past its limit or its own allocations fail,
 * until it is clear of the limit again: a plugin that lives close to its limit in peace is left in peace.
 *
 * A restart that takes back next to nothing stops the loop: the leak is elsewhere.
 *
 * Pure: time (microseconds of a clock that moves on) and chance come in; what it remembers lies in struct policy.
 *
 * Threads: one at a time. Owns: nothing.
 */
#include "verdict.h"

enum policy_action { /* bits in the order of the configuration's words, log|dump|evict|restart|breaker */
		     POLICY_LOG = 1 << 0,
		     POLICY_DUMP = 1 << 1,
		     POLICY_EVICT = 1 << 2,
		     POLICY_RESTART = 1 << 3,
		     POLICY_BREAKER = 1 << 4,
};

enum {
	POLICY_NEAR = 90,       /* percent of the hard limit: replace */
	POLICY_STOP = 97,       /* percent: and admit nothing meanwhile */
	POLICY_TAKEN_BACK = 20, /* percent of what was held that a restart for a leak must take back */
};

enum policy_limit { POLICY_LIMIT_RESTART, POLICY_LIMIT_IGNORE };
enum policy_exhausted { POLICY_EXHAUSTED_BREAKER, POLICY_EXHAUSTED_STAY };

struct policy_settings {
	unsigned on_suspect, on_likely, on_confirmed; /* policy_action */
	bool quiet;
	uint64_t quiet_wait;    /* microseconds after which a moment need not be quiet any more */
	int64_t quiet_inflight; /* requests at most that make a quiet moment */
	uint64_t time_to_limit; /* microseconds; 0: not asked */
	uint64_t bytes;         /* 0: not asked */
	int on_limit;           /* enum policy_limit */
	int on_exhausted;       /* enum policy_exhausted */
};

enum policy_reason { POLICY_NO_REASON, POLICY_LEAK, POLICY_NEAR_LIMIT };

/* What was done about one instance so far; zeroed when it begins. */
struct policy {
	enum verdict_outcome done;         /* the highest verdict that was acted upon */
	uint64_t wanted;                   /* since when a restart is wanted for a leak; 0: it is not */
	uint64_t due;                      /* since when its conditions hold */
	bool above_soft, near;             /* as last seen, with some hysteresis */
	bool evicted_near;                 /* all was asked for since it came near */
	bool exhausted;                    /* was told that no restart is left */
	bool holding;                      /* the breaker, for want of a restart */
	uint64_t evict_after, evict_pause; /* evictions that gave nothing wait longer and longer */
};

struct policy_facts {
	uint64_t now;
	const struct verdict *verdict; /* NULL: none yet */
	uint64_t own, foreign;         /* live bytes */
	uint64_t soft, hard;           /* 0: none */
	uint64_t inflight;
	bool refusing; /* allocations were refused since the last decision */
	bool has_evict;
	bool stopped;          /* the loop of restarts was: policy_is_elsewhere */
	bool has_planned;      /* a planned restart is left */
	uint64_t planned_wait; /* else microseconds until one is; UINT64_MAX: never */
	uint64_t retry_wait;   /* microseconds until a restart may be tried after one that failed */
	double random;         /* 0 <= random < 1 */
};

struct policy_decision {
	bool rose, cleared;        /* the verdict, since the last decision */
	unsigned actions;          /* policy_action */
	enum policy_reason reason; /* of POLICY_RESTART */
	bool crossed_soft;         /* has just come above it */
	bool came_near;
	uint64_t evict_target; /* of POLICY_EVICT; UINT64_MAX: all */
	int evict_level;       /* 1 or 2 */
	bool for_limit;        /* that eviction is the ramp's, not the verdict's */
	bool planned;          /* a restart was decided upon, but for a later moment; told once */
	bool exhausted;        /* a restart was due, but none is left; told once */
	bool hold;             /* the breaker is to be open as long as this says so */
	bool stop;             /* nothing is to be admitted as long as this says so */
	char next[160];        /* what comes next, and when; "" nothing */
};

void policy_decide(const struct policy_settings *settings, struct policy *policy, const struct policy_facts *facts,
		   struct policy_decision *ret);
/* The ramp's eviction gave so many bytes back. */
void policy_evicted(struct policy *policy, uint64_t now, uint64_t freed);
/* After a restart: first, held, left: live bytes (own and foreign) when the old instance began, when it was replaced,
 * and now. True: it took back too little for the leak to lie in the instance. A plugin whose honest data are large is
 * judged by what grew alone; not so near the limit, where first is 0: there a restart either makes room or it does
 * not. */
bool policy_is_elsewhere(uint64_t first, uint64_t held, uint64_t left);
