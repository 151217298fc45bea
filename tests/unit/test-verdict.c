/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "verdict.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static struct signals_history history;
static struct verdict_input input;
static struct verdict verdict;

static int
setup(void **state)
{
	(void) state;
	input = (struct verdict_input){.history = &history, .has_evict = true, .settings = verdict_default_settings()};
	return 0;
}

static uint64_t
noise_of(uint64_t number)
{
	number = (number + 1) * 0x9e3779b97f4a7c15;
	return (number ^ number >> 29) % 3000;
}

/* Lives so many requests, sampled at every 48th. */
static void
live(const struct life *life, uint64_t requests)
{
	struct signals *signals;

	assert_int_equal(signals_new(0, &signals), 0);
	for (uint64_t n = 0; n <= requests; n += SIGNALS_SAMPLE_EVERY) {
		struct signals_sample sample = {.live_bytes = 200000, .live_objects = 500, .resident_bytes = 1 << 20};
		sample.exposure.count[SIGNALS_REQUESTS] = n;
		sample.live_bytes += (life->live ? life->live(n) : 0) + noise_of(n);
		sample.foreign_bytes = life->foreign ? life->foreign(n) : 0;
		sample.resident_bytes = life->resident ? life->resident(n) : sample.live_bytes + 65536;
		sample.largest_bytes = life->largest ? life->largest(n) : 4096;
		sample.live_objects += life->objects ? life->objects(n) : sample.live_bytes / 64;
		sample.exposure.count[SIGNALS_ERRORS] = life->errors ? life->errors(n) : n / 50;
		sample.exposure.count[SIGNALS_CLIENTS] = life->clients ? life->clients(n) : 10;
		(void) signals_sample(signals, life->time ? life->time(n) : n * 2000, &sample);
	}
	signals_history(signals, &history);
	signals_free(&signals);
	verdict_judge(&input, &verdict);
}

static const struct verdict_test *
find_test(const char *name)
{
	for (unsigned i = 0; i < verdict.test_count; i++)
		if (strncmp(verdict.tests[i].name, name, strlen(name)) == 0)
			return &verdict.tests[i];
	return NULL;
}

static bool
is_called(const struct verdict_test *test, const char *name)
{
	size_t length = strlen(name);

	return strncmp(test->name, name, length) == 0 && (!test->name[length] || strchr(" :", test->name[length]));
}

static void
assert_failed_alone(const char *name)
{
	for (unsigned i = 0; i < verdict.test_count; i++)
		if (verdict.tests[i].passed == is_called(&verdict.tests[i], name))
			fail_msg("%s is %s", verdict.tests[i].name, verdict.tests[i].passed ? "passed" : "failed");
	assert_non_null(find_test(name));
}

static uint64_t
nothing(uint64_t requests)
{
	(void) requests;
	return 0;
}

static uint64_t
sixteen(uint64_t requests)
{
	return 16 * requests;
}

static void
warming_until_both_are_over(void **state)
{
	(void) state;
	live(&(struct life){.live = sixteen}, 29000);
	assert_int_equal(verdict.outcome, VERDICT_WARMING); /* 58 seconds */
	assert_int_equal(verdict.class, VERDICT_NONE);
	assert_failed_alone("time since");
	input.settings.warm_up_time = 2000000;
	input.settings.warm_up_requests = 40000;
	live(&(struct life){.live = sixteen}, 39990);
	assert_int_equal(verdict.outcome, VERDICT_WARMING);
	assert_failed_alone("requests since");
	/* What seldom serves is warm after sixty times the time. */
	input.settings.warm_up_requests = UINT64_MAX;
	input.settings.warm_up_time = 1000000;
	live(&(struct life){.live = sixteen}, 39990);
	assert_int_not_equal(verdict.outcome, VERDICT_WARMING);
}

static void
growth_before_it_was_warm_is_forgotten(void **state)
{
	(void) state;
	input.settings.warm_up_requests = 60000;
	live(&(struct life){.live = sixteen}, 61000);
	assert_int_equal(verdict.outcome, VERDICT_OK);
	live(&(struct life){.live = sixteen}, 65000);
	assert_int_equal(verdict.outcome, VERDICT_SUSPECT);
	live(&(struct life){.live = sixteen}, 80000);
	assert_int_equal(verdict.outcome, VERDICT_LIKELY);
}

static void
steady_growth_is_likely_with_its_rate(void **state)
{
	char text[300];
	(void) state;
	live(&(struct life){.live = sixteen}, 100000);
	assert_int_equal(verdict.outcome, VERDICT_LIKELY);
	assert_int_equal(verdict.class, VERDICT_LEAK);
	assert_int_equal(verdict.axis, SIGNALS_REQUESTS);
	assert_false(verdict.separable); /* the clock ticks with the requests */
	assert_float_equal(verdict.rate, 16, 0.2);
	assert_true(verdict.rate_low < 16.1 && verdict.rate_high > 15.9 && verdict.rate_high - verdict.rate_low < 2);
	assert_float_equal(verdict.per_request, 16, 0.2);
	assert_float_equal(verdict.seconds_to_limit, -1, 0);
	for (unsigned i = 0; i < verdict.test_count; i++)
		assert_true(verdict.tests[i].passed);
	const struct verdict_test *trend = find_test("mann-kendall s");
	assert_non_null(trend);
	assert_true(trend->of_scale);
	assert_int_equal(trend->scale, verdict.scale);
	verdict_sentence(&verdict, text, sizeof(text));
	assert_ptr_equal(strstr(text, "probably leaks 16.0 ± 0."), text);
	assert_non_null(strstr(text, " bytes per request"));
	assert_null(strstr(text, "causes apart"));
	verdict.axis = SIGNALS_CONNECTIONS;
	verdict_sentence(&verdict, text, sizeof(text));
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

static uint64_t
jagged(uint64_t requests)
{
	return noise_of(requests / 700) * 100;
}

static void
nothing_that_grows_is_ok(void **state)
{
	char text[300];
	(void) state;
	live(&(struct life){.live = nothing}, 100000);
	assert_int_equal(verdict.outcome, VERDICT_OK);
	assert_int_equal(verdict.class, VERDICT_NONE);
	verdict_sentence(&verdict, text, sizeof(text));
	assert_string_equal(text, "no growth that lasts");
	live(&(struct life){.live = jagged}, 100000);
	assert_int_equal(verdict.outcome, VERDICT_OK);
}

static void
too_slow_a_growth_is_ignored(void **state)
{
	(void) state;
	live(&(struct life){.live = half_a_byte}, 500000);
	assert_int_equal(verdict.outcome, VERDICT_OK);
	assert_false(find_test("growth")->passed);
	input.settings.min_rate = 0.3;
	live(&(struct life){.live = half_a_byte}, 500000);
	assert_int_equal(verdict.outcome, VERDICT_LIKELY);
	input.settings.min_growth = 1 << 20;
	live(&(struct life){.live = half_a_byte}, 500000);
	assert_int_equal(verdict.outcome, VERDICT_OK);
}

static void
a_plateau_and_a_step_and_an_end_are_no_leak(void **state)
{
	(void) state;
	live(&(struct life){.live = filled}, 100000);
	assert_int_equal(verdict.outcome, VERDICT_OK);
	live(&(struct life){.live = stepped}, 100000);
	assert_int_equal(verdict.outcome, VERDICT_OK);
	live(&(struct life){.live = stopped}, 100000);
	assert_int_equal(verdict.outcome, VERDICT_OK);
}

/* Blocks of scale 0 as told, long after the warm-up. */
static void
floors_are(const double *floors)
{
	memset(&history, 0, sizeof(history));
	history.kept[0] = SIGNALS_BLOCKS;
	history.blocks[0] = SIGNALS_BLOCKS;
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++) {
		history.block[0][i].floor = (uint64_t) floors[i];
		history.block[0][i].objects = (uint64_t) floors[i] / 64;
		history.block[0][i].exposure.count[SIGNALS_REQUESTS] = 1000000 + i * 128;
		history.block[0][i].exposure.count[SIGNALS_SECONDS] = 2000000000 + i * 256000;
	}
	history.last.exposure = history.block[0][SIGNALS_BLOCKS - 1].exposure;
	verdict_judge(&input, &verdict);
}

static void
each_gate_refuses_by_itself(void **state)
{
	double floors[SIGNALS_BLOCKS];
	(void) state;
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = 100000 + i * 4000;
	floors_are(floors);
	assert_int_equal(verdict.outcome, VERDICT_SUSPECT);
	assert_failed_alone("an adjacent scale");
	/* Order: S is 50 at least. */
	double swapped[SIGNALS_BLOCKS];
	memcpy(swapped, floors, sizeof(floors));
	swapped[0] = floors[11];
	floors_are(swapped);
	assert_int_equal(verdict.outcome, VERDICT_OK);
	assert_failed_alone("mann-kendall");
	/* Growth: 32 KiB. */
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = 100000 + i * 2900;
	floors_are(floors);
	assert_int_equal(verdict.outcome, VERDICT_OK);
	assert_failed_alone("growth");
	/* And half a percent of what lives. */
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = 10000000 + i * 4000;
	floors_are(floors);
	assert_int_equal(verdict.outcome, VERDICT_OK);
	assert_failed_alone("growth");
	/* Plateau. */
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = 100000 + (i < 6 ? i * 8000 : 40000 + (i - 5) * 4000);
	floors_are(floors);
	assert_int_equal(verdict.outcome, VERDICT_OK);
	assert_failed_alone("no plateau");
	/* Step. */
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = 100000 + (i < 6 ? i * 100 : 500 + (i - 5) * 10000);
	floors_are(floors);
	assert_int_equal(verdict.outcome, VERDICT_OK);
	assert_false(find_test("no step")->passed);
	/* It has ended. */
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = 100000 + (i < 9 ? i * 8000 : 64000 + (i - 8) * 10);
	floors_are(floors);
	assert_int_equal(verdict.outcome, VERDICT_OK);
	assert_false(find_test("goes on")->passed);
	/* Noise: six deviations. */
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = 100000 + i * 4000 + (i % 2 ? 9000 : -9000);
	floors_are(floors);
	assert_int_equal(verdict.outcome, VERDICT_OK);
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
	live(&(struct life){.live = by_errors, .errors = errors_in_bursts}, 200000);
	assert_int_equal(verdict.outcome, VERDICT_LIKELY);
	assert_int_equal(verdict.axis, SIGNALS_ERRORS);
	assert_true(verdict.separable);
	assert_float_equal(verdict.rate, 512, 30);
	assert_float_equal(verdict.per_request, 512.0 / 30, 1);

	live(&(struct life){.live = by_time, .time = uneven}, 200000);
	assert_int_equal(verdict.outcome, VERDICT_LIKELY);
	assert_int_equal(verdict.axis, SIGNALS_SECONDS);
	assert_true(verdict.separable);
	assert_float_equal(verdict.rate, 1000, 50);

	live(&(struct life){.live = sixteen, .time = uneven, .errors = errors_in_bursts}, 200000);
	assert_int_equal(verdict.axis, SIGNALS_REQUESTS);
	assert_true(verdict.separable);
	assert_float_equal(verdict.rate, 16, 0.5);

	live(&(struct life){.live = by_clients, .clients = clients_in_groups}, 200000);
	assert_int_equal(verdict.axis, SIGNALS_CLIENTS);
	assert_int_equal(verdict.class, VERDICT_CLIENT_STATE);
	assert_float_equal(verdict.rate, 1024, 60);
	assert_int_equal(verdict.clients, history.last.exposure.count[SIGNALS_CLIENTS]);
}

static void
what_ends_somewhere_is_told_with_where_it_stands(void **state)
{
	char text[300];
	(void) state;
	verdict = (struct verdict){.outcome = VERDICT_LIKELY,
				   .class = VERDICT_CLIENT_STATE,
				   .axis = SIGNALS_CLIENTS,
				   .separable = true,
				   .rate = 1024,
				   .rate_low = 1024,
				   .rate_high = 1024,
				   .clients = 2048,
				   .seconds_to_limit = -1};
	verdict_sentence(&verdict, text, sizeof(text));
	assert_string_equal(text, "keeps 1024 bytes per client, 2.0MiB for the 2048 seen so far");
	verdict.class = VERDICT_GROWING_BUFFER;
	verdict.axis = SIGNALS_REQUESTS;
	verdict.rate = verdict.rate_low = verdict.rate_high = 16;
	verdict.largest = 4 << 20;
	verdict_sentence(&verdict, text, sizeof(text));
	assert_string_equal(text, "a buffer grows by 16.0 bytes per request, its largest block is 4.0MiB by now");
	verdict.class = VERDICT_LEAK;
	verdict_sentence(&verdict, text, sizeof(text));
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
		history.block[0][i].exposure.count[SIGNALS_CLIENTS] = 5 * i;
	struct signals_moments *moments = &history.moments[0];
	moments->count = count;
	moments->yy = 1e12;
	moments->xx[SIGNALS_REQUESTS][SIGNALS_REQUESTS] = moments->xx[SIGNALS_CLIENTS][SIGNALS_CLIENTS] = 1;
	/* Requests explain it as far as they go with clients. */
	moments->xx[SIGNALS_REQUESTS][SIGNALS_CLIENTS] = sqrt((1 - rest_requests) / (1 - rest_clients));
	moments->xy[SIGNALS_REQUESTS] = sqrt(1 - rest_requests) * 1e6;
	moments->xy[SIGNALS_CLIENTS] = sqrt(1 - rest_clients) * 1e6;
	verdict_judge(&input, &verdict);
	assert_int_equal(verdict.outcome, VERDICT_SUSPECT);
}

static void
a_little_evidence_makes_no_axis(void **state)
{
	(void) state;
	levels_are(100, 0.2, 0.02);
	assert_int_equal(verdict.axis, SIGNALS_CLIENTS);
	assert_true(verdict.separable);
	assert_int_equal(verdict.class, VERDICT_CLIENT_STATE);
	/* Twice as much left over is nothing yet: neighbouring floors depend on each other. */
	levels_are(100, 0.04, 0.02);
	assert_int_equal(verdict.axis, SIGNALS_REQUESTS);
	assert_false(verdict.separable);
	assert_int_equal(verdict.class, VERDICT_LEAK);
	levels_are(31, 0.99, 1e-9);
	assert_false(verdict.separable);
	levels_are(32, 0.99, 1e-9);
	assert_true(verdict.separable);
}

static void
a_librarys_growth_is_told_apart(void **state)
{
	(void) state;
	input.hard_limit = 10 << 20;
	live(&(struct life){.foreign = sixteen}, 100000);
	assert_int_equal(verdict.outcome, VERDICT_LIKELY);
	assert_true(verdict.foreign);
	assert_float_equal(verdict.seconds_to_limit, ((10 << 20) - 1600000) / 8000.0, 20);
	live(&(struct life){.live = sixteen}, 100000);
	assert_false(verdict.foreign);
}

static void
the_limit_is_reached_in_time(void **state)
{
	char text[300];
	(void) state;
	input.hard_limit = 100 << 20;
	live(&(struct life){.live = sixteen}, 100000);
	/* 8,000 bytes a second from 1.8 MB to 104.86 MB. */
	assert_float_equal(verdict.seconds_to_limit, 12880, 200);
	verdict_sentence(&verdict, text, sizeof(text));
	assert_non_null(strstr(text, ", 3h3"));
	assert_non_null(strstr(text, "min to its limit"));
	input.hard_limit = 1000;
	live(&(struct life){.live = sixteen}, 100000);
	assert_float_equal(verdict.seconds_to_limit, 0, 0);
	live(&(struct life){.live = nothing}, 100000);
	assert_float_equal(verdict.seconds_to_limit, -1, 0);
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
	live(&(struct life){.live = nothing, .resident = pages}, 200000);
	assert_int_equal(verdict.outcome, VERDICT_SUSPECT);
	assert_int_equal(verdict.class, VERDICT_FRAGMENTATION);
	verdict_sentence(&verdict, text, sizeof(text));
	assert_non_null(strstr(text, "fragmentation"));
	/* Pages that grow with what lives are not. */
	live(&(struct life){.live = sixteen}, 200000);
	assert_int_equal(verdict.class, VERDICT_LEAK);
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
	live(&(struct life){.live = doubling, .largest = doubling, .objects = few}, 200000);
	assert_int_equal(verdict.outcome, VERDICT_LIKELY);
	assert_int_equal(verdict.class, VERDICT_GROWING_BUFFER);
	/* The same bytes in many blocks are none. */
	live(&(struct life){.live = doubling, .largest = nothing}, 200000);
	assert_int_not_equal(verdict.class, VERDICT_GROWING_BUFFER);
}

/* Bytes of ages spread as told: by column of log2. */
static struct verdict_site
site_of(uintptr_t address, double (*density)(double age), double life)
{
	struct verdict_site site = {.site = address, .objects = 100};

	for (unsigned k = 0; k < VERDICT_COHORTS && ldexp(1, (int) k - 1) <= life; k++) {
		double from = k == 0 ? 0 : ldexp(1, (int) k - 1), to = fmin(ldexp(1, (int) k), life);
		site.age_bytes[k] = (uint64_t) (density((from + to) / 2) * (to - from));
		site.bytes += site.age_bytes[k];
	}
	return site;
}

static double
leaked(double age)
{
	(void) age;
	return 16;
}

static double
turned_over(double age)
{
	return age < 10000 ? 300 : 0;
}

static double
filled_long_ago(double age)
{
	return age > 80000 ? 900 : 0;
}

static double
thinned(double age)
{
	return 400 * exp(-age / 20000);
}

static void
sites_that_do_not_thin_out_are_likely_by_themselves(void **state)
{
	(void) state;
	struct verdict_site sites[] = {
		site_of(1, turned_over, 100000),
		site_of(2, filled_long_ago, 100000),
		site_of(3, leaked, 100000),
		site_of(4, thinned, 100000),
	};
	input.sites = sites;
	input.site_count = ARRAY_LENGTH(sites);
	input.epoch = 100000;
	/* The floors are jagged: a sawtooth hides the leak. */
	live(&(struct life){.live = jagged}, 100000);
	assert_int_equal(verdict.outcome, VERDICT_LIKELY);
	assert_int_equal(verdict.class, VERDICT_LEAK);
	assert_float_equal(verdict.per_request, 16, 1);
	assert_true(verdict.rate_low <= 16 && verdict.rate_high >= 16);
	assert_int_equal(verdict.sites[0].site, 3);
	assert_float_equal(verdict.site_rates[0], 16, 1);
	/* Without that one it is nothing. */
	input.site_count = 2;
	live(&(struct life){.live = jagged}, 100000);
	assert_int_equal(verdict.outcome, VERDICT_OK);
}

static void
two_walks_tell_growth_from_turnover(void **state)
{
	(void) state;
	struct verdict_site earlier[] = {site_of(1, turned_over, 80000), site_of(3, leaked, 80000)};
	struct verdict_site sites[] = {site_of(1, turned_over, 100000), site_of(3, leaked, 100000)};
	input.sites = sites;
	input.earlier = earlier;
	input.site_count = input.earlier_count = 2;
	input.epoch = 100000;
	input.earlier_epoch = 80000;
	live(&(struct life){.live = sixteen}, 20000); /* too young for octaves of ages */
	input.settings.warm_up_time = 0;
	verdict_judge(&input, &verdict);
	assert_int_equal(verdict.site_count, 1);
	assert_int_equal(verdict.sites[0].site, 3);
	assert_float_equal(verdict.site_rates[0], 16, 0.5);
}

static void
no_more_sites_than_there_is_room_for(void **state)
{
	struct verdict_site sites[40];
	(void) state;
	for (unsigned i = 0; i < ARRAY_LENGTH(sites); i++) {
		sites[i] = site_of(i + 1, leaked, 100000);
		for (unsigned k = 0; k < VERDICT_COHORTS; k++)
			sites[i].age_bytes[k] *= (i * 7) % 40;
	}
	input.sites = sites;
	input.site_count = ARRAY_LENGTH(sites);
	live(&(struct life){.live = sixteen}, 100000);
	assert_int_equal(verdict.site_count, VERDICT_SITES);
	for (unsigned i = 0; i < VERDICT_SITES; i++)
		assert_int_equal((verdict.sites[i].site - 1) * 7 % 40, 39 - i);
}

static void
without_a_hook_likely_takes_longer(void **state)
{
	(void) state;
	live(&(struct life){.live = sixteen}, 60000);
	assert_int_equal(verdict.outcome, VERDICT_LIKELY);
	input.has_evict = false;
	live(&(struct life){.live = sixteen}, 60000);
	assert_int_equal(verdict.outcome, VERDICT_SUSPECT);
	live(&(struct life){.live = sixteen}, 200000);
	assert_int_equal(verdict.outcome, VERDICT_LIKELY);
}

static void
what_the_probe_confirmed_is_confirmed(void **state)
{
	char text[300];
	(void) state;
	input.probes = (struct verdict_probes){
		.done = 1,
		.confirmed = true,
		.class = VERDICT_LEAK,
		.residual_first = 130000,
		.residual_second = 134000,
		.interval_requests = 16384,
		.objects_grown = 16384,
		.survived = 129000,
		.rate = 264000.0 / 16384,
	};
	input.probes.first.count[SIGNALS_REQUESTS] = input.probes.second.count[SIGNALS_REQUESTS] = 8192;
	input.probes.first.count[SIGNALS_SECONDS] = input.probes.second.count[SIGNALS_SECONDS] = 16384000;
	input.hard_limit = 100 << 20;
	live(&(struct life){.live = nothing}, 100000);
	assert_int_equal(verdict.outcome, VERDICT_CONFIRMED);
	assert_int_equal(verdict.class, VERDICT_LEAK);
	assert_float_equal(verdict.rate, 16.11, 0.01);
	assert_float_equal(verdict.rate_high - verdict.rate, 0.247, 0.01);
	assert_true(verdict.seconds_to_limit > 0);
	verdict_sentence(&verdict, text, sizeof(text));
	assert_non_null(strstr(text, "leaks 16.1 ± 0.25 bytes per request"));
	assert_non_null(strstr(text, "confirmed by probe"));
	assert_true(find_test("first interval's births")->passed);
	/* Also while it warms up again. */
	live(&(struct life){.live = nothing}, 100);
	assert_int_equal(verdict.outcome, VERDICT_CONFIRMED);
}

static double
filled_again(double age)
{
	return age < 700 ? 2000 : 0;
}

static void
what_fills_again_after_the_eviction_is_not_blamed(void **state)
{
	(void) state;
	struct verdict_site sites[] = {
		site_of(1, filled_again, 100000),
		site_of(2, leaked, 100000),
	};
	input.sites = sites;
	input.site_count = ARRAY_LENGTH(sites);
	input.probes = (struct verdict_probes){.confirmed = true,
					       .class = VERDICT_LEAK,
					       .residual_first = 130000,
					       .residual_second = 130000,
					       .interval_requests = 16384,
					       .walk_age = 768,
					       .objects_grown = 16384,
					       .rate = 16};
	live(&(struct life){.live = sixteen}, 100000);
	assert_int_equal(verdict.sites[0].site, 2);
	assert_float_equal(verdict.site_rates[0], 16, 0.5);
	assert_int_equal(verdict.site_count, 1);
}

static void
what_the_probe_rejected_is_a_cache_unless_it_grows_faster(void **state)
{
	char text[300];
	(void) state;
	input.probes = (struct verdict_probes){.done = 1, .rejected = 1, .rejected_rate = 15};
	live(&(struct life){.live = sixteen}, 100000);
	assert_int_equal(verdict.outcome, VERDICT_SUSPECT);
	assert_int_equal(verdict.class, VERDICT_CACHE_GROWTH);
	verdict_sentence(&verdict, text, sizeof(text));
	assert_ptr_equal(strstr(text, "a cache grows by 16"), text);
	input.probes.rejected_rate = 7;
	live(&(struct life){.live = sixteen}, 100000);
	assert_int_equal(verdict.outcome, VERDICT_LIKELY);
	assert_int_equal(verdict.class, VERDICT_LEAK);
	live(&(struct life){.live = sixteen}, 1000);
	assert_int_equal(verdict.outcome, VERDICT_WARMING);
	assert_int_equal(verdict.class, VERDICT_CACHE_GROWTH);
}

static void
while_a_probe_runs_it_stays_likely(void **state)
{
	(void) state;
	input.probes.running = true;
	live(&(struct life){.live = nothing}, 100000);
	assert_int_equal(verdict.outcome, VERDICT_LIKELY);
}

static void
without_traffic_time_alone_counts(void **state)
{
	struct signals *signals;
	(void) state;
	assert_int_equal(signals_new(0, &signals), 0);
	/* 64 KiB a minute from a thread; nobody asks for anything, for two hours. */
	for (uint64_t second = 0; second < 7200; second++) {
		struct signals_sample sample = {.live_bytes = 500000 + second / 60 * 65536,
						.live_objects = 100 + second / 60};
		(void) signals_sample(signals, second * 1000000, &sample);
	}
	signals_history(signals, &history);
	signals_free(&signals);
	verdict_judge(&input, &verdict);
	assert_int_equal(verdict.outcome, VERDICT_LIKELY);
	assert_int_equal(verdict.class, VERDICT_LEAK);
	assert_int_equal(verdict.axis, SIGNALS_SECONDS);
	assert_float_equal(verdict.rate, 65536.0 / 60, 150);
	assert_float_equal(verdict.per_request, 0, 0);
	/* And nothing at all. */
	memset(&history, 0, sizeof(history));
	verdict_judge(&input, &verdict);
	assert_int_equal(verdict.outcome, VERDICT_WARMING);
}

static void
extremes_make_no_nonsense(void **state)
{
	(void) state;
	memset(&history, 0, sizeof(history));
	for (unsigned scale = 0; scale < SIGNALS_SCALES; scale++) {
		history.kept[scale] = SIGNALS_BLOCKS;
		for (unsigned i = 0; i < SIGNALS_BLOCKS; i++) {
			struct signals_block *block = &history.block[scale][i];
			for (unsigned a = 0; a < SIGNALS_AXES; a++)
				block->exposure.count[a] = UINT64_MAX / 12 * (i + 1);
			block->floor = UINT64_MAX / 12 * (i + 1);
			block->objects = i % 2 ? UINT64_MAX : 0;
			block->resident = i * (UINT64_MAX / 12);
		}
	}
	memset(&history.last.exposure, 0xff, sizeof(history.last.exposure));
	input.hard_limit = UINT64_MAX;
	verdict_judge(&input, &verdict);
	assert_true(verdict.outcome >= VERDICT_OK);
	assert_true(isfinite(verdict.rate) && isfinite(verdict.seconds_to_limit));
	char text[20];
	verdict_sentence(&verdict, text, sizeof(text));
	assert_true(strlen(text) < sizeof(text));
	verdict_sentence(&verdict, text, 1);
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
		cmocka_unit_test_setup(warming_until_both_are_over, setup),
		cmocka_unit_test_setup(growth_before_it_was_warm_is_forgotten, setup),
		cmocka_unit_test_setup(steady_growth_is_likely_with_its_rate, setup),
		cmocka_unit_test_setup(nothing_that_grows_is_ok, setup),
		cmocka_unit_test_setup(too_slow_a_growth_is_ignored, setup),
		cmocka_unit_test_setup(a_plateau_and_a_step_and_an_end_are_no_leak, setup),
		cmocka_unit_test_setup(each_gate_refuses_by_itself, setup),
		cmocka_unit_test_setup(the_axis_is_what_explains_it, setup),
		cmocka_unit_test_setup(what_ends_somewhere_is_told_with_where_it_stands, setup),
		cmocka_unit_test_setup(a_little_evidence_makes_no_axis, setup),
		cmocka_unit_test_setup(a_librarys_growth_is_told_apart, setup),
		cmocka_unit_test_setup(the_limit_is_reached_in_time, setup),
		cmocka_unit_test_setup(pages_without_blocks_are_fragmentation, setup),
		cmocka_unit_test_setup(a_block_that_grows_in_steps_is_a_buffer, setup),
		cmocka_unit_test_setup(sites_that_do_not_thin_out_are_likely_by_themselves, setup),
		cmocka_unit_test_setup(two_walks_tell_growth_from_turnover, setup),
		cmocka_unit_test_setup(no_more_sites_than_there_is_room_for, setup),
		cmocka_unit_test_setup(without_a_hook_likely_takes_longer, setup),
		cmocka_unit_test_setup(what_the_probe_confirmed_is_confirmed, setup),
		cmocka_unit_test_setup(what_fills_again_after_the_eviction_is_not_blamed, setup),
		cmocka_unit_test_setup(what_the_probe_rejected_is_a_cache_unless_it_grows_faster, setup),
		cmocka_unit_test_setup(while_a_probe_runs_it_stays_likely, setup),
		cmocka_unit_test_setup(without_traffic_time_alone_counts, setup),
		cmocka_unit_test_setup(extremes_make_no_nonsense, setup),
		cmocka_unit_test_setup(every_name_is_known, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
