/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* deadline.h - absolute deadlines for many objects at a fixed price: a hashed timing wheel with its own thread.
 *
 * Resolution 50 ms. A deadline never fires early. Source: Varghese and Lauck, "Hashed and hierarchical timing wheels",
 * 1987 (scheme 6).
 *
 * Threads: arm/cancel from any thread. expire runs on the wheel's thread without the wheel's lock; deadline_cancel
 * returns only when a running expire of that deadline has ended (unless called from inside it), so that its object may
 * be freed afterwards. Owns: nothing; the struct is embedded in its object.
 */
#include <stdbool.h>
#include <stdint.h>

struct deadline_wheel;

struct deadline {
	struct deadline *next, **link; /* private */
	uint64_t at;                   /* private: microseconds, CLOCK_MONOTONIC */
	void (*expire)(struct deadline *deadline);
};

/* clock: NULL for CLOCK_MONOTONIC; a test passes its own and turns the wheel with deadline_wheel_turn (no thread). */
int deadline_wheel_new(uint64_t (*clock)(void), struct deadline_wheel **ret);
void deadline_wheel_turn(struct deadline_wheel *wheel);
uint64_t deadline_now(const struct deadline_wheel *wheel);
void deadline_init(struct deadline *deadline, void (*expire)(struct deadline *));
/* Moves it if it is armed already. at: absolute microseconds of the wheel's clock. */
void deadline_arm(struct deadline_wheel *wheel, struct deadline *deadline, uint64_t at);
void deadline_cancel(struct deadline_wheel *wheel, struct deadline *deadline);
/* All deadlines must be cancelled. Joins the thread; accepts NULL. */
void deadline_wheel_free(struct deadline_wheel **wheel);
