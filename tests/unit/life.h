/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* life.h - an instance's life made of functions of its requests, and the verdict on it.
 *
 * Threads: one. Owns: nothing; input, history and verdict are those of the test that runs.
 */
#include "cleanup.h"
#include "verdict.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* What a life is made of: each adds to the reading at so many requests. */
struct life {
	uint64_t (*live)(uint64_t requests);
	uint64_t (*foreign)(uint64_t requests);
	uint64_t (*resident)(uint64_t requests);
	uint64_t (*largest)(uint64_t requests);
	uint64_t (*objects)(uint64_t requests);
	uint64_t (*errors)(uint64_t requests);
	uint64_t (*clients)(uint64_t requests);
	uint64_t (*time)(uint64_t requests); /* microseconds; NULL: 500 requests a second */
};

extern struct signals_history life_history;
extern struct verdict_input life_input;
extern struct verdict life_verdict;

int life_setup(void **state);
/* Lives so many requests, sampled at every 48th, and judges. */
void life_judge(const struct life *life, uint64_t requests);
/* The test of that name, NULL if it was not made. */
const struct verdict_test *life_test(const char *name);
void life_assert_failed_alone(const char *name);
/* 0 to 2999, by a number. */
uint64_t life_noise(uint64_t number);
uint64_t life_nothing(uint64_t requests);
uint64_t life_sixteen(uint64_t requests);
uint64_t life_jagged(uint64_t requests);
