/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What trends, axes and limits make of a life. */
#include "life.h"

#include <math.h>
#include <string.h>

static void
warming_until_both_are_over(void **state)
{
	(void) state;
	life_judge(&(struct life){.live = life_sixteen}, 29000);
	assert_int_equal(life_verdict.outcome, VERDICT_WARMING); /* 58 seconds */
	assert_int_equal(life_verdict.class, VERDICT_NONE);
	life_assert_failed_alone("time since");
	life_input.settings.warm_up_time = 2000000;
	life_input.settings.warm_up_requests = 40000;
	life_judge(&(struct life){.live = life_sixteen}, 39990);
	assert_int_equal(life_verdict.outcome, VERDICT_WARMING);
	life_assert_failed_alone("requests since");
	/* What seldom serves is warm after sixty times the time. */
	life_input.settings.warm_up_requests = UINT64_MAX;
	life_input.settings.warm_up_time = 1000000;
	life_judge(&(struct life){.live = life_sixteen}, 39990);
	assert_int_not_equal(life_verdict.outcome, VERDICT_WARMING);
}

static void
growth_before_it_was_warm_is_forgotten(void **state)
{
	(void) state;
	life_input.settings.warm_up_requests = 60000;
	life_judge(&(struct life){.live = life_sixteen}, 61000);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
	life_judge(&(struct life){.live = life_sixteen}, 65000);
	assert_int_equal(life_verdict.outcome, VERDICT_SUSPECT);
	life_judge(&(struct life){.live = life_sixteen}, 80000);
	assert_int_equal(life_verdict.outcome, VERDICT_LIKELY);
}

static void
steady_growth_is_likely_with_its_rate(void **state)
{
	char text[300];
	(void) state;
	life_judge(&(struct life){.live = life_sixteen}, 100000);
	assert_int_equal(life_verdict.outcome, VERDICT_LIKELY);
	assert_int_equal(life_verdict.class, VERDICT_LEAK);
	assert_int_equal(life_verdict.axis, SIGNALS_REQUESTS);
	assert_false(life_verdict.separable); /* the clock ticks with the requests */
	assert_float_equal(life_verdict.rate, 16, 0.2);
	assert_true(life_verdict.rate_low < 16.1 && life_verdict.rate_high > 15.9 &&
		    life_verdict.rate_high - life_verdict.rate_low < 2);
	assert_float_equal(life_verdict.per_request, 16, 0.2);
	assert_float_equal(life_verdict.seconds_to_limit, -1, 0);
	for (unsigned i = 0; i < life_verdict.test_count; i++)
		assert_true(life_verdict.tests[i].passed);
	const struct verdict_test *trend = life_test("mann-kendall s");
	assert_non_null(trend);
	assert_true(trend->of_scale);
	assert_int_equal(trend->scale, life_verdict.scale);
	verdict_sentence(&life_verdict, text, sizeof(text));
	assert_ptr_equal(strstr(text, "probably leaks 16.0 ± 0."), text);
	assert_non_null(strstr(text, " bytes per request"));
	assert_null(strstr(text, "causes apart"));
	life_verdict.axis = SIGNALS_CONNECTIONS;
	verdict_sentence(&life_verdict, text, sizeof(text));
	assert_non_null(strstr(text, " bytes per connection (the traffic does not tell other causes apart)"));
}

static uint64_t
half_a_byte(uint64_t requests)
{
	return requests * 2 / 5;
}

static uint64_t
filled(uint64_t requests)
{
	return (uint64_t) (3e6 * (1 - exp(-(double) requests / 20000)));
}

static uint64_t
stepped(uint64_t requests)
{
	return requests < 95000 ? 0 : 1000000;
}

static uint64_t
stopped(uint64_t requests)
{
	return 16 * (requests < 80000 ? requests : 80000);
}

static void
nothing_that_grows_is_ok(void **state)
{
	char text[300];
	(void) state;
	life_judge(&(struct life){.live = life_nothing}, 100000);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
	assert_int_equal(life_verdict.class, VERDICT_NONE);
	verdict_sentence(&life_verdict, text, sizeof(text));
	assert_string_equal(text, "no growth that lasts");
	life_judge(&(struct life){.live = life_jagged}, 100000);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
}

static void
too_slow_a_growth_is_ignored(void **state)
{
	(void) state;
	life_judge(&(struct life){.live = half_a_byte}, 500000);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
	assert_false(life_test("growth")->passed);
	life_input.settings.min_rate = 0.3;
	life_judge(&(struct life){.live = half_a_byte}, 500000);
	assert_int_equal(life_verdict.outcome, VERDICT_LIKELY);
	life_input.settings.min_growth = 1 << 20;
	life_judge(&(struct life){.live = half_a_byte}, 500000);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
}

static void
a_plateau_and_a_step_and_an_end_are_no_leak(void **state)
{
	(void) state;
	life_judge(&(struct life){.live = filled}, 100000);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
	life_judge(&(struct life){.live = stepped}, 100000);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
	life_judge(&(struct life){.live = stopped}, 100000);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
}

/* Blocks of scale 0 as told, long after the warm-up. */
static void
floors_are(const double *floors)
{
	memset(&life_history, 0, sizeof(life_history));
	life_history.kept[0] = SIGNALS_BLOCKS;
	life_history.blocks[0] = SIGNALS_BLOCKS;
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++) {
		life_history.block[0][i].floor = (uint64_t) floors[i];
		life_history.block[0][i].objects = (uint64_t) floors[i] / 64;
		life_history.block[0][i].exposure.count[SIGNALS_REQUESTS] = 1000000 + i * 128;
		life_history.block[0][i].exposure.count[SIGNALS_SECONDS] = 2000000000 + i * 256000;
	}
	life_history.last.exposure = life_history.block[0][SIGNALS_BLOCKS - 1].exposure;
	verdict_judge(&life_input, &life_verdict);
}

static void
each_gate_refuses_by_itself(void **state)
{
	double floors[SIGNALS_BLOCKS];
	(void) state;
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = 100000 + i * 4000;
	floors_are(floors);
	assert_int_equal(life_verdict.outcome, VERDICT_SUSPECT);
	life_assert_failed_alone("an adjacent scale");
	/* Order: S is 50 at least. */
	double swapped[SIGNALS_BLOCKS];
	memcpy(swapped, floors, sizeof(floors));
	swapped[0] = floors[11];
	floors_are(swapped);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
	life_assert_failed_alone("mann-kendall");
	/* Growth: 32 KiB. */
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = 100000 + i * 2900;
	floors_are(floors);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
	life_assert_failed_alone("growth");
	/* And half a percent of what lives. */
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = 10000000 + i * 4000;
	floors_are(floors);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
	life_assert_failed_alone("growth");
	/* Plateau. */
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = 100000 + (i < 6 ? i * 8000 : 40000 + (i - 5) * 4000);
	floors_are(floors);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
	life_assert_failed_alone("no plateau");
	/* Step. */
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = 100000 + (i < 6 ? i * 100 : 500 + (i - 5) * 10000);
	floors_are(floors);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
	assert_false(life_test("no step")->passed);
	/* It has ended. */
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = 100000 + (i < 9 ? i * 8000 : 64000 + (i - 8) * 10);
	floors_are(floors);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
	assert_false(life_test("goes on")->passed);
	/* Noise: six deviations. */
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = 100000 + i * 4000 + (i % 2 ? 9000 : -9000);
	floors_are(floors);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
}

static uint64_t
errors_in_bursts(uint64_t requests)
{
	return requests / 3000 * 100 + (requests % 3000 > 2000 ? 100 : 0);
}

static uint64_t
by_errors(uint64_t requests)
{
	return 512 * errors_in_bursts(requests);
}

/* Time goes fast and slow in turns. */
static uint64_t
uneven(uint64_t requests)
{
	return requests * 2000 + requests / 1500 * 3000000;
}

static uint64_t
by_time(uint64_t requests)
{
	return uneven(requests) / 1000000 * 1000;
}

static uint64_t
clients_in_groups(uint64_t requests)
{
	return 10 + requests / 2500 * 40 + (requests % 2500 > 1800 ? 40 : 0);
}

static uint64_t
by_clients(uint64_t requests)
{
	return 1024 * clients_in_groups(requests);
}

static void
the_axis_is_what_explains_it(void **state)
{
	(void) state;
	life_judge(&(struct life){.live = by_errors, .errors = errors_in_bursts}, 200000);
	assert_int_equal(life_verdict.outcome, VERDICT_LIKELY);
	assert_int_equal(life_verdict.axis, SIGNALS_ERRORS);
	assert_true(life_verdict.separable);
	assert_float_equal(life_verdict.rate, 512, 30);
	assert_float_equal(life_verdict.per_request, 512.0 / 30, 1);

	life_judge(&(struct life){.live = by_time, .time = uneven}, 200000);
	assert_int_equal(life_verdict.outcome, VERDICT_LIKELY);
	assert_int_equal(life_verdict.axis, SIGNALS_SECONDS);
	assert_true(life_verdict.separable);
	assert_float_equal(life_verdict.rate, 1000, 50);

	life_judge(&(struct life){.live = life_sixteen, .time = uneven, .errors = errors_in_bursts}, 200000);
	assert_int_equal(life_verdict.axis, SIGNALS_REQUESTS);
	assert_true(life_verdict.separable);
	assert_float_equal(life_verdict.rate, 16, 0.5);

	life_judge(&(struct life){.live = by_clients, .clients = clients_in_groups}, 200000);
	assert_int_equal(life_verdict.axis, SIGNALS_CLIENTS);
	assert_int_equal(life_verdict.class, VERDICT_CLIENT_STATE);
	assert_float_equal(life_verdict.rate, 1024, 60);
	assert_int_equal(life_verdict.clients, life_history.last.exposure.count[SIGNALS_CLIENTS]);
}

static void
what_ends_somewhere_is_told_with_where_it_stands(void **state)
{
	char text[300];
	(void) state;
	life_verdict = (struct verdict){.outcome = VERDICT_LIKELY,
					.class = VERDICT_CLIENT_STATE,
					.axis = SIGNALS_CLIENTS,
					.separable = true,
					.rate = 1024,
					.rate_low = 1024,
					.rate_high = 1024,
					.clients = 2048,
					.seconds_to_limit = -1};
	verdict_sentence(&life_verdict, text, sizeof(text));
	assert_string_equal(text, "keeps 1024 bytes per client, 2.0MiB for the 2048 seen so far");
	life_verdict.class = VERDICT_GROWING_BUFFER;
	life_verdict.axis = SIGNALS_REQUESTS;
	life_verdict.rate = life_verdict.rate_low = life_verdict.rate_high = 16;
	life_verdict.largest = 4 << 20;
	verdict_sentence(&life_verdict, text, sizeof(text));
	assert_string_equal(text, "a buffer grows by 16.0 bytes per request, its largest block is 4.0MiB by now");
	life_verdict.class = VERDICT_LEAK;
	verdict_sentence(&life_verdict, text, sizeof(text));
	assert_string_equal(text, "probably leaks 16.0 bytes per request");
}

/* Floors that rise, and levels of which requests and clients explain all but so much each. */
static void
levels_are(uint64_t count, double rest_requests, double rest_clients)
{
	double floors[SIGNALS_BLOCKS];

	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = 100000 + i * 4000;
	floors_are(floors);
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		life_history.block[0][i].exposure.count[SIGNALS_CLIENTS] = 5 * i;
	struct signals_moments *moments = &life_history.moments[0];
	moments->count = count;
	moments->yy = 1e12;
	moments->xx[SIGNALS_REQUESTS][SIGNALS_REQUESTS] = moments->xx[SIGNALS_CLIENTS][SIGNALS_CLIENTS] = 1;
	/* Requests explain it as far as they go with clients. */
	moments->xx[SIGNALS_REQUESTS][SIGNALS_CLIENTS] = sqrt((1 - rest_requests) / (1 - rest_clients));
	moments->xy[SIGNALS_REQUESTS] = sqrt(1 - rest_requests) * 1e6;
	moments->xy[SIGNALS_CLIENTS] = sqrt(1 - rest_clients) * 1e6;
	verdict_judge(&life_input, &life_verdict);
	assert_int_equal(life_verdict.outcome, VERDICT_SUSPECT);
}

static void
a_little_evidence_makes_no_axis(void **state)
{
	(void) state;
	levels_are(100, 0.2, 0.02);
	assert_int_equal(life_verdict.axis, SIGNALS_CLIENTS);
	assert_true(life_verdict.separable);
	assert_int_equal(life_verdict.class, VERDICT_CLIENT_STATE);
	/* Twice as much left over is life_nothing yet: neighbouring floors depend on each other. */
	levels_are(100, 0.04, 0.02);
	assert_int_equal(life_verdict.axis, SIGNALS_REQUESTS);
	assert_false(life_verdict.separable);
	assert_int_equal(life_verdict.class, VERDICT_LEAK);
	levels_are(31, 0.99, 1e-9);
	assert_false(life_verdict.separable);
	levels_are(32, 0.99, 1e-9);
	assert_true(life_verdict.separable);
}

static void
a_librarys_growth_is_told_apart(void **state)
{
	(void) state;
	life_input.hard_limit = 10 << 20;
	life_judge(&(struct life){.foreign = life_sixteen}, 100000);
	assert_int_equal(life_verdict.outcome, VERDICT_LIKELY);
	assert_true(life_verdict.foreign);
	assert_float_equal(life_verdict.seconds_to_limit, ((10 << 20) - 1600000) / 8000.0, 20);
	life_judge(&(struct life){.live = life_sixteen}, 100000);
	assert_false(life_verdict.foreign);
}

static void
the_limit_is_reached_in_time(void **state)
{
	char text[300];
	(void) state;
	life_input.hard_limit = 100 << 20;
	life_judge(&(struct life){.live = life_sixteen}, 100000);
	/* 8,000 bytes a second from 1.8 MB to 104.86 MB. */
	assert_float_equal(life_verdict.seconds_to_limit, 12880, 200);
	verdict_sentence(&life_verdict, text, sizeof(text));
	assert_non_null(strstr(text, ", 3h3"));
	assert_non_null(strstr(text, "min to its limit"));
	life_input.hard_limit = 1000;
	life_judge(&(struct life){.live = life_sixteen}, 100000);
	assert_float_equal(life_verdict.seconds_to_limit, 0, 0);
	life_judge(&(struct life){.live = life_nothing}, 100000);
	assert_float_equal(life_verdict.seconds_to_limit, -1, 0);
}

static uint64_t
pages(uint64_t requests)
{
	return (4 << 20) + requests * 64;
}

static void
pages_without_blocks_are_fragmentation(void **state)
{
	char text[300];
	(void) state;
	life_judge(&(struct life){.live = life_nothing, .resident = pages}, 200000);
	assert_int_equal(life_verdict.outcome, VERDICT_SUSPECT);
	assert_int_equal(life_verdict.class, VERDICT_FRAGMENTATION);
	verdict_sentence(&life_verdict, text, sizeof(text));
	assert_non_null(strstr(text, "fragmentation"));
	/* Pages that grow with what lives are not. */
	life_judge(&(struct life){.live = life_sixteen}, 200000);
	assert_int_equal(life_verdict.class, VERDICT_LEAK);
}

static uint64_t
doubling(uint64_t requests)
{
	uint64_t size = 65536;

	while (size < requests * 16)
		size += size / 2;
	return size;
}

static uint64_t
few(uint64_t requests)
{
	return requests % 5;
}

static void
a_block_that_grows_in_steps_is_a_buffer(void **state)
{
	(void) state;
	life_judge(&(struct life){.live = doubling, .largest = doubling, .objects = few}, 200000);
	assert_int_equal(life_verdict.outcome, VERDICT_LIKELY);
	assert_int_equal(life_verdict.class, VERDICT_GROWING_BUFFER);
	/* The same bytes in many blocks are none. */
	life_judge(&(struct life){.live = doubling, .largest = life_nothing}, 200000);
	assert_int_not_equal(life_verdict.class, VERDICT_GROWING_BUFFER);
}

static void
extremes_make_no_nonsense(void **state)
{
	(void) state;
	memset(&life_history, 0, sizeof(life_history));
	for (unsigned scale = 0; scale < SIGNALS_SCALES; scale++) {
		life_history.kept[scale] = SIGNALS_BLOCKS;
		for (unsigned i = 0; i < SIGNALS_BLOCKS; i++) {
			struct signals_block *block = &life_history.block[scale][i];
			for (unsigned a = 0; a < SIGNALS_AXES; a++)
				block->exposure.count[a] = UINT64_MAX / 12 * (i + 1);
			block->floor = UINT64_MAX / 12 * (i + 1);
			block->objects = i % 2 ? UINT64_MAX : 0;
			block->resident = i * (UINT64_MAX / 12);
		}
	}
	memset(&life_history.last.exposure, 0xff, sizeof(life_history.last.exposure));
	life_input.hard_limit = UINT64_MAX;
	verdict_judge(&life_input, &life_verdict);
	assert_true(life_verdict.outcome >= VERDICT_OK);
	assert_true(isfinite(life_verdict.rate) && isfinite(life_verdict.seconds_to_limit));
	char text[20];
	verdict_sentence(&life_verdict, text, sizeof(text));
	assert_true(strlen(text) < sizeof(text));
	verdict_sentence(&life_verdict, text, 1);
	assert_string_equal(text, "");
}

static void
every_name_is_known(void **state)
{
	(void) state;
	for (int i = VERDICT_WARMING; i <= VERDICT_CONFIRMED; i++)
		assert_string_not_equal(verdict_outcome_name(i), "unknown");
	for (int i = VERDICT_NONE; i <= VERDICT_GROWING_BUFFER; i++)
		assert_string_not_equal(verdict_class_name(i), "unknown");
	for (int i = 0; i < SIGNALS_AXES; i++)
		assert_string_not_equal(signals_axis_name(i), "unknown");
	assert_string_equal(verdict_outcome_name(99), "unknown");
	assert_string_equal(verdict_class_name(99), "unknown");
	assert_string_equal(signals_axis_name(99), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(warming_until_both_are_over, life_setup),
		cmocka_unit_test_setup(growth_before_it_was_warm_is_forgotten, life_setup),
		cmocka_unit_test_setup(steady_growth_is_likely_with_its_rate, life_setup),
		cmocka_unit_test_setup(nothing_that_grows_is_ok, life_setup),
		cmocka_unit_test_setup(too_slow_a_growth_is_ignored, life_setup),
		cmocka_unit_test_setup(a_plateau_and_a_step_and_an_end_are_no_leak, life_setup),
		cmocka_unit_test_setup(each_gate_refuses_by_itself, life_setup),
		cmocka_unit_test_setup(the_axis_is_what_explains_it, life_setup),
		cmocka_unit_test_setup(what_ends_somewhere_is_told_with_where_it_stands, life_setup),
		cmocka_unit_test_setup(a_little_evidence_makes_no_axis, life_setup),
		cmocka_unit_test_setup(a_librarys_growth_is_told_apart, life_setup),
		cmocka_unit_test_setup(the_limit_is_reached_in_time, life_setup),
		cmocka_unit_test_setup(pages_without_blocks_are_fragmentation, life_setup),
		cmocka_unit_test_setup(a_block_that_grows_in_steps_is_a_buffer, life_setup),
		cmocka_unit_test_setup(extremes_make_no_nonsense, life_setup),
		cmocka_unit_test_setup(every_name_is_known, life_setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
