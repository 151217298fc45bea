/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "probe.h"

#include <math.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t SECOND = 1000000, HOUR = 3600000000;

static struct probe *probe;
static struct probe_settings settings;
static struct signals_sample sample; /* as it is now */
static uint64_t now;
static const char *why;

/* What grew the verdict made of 16 bytes a request at 500 a second. */
static const struct verdict likely = {
	.outcome = VERDICT_LIKELY,
	.class = VERDICT_LEAK,
	.per_request = 16,
	.grown = 160000,
	.window_requests = 10000,
	.window_seconds = 20,
};

static int
setup(void **state)
{
	(void) state;
	settings = probe_default_settings();
	settings.least_time = 0;
	sample = (struct signals_sample){.live_bytes = 1 << 20, .live_objects = 1000, .open_connections = 20};
	sample.exposure.count[SIGNALS_REQUESTS] = 30000;
	sample.exposure.count[SIGNALS_SECONDS] = 60 * SECOND;
	now = 100 * HOUR;
	why = NULL;
	return probe_new(&probe);
}

static int
teardown(void **state)
{
	(void) state;
	probe_free(&probe);
	assert_null(probe);
	return 0;
}

static int
begin(void)
{
	return probe_begin(probe, now, &settings, &likely, &sample, 0.1, &why);
}

static enum probe_step
step(unsigned watched)
{
	struct signals_watch watch = {.samples = watched, .floor = sample};

	return probe_step(probe, now, &sample, &watch);
}

static void
serve(uint64_t requests, double bytes_each)
{
	sample.exposure.count[SIGNALS_REQUESTS] += requests;
	sample.exposure.count[SIGNALS_SECONDS] += requests * SECOND / 500;
	now += requests * SECOND / 500;
	sample.live_bytes += (uint64_t) ((double) requests * bytes_each);
	sample.live_objects += bytes_each > 0 ? requests : 0;
}

/* Evicts and gives it the floor; what it wants then. */
static enum probe_step
evict(void)
{
	assert_int_equal(step(99), PROBE_EVICT);
	assert_int_equal(step(99), PROBE_EVICT); /* until it is told */
	probe_evicted(probe, now, 0, 5);
	assert_int_equal(step(0), PROBE_WAIT);
	assert_int_equal(step(15), PROBE_WAIT);
	return step(16);
}

/* Serves until it wants an eviction; returns how many requests. */
static uint64_t
serve_until_evict(double bytes_each)
{
	uint64_t served = 0;

	while (step(16) == PROBE_WAIT) {
		serve(64, bytes_each);
		served += 64;
		assert_true(served < 10000000);
	}
	assert_int_equal(step(16), PROBE_EVICT);
	return served;
}

static struct verdict_probes
results(void)
{
	struct verdict_probes found;

	probe_results(probe, &found);
	return found;
}

static void
two_residuals_that_agree_and_stay_confirm(void **state)
{
	double from, to, evicted;
	(void) state;
	assert_string_equal(probe_phase(probe), "idle");
	assert_int_equal(step(16), PROBE_IDLE);
	assert_int_equal(begin(), 0);
	assert_true(results().running);
	assert_int_equal(begin(), -EBUSY);
	assert_int_equal(evict(), PROBE_WAIT);
	assert_string_equal(probe_phase(probe), "serving the first interval");
	assert_int_equal(serve_until_evict(16), 8192);
	assert_int_equal(evict(), PROBE_WAIT);
	assert_string_equal(probe_phase(probe), "serving the second interval");
	assert_int_equal(serve_until_evict(16), 8192);
	assert_int_equal(evict(), PROBE_PROFILE);
	assert_int_equal(step(16), PROBE_PROFILE);
	sample.exposure.count[SIGNALS_REQUESTS] += 768; /* the floor was found a while after the eviction */
	probe_ages(probe, &sample, &from, &to, &evicted);
	assert_float_equal(from, 16384 + 768, 0);
	assert_float_equal(to, 8192 + 768, 0);
	assert_float_equal(evicted, 768, 0);
	probe_profiled(probe, 16 * 8192, 768);
	struct verdict_probes found = results();
	assert_true(found.confirmed);
	assert_false(found.running);
	assert_int_equal(found.class, VERDICT_LEAK);
	assert_int_equal(found.walk_age, 768);
	assert_int_equal(found.residual_first, 16 * 8192);
	assert_int_equal(found.residual_second, 16 * 8192);
	assert_int_equal(found.interval_requests, 16384);
	assert_int_equal(found.objects_grown, 16384);
	assert_float_equal(found.rate, 16, 1e-9);
	assert_int_equal(found.first.count[SIGNALS_REQUESTS], 8192);
	assert_int_equal(step(16), PROBE_IDLE);
	/* Asked and answered. */
	now += 10 * HOUR;
	assert_int_equal(begin(), -EBUSY);
}

static void
births_that_do_not_stay_reject(void **state)
{
	(void) state;
	assert_int_equal(begin(), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	serve_until_evict(16);
	assert_int_equal(evict(), PROBE_WAIT);
	serve_until_evict(16);
	assert_int_equal(evict(), PROBE_PROFILE);
	probe_profiled(probe, 16 * 8192 * 0.4, 768);
	assert_false(results().confirmed);
	assert_int_equal(results().rejected, 1);
}

static void
a_walk_that_failed_leaves_it_to_the_floors(void **state)
{
	(void) state;
	assert_int_equal(begin(), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	serve_until_evict(16);
	assert_int_equal(evict(), PROBE_WAIT);
	serve_until_evict(16);
	assert_int_equal(evict(), PROBE_PROFILE);
	probe_profiled(probe, -1, 768);
	assert_true(results().confirmed);
	assert_int_equal(results().survived, 0);
}

static void
nothing_left_rejects_after_the_longest_interval(void **state)
{
	uint64_t served = 0;
	unsigned evictions = 0;
	enum probe_step wish;
	(void) state;
	assert_int_equal(begin(), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	do {
		served += serve_until_evict(0);
		wish = evict();
		evictions++;
	} while (wish == PROBE_WAIT);
	assert_int_equal(wish, PROBE_DONE);
	assert_int_equal(served, 131072);
	assert_int_equal(evictions, 5); /* 8192, doubled four times */
	assert_int_equal(results().rejected, 1);
	assert_int_equal(results().done, 1);
	assert_float_equal(results().rejected_rate, 16, 0);
}

static void
a_slow_leak_needs_longer_intervals(void **state)
{
	(void) state;
	assert_int_equal(begin(), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	uint64_t served = 0;
	/* One byte a request: 32 KiB are there after 32768, whatever it had seemed to be. */
	do
		served += serve_until_evict(1);
	while (evict() == PROBE_WAIT && served < 32768);
	assert_int_equal(served, 32768);
	assert_string_equal(probe_phase(probe), "serving the second interval");
	assert_int_equal(serve_until_evict(1), 32768);
	assert_int_equal(evict(), PROBE_PROFILE);
}

static void
a_step_is_not_two(void **state)
{
	enum probe_step wish;
	(void) state;
	assert_int_equal(begin(), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	serve(4000, 16);
	serve_until_evict(0);
	assert_int_equal(evict(), PROBE_WAIT);
	do
		serve_until_evict(0);
	while ((wish = evict()) == PROBE_WAIT);
	assert_int_equal(wish, PROBE_DONE);
	assert_int_equal(results().rejected, 1);
	assert_false(results().confirmed);
}

static void
residuals_that_disagree_ask_again(void **state)
{
	(void) state;
	assert_int_equal(begin(), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	serve_until_evict(100);
	assert_int_equal(evict(), PROBE_WAIT);
	for (unsigned i = 0; i < 2; i++) {
		serve_until_evict(10); /* a tenth: the first was a step, but what came after must prove itself */
		assert_int_equal(evict(), PROBE_WAIT);
	}
	serve_until_evict(10);
	assert_int_equal(evict(), PROBE_PROFILE);
}

/* Keys of which few are asked for often and many seldom: the k-th interval finds log((k + 1) / k) new ones. */
static void
what_fills_ever_more_slowly_is_no_leak(void **state)
{
	enum probe_step wish;
	unsigned k = 2;
	(void) state;
	assert_int_equal(begin(), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	do {
		serve_until_evict(24 * log((k + 1.0) / k));
		k++;
	} while ((wish = evict()) == PROBE_WAIT);
	assert_int_equal(wish, PROBE_DONE);
	assert_true(k > 4);
	assert_false(results().confirmed);
}

static void
a_leak_by_errors_agrees_by_errors(void **state)
{
	struct verdict by_errors = likely;
	(void) state;
	by_errors.axis = SIGNALS_ERRORS;
	by_errors.separable = true;
	assert_int_equal(probe_begin(probe, now, &settings, &by_errors, &sample, 0.1, &why), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	sample.exposure.count[SIGNALS_ERRORS] += 10000;
	serve_until_evict(100);
	assert_int_equal(evict(), PROBE_WAIT);
	sample.exposure.count[SIGNALS_ERRORS] += 1000;
	serve_until_evict(10);
	assert_int_equal(evict(), PROBE_PROFILE);
}

/* Bytes grow, blocks do not. */
static void
a_buffer_takes_three_raises(void **state)
{
	(void) state;
	assert_int_equal(begin(), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	for (unsigned raise = 1; raise <= 3; raise++) {
		serve_until_evict(0);
		sample.live_bytes += 100000 * raise;
		sample.largest_bytes += 100000 * raise;
		assert_int_equal(evict(), raise < 3 ? PROBE_WAIT : PROBE_PROFILE);
	}
	/* It keeps the birth it had: nothing young is there. */
	probe_profiled(probe, 0, 768);
	assert_true(results().confirmed);
	assert_int_equal(results().class, VERDICT_GROWING_BUFFER);
}

static void
a_buffer_known_to_grow_takes_two(void **state)
{
	struct verdict buffer = likely;
	(void) state;
	buffer.class = VERDICT_GROWING_BUFFER;
	assert_int_equal(probe_begin(probe, now, &settings, &buffer, &sample, 0, NULL), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	serve_until_evict(0);
	sample.live_bytes += 100000;
	sample.largest_bytes += 100000;
	assert_int_equal(evict(), PROBE_WAIT);
	serve_until_evict(0);
	sample.live_bytes += 100000;
	sample.largest_bytes += 100000;
	assert_int_equal(evict(), PROBE_PROFILE);
	probe_profiled(probe, 0, 768);
	assert_int_equal(results().class, VERDICT_GROWING_BUFFER);
}

/* The same number of blocks, none of them large enough: what lives swings. */
static void
growth_that_no_block_holds_is_none(void **state)
{
	enum probe_step wish;
	(void) state;
	sample.largest_bytes = 6000;
	assert_int_equal(begin(), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	do {
		serve_until_evict(0);
		sample.live_bytes += 200000;
		sample.live_objects += 2;
	} while ((wish = evict()) == PROBE_WAIT);
	assert_int_equal(wish, PROBE_DONE);
	assert_false(results().confirmed);
	assert_int_equal(results().rejected, 1);
}

static void
few_large_blocks_are_confirmed_by_three(void **state)
{
	(void) state;
	sample.largest_bytes = 65536;
	assert_int_equal(begin(), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	for (unsigned raise = 1; raise <= 3; raise++) {
		serve_until_evict(0);
		sample.live_bytes += 2 * 65536;
		sample.live_objects += 2;
		assert_int_equal(evict(), raise < 3 ? PROBE_WAIT : PROBE_PROFILE);
	}
	probe_profiled(probe, 2 * 65536, 768);
	assert_int_equal(results().class, VERDICT_LEAK);
}

/* Thirty times as large as the usual block: two intervals could be a swing. */
static void
unusually_large_blocks_take_three_as_well(void **state)
{
	(void) state;
	assert_int_equal(begin(), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	for (unsigned raise = 1; raise <= 3; raise++) {
		serve_until_evict(0);
		sample.live_bytes += 40 * 30000;
		sample.live_objects += 40;
		assert_int_equal(evict(), raise < 3 ? PROBE_WAIT : PROBE_PROFILE);
	}
}

static void
a_library_has_no_blocks_to_count(void **state)
{
	(void) state;
	assert_int_equal(begin(), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	for (unsigned i = 0; i < 2; i++) {
		serve_until_evict(0);
		sample.foreign_bytes += 100000;
		assert_int_equal(evict(), i == 0 ? PROBE_WAIT : PROBE_PROFILE);
	}
	probe_profiled(probe, 100000, 768);
	assert_int_equal(results().class, VERDICT_LEAK);
}

static void
a_crowd_is_waited_for_and_then_held_against_it(void **state)
{
	(void) state;
	assert_int_equal(begin(), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	sample.open_connections = 200;
	/* 180 connections more could hold it all: (1 << 20) / 21 bytes each. */
	assert_int_equal(serve_until_evict(16), 16384);
	assert_int_equal(evict(), PROBE_WAIT);
	assert_string_equal(probe_phase(probe), "serving the first interval");
	sample.open_connections = 20;
	serve_until_evict(16);
	assert_int_equal(evict(), PROBE_WAIT);
	assert_string_equal(probe_phase(probe), "serving the second interval");
}

static void
few_requests_are_ended_by_the_clock(void **state)
{
	struct verdict slow = likely;
	(void) state;
	slow.per_request = 0;
	slow.grown = 1 << 20;
	slow.window_seconds = 3600; /* 64 KiB in 225 seconds */
	assert_int_equal(probe_begin(probe, now, &settings, &slow, &sample, 0, NULL), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	for (unsigned i = 0; i < 2; i++) {
		sample.exposure.count[SIGNALS_SECONDS] += HOUR - SECOND;
		assert_int_equal(step(0), PROBE_WAIT);
		sample.exposure.count[SIGNALS_SECONDS] += SECOND;
		sample.live_bytes += 174000;
		sample.live_objects += 20;
		assert_int_equal(evict(), i == 0 ? PROBE_WAIT : PROBE_PROFILE);
	}
	probe_profiled(probe, -1, 768);
	assert_true(results().confirmed);
	assert_float_equal(results().rate, 0, 0); /* no requests: no rate by them */
}

static void
a_burst_does_not_end_an_interval(void **state)
{
	(void) state;
	settings.least_time = probe_default_settings().least_time;
	assert_int_equal(begin(), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	for (unsigned i = 0; i < 2; i++) {
		sample.exposure.count[SIGNALS_REQUESTS] += 40000;
		sample.exposure.count[SIGNALS_SECONDS] += 29 * SECOND;
		sample.live_bytes += 640000;
		sample.live_objects += 40000;
		assert_int_equal(step(0), PROBE_WAIT);
		sample.exposure.count[SIGNALS_SECONDS] += SECOND;
		assert_int_equal(evict(), i == 0 ? PROBE_WAIT : PROBE_PROFILE);
	}
}

static void
none_begins_against_settings_load_or_budget(void **state)
{
	(void) state;
	settings.allow = false;
	assert_int_equal(begin(), -EPERM);
	assert_string_equal(why, "probes are not allowed");
	settings.allow = true;
	assert_int_equal(probe_begin(probe, now, &settings, &likely, &sample, 0.81, &why), -EAGAIN);
	assert_string_equal(why, "the load is too high");
	settings.per_hour = 2;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(begin(), 0);
		probe_cancel(probe);
		assert_string_equal(probe_phase(probe), "idle");
		now += 10 * SECOND;
	}
	assert_int_equal(begin(), -EAGAIN);
	assert_string_equal(why, "this hour's budget is spent");
	now -= 100 * HOUR; /* a clock that goes back gives nothing back */
	assert_int_equal(begin(), -EAGAIN);
	now += 100 * HOUR;
	now += HOUR - 20 * SECOND;
	assert_int_equal(begin(), 0); /* the first is an hour ago */
	probe_cancel(probe);
	assert_int_equal(begin(), -EAGAIN);
	settings.per_hour = 0;
	now += 10 * HOUR;
	assert_int_equal(begin(), -EAGAIN);
	assert_int_equal(results().done, 0);
}

static void
a_budget_lasts_beyond_the_ring(void **state)
{
	(void) state;
	settings.per_hour = 1000; /* more than it remembers: so many at most */
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < PROBE_PER_HOUR; i++) {
			assert_int_equal(begin(), 0);
			probe_cancel(probe);
		}
		assert_int_equal(begin(), -EAGAIN);
		now += HOUR;
	}
}

static void
an_eviction_that_failed_ends_it_without_a_word(void **state)
{
	(void) state;
	assert_int_equal(begin(), 0);
	assert_int_equal(step(0), PROBE_EVICT);
	probe_evicted(probe, now, -EIO, 0);
	assert_string_equal(probe_phase(probe), "idle");
	assert_int_equal(results().rejected, 0);
	assert_false(results().running);
}

static void
reject(void)
{
	enum probe_step wish;

	assert_int_equal(begin(), 0);
	assert_int_equal(evict(), PROBE_WAIT);
	do
		serve_until_evict(0);
	while ((wish = evict()) == PROBE_WAIT);
	assert_int_equal(wish, PROBE_DONE);
}

static void
each_rejection_makes_it_wait_four_times_longer(void **state)
{
	struct verdict faster = likely;
	uint64_t wait = 4 * 131072;
	(void) state;
	settings.per_hour = 16;
	for (unsigned i = 0; i < 2; i++, wait *= 4) {
		reject();
		serve(wait - 1, 0);
		assert_int_equal(begin(), -EAGAIN);
		assert_string_equal(why, "too soon after one that found a cache");
		serve(1, 0);
	}
	reject();
	/* What grows faster than the cache did is something else. */
	faster.per_request = 33;
	assert_int_equal(begin(), -EAGAIN);
	assert_int_equal(probe_begin(probe, now, &settings, &faster, &sample, 0, NULL), 0);
}

static void
a_new_life_forgets_but_for_the_budget(void **state)
{
	(void) state;
	settings.per_hour = 2;
	reject();
	probe_forget(probe);
	assert_int_equal(results().rejected, 0);
	assert_int_equal(begin(), 0);
	probe_forget(probe);
	assert_int_equal(begin(), -EAGAIN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(two_residuals_that_agree_and_stay_confirm, setup, teardown),
		cmocka_unit_test_setup_teardown(births_that_do_not_stay_reject, setup, teardown),
		cmocka_unit_test_setup_teardown(a_walk_that_failed_leaves_it_to_the_floors, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_left_rejects_after_the_longest_interval, setup, teardown),
		cmocka_unit_test_setup_teardown(a_slow_leak_needs_longer_intervals, setup, teardown),
		cmocka_unit_test_setup_teardown(a_step_is_not_two, setup, teardown),
		cmocka_unit_test_setup_teardown(residuals_that_disagree_ask_again, setup, teardown),
		cmocka_unit_test_setup_teardown(what_fills_ever_more_slowly_is_no_leak, setup, teardown),
		cmocka_unit_test_setup_teardown(a_leak_by_errors_agrees_by_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(a_buffer_takes_three_raises, setup, teardown),
		cmocka_unit_test_setup_teardown(a_buffer_known_to_grow_takes_two, setup, teardown),
		cmocka_unit_test_setup_teardown(growth_that_no_block_holds_is_none, setup, teardown),
		cmocka_unit_test_setup_teardown(few_large_blocks_are_confirmed_by_three, setup, teardown),
		cmocka_unit_test_setup_teardown(unusually_large_blocks_take_three_as_well, setup, teardown),
		cmocka_unit_test_setup_teardown(a_library_has_no_blocks_to_count, setup, teardown),
		cmocka_unit_test_setup_teardown(a_crowd_is_waited_for_and_then_held_against_it, setup, teardown),
		cmocka_unit_test_setup_teardown(few_requests_are_ended_by_the_clock, setup, teardown),
		cmocka_unit_test_setup_teardown(a_burst_does_not_end_an_interval, setup, teardown),
		cmocka_unit_test_setup_teardown(none_begins_against_settings_load_or_budget, setup, teardown),
		cmocka_unit_test_setup_teardown(a_budget_lasts_beyond_the_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(an_eviction_that_failed_ends_it_without_a_word, setup, teardown),
		cmocka_unit_test_setup_teardown(each_rejection_makes_it_wait_four_times_longer, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_life_forgets_but_for_the_budget, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
