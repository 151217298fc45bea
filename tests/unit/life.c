/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "life.h"

#include <stdio.h>
#include <string.h>

struct signals_history life_history;
struct verdict_input life_input;
struct verdict life_verdict;

int
life_setup(void **state)
{
	(void) state;
	life_input = (struct verdict_input){
		.history = &life_history, .has_evict = true, .settings = verdict_default_settings()};
	return 0;
}

uint64_t
life_noise(uint64_t number)
{
	number = (number + 1) * 0x9e3779b97f4a7c15;
	return (number ^ number >> 29) % 3000;
}

void
life_judge(const struct life *life, uint64_t requests)
{
	struct signals *signals;

	assert_int_equal(signals_new(0, &signals), 0);
	for (uint64_t n = 0; n <= requests; n += SIGNALS_SAMPLE_EVERY) {
		struct signals_sample sample = {.live_bytes = 200000, .live_objects = 500, .resident_bytes = 1 << 20};
		sample.exposure.count[SIGNALS_REQUESTS] = n;
		sample.live_bytes += (life->live ? life->live(n) : 0) + life_noise(n);
		sample.foreign_bytes = life->foreign ? life->foreign(n) : 0;
		sample.resident_bytes = life->resident ? life->resident(n) : sample.live_bytes + 65536;
		sample.largest_bytes = life->largest ? life->largest(n) : 4096;
		sample.live_objects += life->objects ? life->objects(n) : sample.live_bytes / 64;
		sample.exposure.count[SIGNALS_ERRORS] = life->errors ? life->errors(n) : n / 50;
		sample.exposure.count[SIGNALS_CLIENTS] = life->clients ? life->clients(n) : 10;
		(void) signals_sample(signals, life->time ? life->time(n) : n * 2000, &sample);
	}
	signals_history(signals, &life_history);
	signals_free(&signals);
	verdict_judge(&life_input, &life_verdict);
}

const struct verdict_test *
life_test(const char *name)
{
	for (unsigned i = 0; i < life_verdict.test_count; i++)
		if (strncmp(life_verdict.tests[i].name, name, strlen(name)) == 0)
			return &life_verdict.tests[i];
	return NULL;
}

static bool
is_called(const struct verdict_test *test, const char *name)
{
	size_t length = strlen(name);

	return strncmp(test->name, name, length) == 0 && (!test->name[length] || strchr(" :", test->name[length]));
}

void
life_assert_failed_alone(const char *name)
{
	for (unsigned i = 0; i < life_verdict.test_count; i++)
		if (life_verdict.tests[i].passed == is_called(&life_verdict.tests[i], name))
			fail_msg("%s is %s", life_verdict.tests[i].name,
				 life_verdict.tests[i].passed ? "passed" : "failed");
	assert_non_null(life_test(name));
}

uint64_t
life_nothing(uint64_t requests)
{
	(void) requests;
	return 0;
}

uint64_t
life_sixteen(uint64_t requests)
{
	return 16 * requests;
}

uint64_t
life_jagged(uint64_t requests)
{
	return life_noise(requests / 700) * 100;
}
