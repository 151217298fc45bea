/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the ages of blocks and probes make of it. */
#include "life.h"

#include <math.h>
#include <string.h>

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
	life_input.sites = sites;
	life_input.site_count = ARRAY_LENGTH(sites);
	life_input.epoch = 100000;
	/* The floors are life_jagged: a sawtooth hides the leak. */
	life_judge(&(struct life){.live = life_jagged}, 100000);
	assert_int_equal(life_verdict.outcome, VERDICT_LIKELY);
	assert_int_equal(life_verdict.class, VERDICT_LEAK);
	assert_float_equal(life_verdict.per_request, 16, 1);
	assert_true(life_verdict.rate_low <= 16 && life_verdict.rate_high >= 16);
	assert_int_equal(life_verdict.sites[0].site, 3);
	assert_float_equal(life_verdict.site_rates[0], 16, 1);
	/* Without that one it is nothing. */
	life_input.site_count = 2;
	life_judge(&(struct life){.live = life_jagged}, 100000);
	assert_int_equal(life_verdict.outcome, VERDICT_OK);
}

static void
two_walks_tell_growth_from_turnover(void **state)
{
	(void) state;
	struct verdict_site earlier[] = {site_of(1, turned_over, 80000), site_of(3, leaked, 80000)};
	struct verdict_site sites[] = {site_of(1, turned_over, 100000), site_of(3, leaked, 100000)};
	life_input.sites = sites;
	life_input.earlier = earlier;
	life_input.site_count = life_input.earlier_count = 2;
	life_input.epoch = 100000;
	life_input.earlier_epoch = 80000;
	life_judge(&(struct life){.live = life_sixteen}, 20000); /* too young for octaves of ages */
	life_input.settings.warm_up_time = 0;
	verdict_judge(&life_input, &life_verdict);
	assert_int_equal(life_verdict.site_count, 1);
	assert_int_equal(life_verdict.sites[0].site, 3);
	assert_float_equal(life_verdict.site_rates[0], 16, 0.5);
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
	life_input.sites = sites;
	life_input.site_count = ARRAY_LENGTH(sites);
	life_judge(&(struct life){.live = life_sixteen}, 100000);
	assert_int_equal(life_verdict.site_count, VERDICT_SITES);
	for (unsigned i = 0; i < VERDICT_SITES; i++)
		assert_int_equal((life_verdict.sites[i].site - 1) * 7 % 40, 39 - i);
}

static void
without_a_hook_likely_takes_longer(void **state)
{
	(void) state;
	life_judge(&(struct life){.live = life_sixteen}, 60000);
	assert_int_equal(life_verdict.outcome, VERDICT_LIKELY);
	life_input.has_evict = false;
	life_judge(&(struct life){.live = life_sixteen}, 60000);
	assert_int_equal(life_verdict.outcome, VERDICT_SUSPECT);
	life_judge(&(struct life){.live = life_sixteen}, 200000);
	assert_int_equal(life_verdict.outcome, VERDICT_LIKELY);
}

static void
what_the_probe_confirmed_is_confirmed(void **state)
{
	char text[300];
	(void) state;
	life_input.probes = (struct verdict_probes){
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
	life_input.probes.first.count[SIGNALS_REQUESTS] = life_input.probes.second.count[SIGNALS_REQUESTS] = 8192;
	life_input.probes.first.count[SIGNALS_SECONDS] = life_input.probes.second.count[SIGNALS_SECONDS] = 16384000;
	life_input.hard_limit = 100 << 20;
	life_judge(&(struct life){.live = life_nothing}, 100000);
	assert_int_equal(life_verdict.outcome, VERDICT_CONFIRMED);
	assert_int_equal(life_verdict.class, VERDICT_LEAK);
	assert_float_equal(life_verdict.rate, 16.11, 0.01);
	assert_float_equal(life_verdict.rate_high - life_verdict.rate, 0.247, 0.01);
	assert_true(life_verdict.seconds_to_limit > 0);
	verdict_sentence(&life_verdict, text, sizeof(text));
	assert_non_null(strstr(text, "leaks 16.1 ± 0.25 bytes per request"));
	assert_non_null(strstr(text, "confirmed by probe"));
	assert_true(life_test("first interval's births")->passed);
	/* Also while it warms up again. */
	life_judge(&(struct life){.live = life_nothing}, 100);
	assert_int_equal(life_verdict.outcome, VERDICT_CONFIRMED);
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
	life_input.sites = sites;
	life_input.site_count = ARRAY_LENGTH(sites);
	life_input.probes = (struct verdict_probes){.confirmed = true,
						    .class = VERDICT_LEAK,
						    .residual_first = 130000,
						    .residual_second = 130000,
						    .interval_requests = 16384,
						    .walk_age = 768,
						    .objects_grown = 16384,
						    .rate = 16};
	life_judge(&(struct life){.live = life_sixteen}, 100000);
	assert_int_equal(life_verdict.sites[0].site, 2);
	assert_float_equal(life_verdict.site_rates[0], 16, 0.5);
	assert_int_equal(life_verdict.site_count, 1);
}

static void
what_the_probe_rejected_is_a_cache_unless_it_grows_faster(void **state)
{
	char text[300];
	(void) state;
	life_input.probes = (struct verdict_probes){.done = 1, .rejected = 1, .rejected_rate = 15};
	life_judge(&(struct life){.live = life_sixteen}, 100000);
	assert_int_equal(life_verdict.outcome, VERDICT_SUSPECT);
	assert_int_equal(life_verdict.class, VERDICT_CACHE_GROWTH);
	verdict_sentence(&life_verdict, text, sizeof(text));
	assert_ptr_equal(strstr(text, "a cache grows by 16"), text);
	life_input.probes.rejected_rate = 7;
	life_judge(&(struct life){.live = life_sixteen}, 100000);
	assert_int_equal(life_verdict.outcome, VERDICT_LIKELY);
	assert_int_equal(life_verdict.class, VERDICT_LEAK);
	life_judge(&(struct life){.live = life_sixteen}, 1000);
	assert_int_equal(life_verdict.outcome, VERDICT_WARMING);
	assert_int_equal(life_verdict.class, VERDICT_CACHE_GROWTH);
}

static void
while_a_probe_runs_it_stays_likely(void **state)
{
	(void) state;
	life_input.probes.running = true;
	life_judge(&(struct life){.live = life_nothing}, 100000);
	assert_int_equal(life_verdict.outcome, VERDICT_LIKELY);
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
	signals_history(signals, &life_history);
	signals_free(&signals);
	verdict_judge(&life_input, &life_verdict);
	assert_int_equal(life_verdict.outcome, VERDICT_LIKELY);
	assert_int_equal(life_verdict.class, VERDICT_LEAK);
	assert_int_equal(life_verdict.axis, SIGNALS_SECONDS);
	assert_float_equal(life_verdict.rate, 65536.0 / 60, 150);
	assert_float_equal(life_verdict.per_request, 0, 0);
	/* And life_nothing at all. */
	memset(&life_history, 0, sizeof(life_history));
	verdict_judge(&life_input, &life_verdict);
	assert_int_equal(life_verdict.outcome, VERDICT_WARMING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(sites_that_do_not_thin_out_are_likely_by_themselves, life_setup),
		cmocka_unit_test_setup(two_walks_tell_growth_from_turnover, life_setup),
		cmocka_unit_test_setup(no_more_sites_than_there_is_room_for, life_setup),
		cmocka_unit_test_setup(without_a_hook_likely_takes_longer, life_setup),
		cmocka_unit_test_setup(what_the_probe_confirmed_is_confirmed, life_setup),
		cmocka_unit_test_setup(what_fills_again_after_the_eviction_is_not_blamed, life_setup),
		cmocka_unit_test_setup(what_the_probe_rejected_is_a_cache_unless_it_grows_faster, life_setup),
		cmocka_unit_test_setup(while_a_probe_runs_it_stays_likely, life_setup),
		cmocka_unit_test_setup(without_traffic_time_alone_counts, life_setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
