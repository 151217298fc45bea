/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* timeline.h - the clock of a run: it moves when it is told to, and plugins believe it.
 *
 * clock_gettime and nanosleep of this program are what plugins call. Called from the program itself they are the real
 * ones; called from elsewhere, once a timeline has begun, they are this clock's: a thread that sleeps is woken when the
 * clock has come that far, and the clock waits until it sleeps again. So hours pass in a second, in the same order each
 * time. A thread that slept once must sleep again: one that ended would be waited for.
 *
 * Threads: one moves the clock; the others sleep. Owns: nothing.
 */
#include <stdint.h>

/* Microseconds. */
void timeline_begin(uint64_t now);
uint64_t timeline_now(void);
/* Waits until `sleepers` threads sleep. */
void timeline_settle(unsigned sleepers);
/* Moves on; returns when every thread that was woken sleeps again. */
void timeline_advance(uint64_t now);
