/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* breaker.h - whether requests of one plugin are admitted: closed (yes), open (503), half-open (one at a time, to see).
 *
 *   CLOSED --failures in a row, trip, hold--> OPEN --time is up--> HALF_OPEN --the trial is good--> CLOSED
 *                                              ^-----the trial is bad, or the breaker is held-----/
 *
 * Failures in a row open it for `open`, each time it opens again soon for twice as long, `max_open` at most. A breaker
 * that is held stays open whatever trials say, one trial each `open`, until it is let go. Beside all that admission can
 * be stopped for a moment, without trials.
 *
 * Source: M. Nygard's circuit breaker; times of ejection as in Envoy's outlier detection.
 *
 * Threads: any. A closed breaker that sees good requests only writes nothing that threads share. Owns: nothing else.
 */
#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_STOPPED };
const char *breaker_state_name(enum breaker_state state); /* "closed", "open", ... */

enum breaker_outcome {
	BREAKER_GOOD,
	BREAKER_BAD,
	BREAKER_UNKNOWN, /* says nothing of the plugin: the client left, a drain ended it */
};

struct breaker_settings {
	int64_t failures;        /* in a row that open it; 0: failures never do */
	uint64_t open, max_open; /* microseconds */
};

struct breaker;

int breaker_new(struct breaker **ret);
void breaker_free(struct breaker **breaker); /* accepts NULL */
void breaker_set(struct breaker *breaker, const struct breaker_settings *settings);

/* Without the clock: true if every request is admitted. */
bool breaker_is_closed(const struct breaker *breaker);
/* False: to be refused, *ret_wait microseconds are worth waiting. *ret_trial: this request decides; its end must be
 * told. now: microseconds of any clock that moves on. */
bool breaker_admit(struct breaker *breaker, uint64_t now, bool *ret_trial, uint64_t *ret_wait);
/* A request that was admitted has ended. */
void breaker_ended(struct breaker *breaker, uint64_t now, bool trial, enum breaker_outcome outcome);

/* Opens it as if failures had. */
void breaker_trip(struct breaker *breaker, uint64_t now);
/* Opens it, and keeps it so until breaker_let. */
void breaker_hold(struct breaker *breaker, uint64_t now);
/* Lets go and closes, whatever the reason it was open for. */
void breaker_let(struct breaker *breaker);
/* Admission as a whole, beside the breaker's state. */
void breaker_stop(struct breaker *breaker, bool stop);

struct breaker_view {
	enum breaker_state state;
	uint64_t until; /* of OPEN; of now's clock */
	bool held;
	uint64_t opened, closed, trials; /* how often so far */
};
void breaker_view(struct breaker *breaker, uint64_t now, struct breaker_view *ret);
