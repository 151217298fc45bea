/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is done about limits and failures, and when no more is. */
#include "overseer-stage.h"

#include <errno.h>
#include <string.h>

static void
test_a_restart_that_takes_nothing_back_is_the_last(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();

	fakes[0].own = MIB;
	stage_step(overseer); /* so it began */
	fakes[0].foreign = fakes[0].foreign_after = 30 * MIB;
	stage_leak(VERDICT_CONFIRMED);
	stage_step(overseer);
	assert_int_equal(fakes[0].replaced, 1);
	stage_assert_told(overseer, "auth",
			  "the restart took back 0 % of 31.0MiB: 30.0MiB are foreign, held by libraries on its behalf");
	/* Confirmed again, in the new instance: it is told, and no more restarted. */
	fakes[0].verdict = (struct verdict){.outcome = VERDICT_OK};
	stage_step(overseer);
	stage_leak(VERDICT_CONFIRMED);
	stage_step(overseer);
	stage_step(overseer);
	assert_int_equal(fakes[0].replaced, 1);
	assert_string_equal(stage_view(overseer).next,
			    "no restart: the last one took back too little, the leak is elsewhere");
	/* An operator's restart is a new beginning. */
	if (fakes[0].observed)
		fakes[0].observer.release(fakes[0].observer.ctx);
	fakes[0].observed = false;
	fakes[0].number += 5;
	stage_step(overseer);
	assert_int_equal(fakes[0].replaced, 2);
}

static void
test_a_reload_lets_a_stopped_loop_try_again(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();

	fakes[0].foreign = fakes[0].foreign_after = 60 * MIB;
	stage_step(overseer);
	stage_step(overseer);
	assert_int_equal(fakes[0].replaced, 1);
	stage_assert_told(overseer, "auth", "near its hard limit");
	stage_step(overseer);
	assert_int_equal(fakes[0].replaced, 1);
	fakes[0].config.generation++;
	stage_step(overseer);
	assert_int_equal(fakes[0].replaced, 2);
}

static void
test_an_instance_that_stays_as_a_zombie_took_nothing_back(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();

	fakes[0].own = MIB;
	stage_step(overseer);
	fakes[0].own = 20 * MIB;
	fakes[0].zombie = true;
	stage_leak(VERDICT_CONFIRMED);
	stage_step(overseer);
	stage_assert_told(overseer, "auth", "as the old instance could not be ended: a thread of it lives");
}

static void
test_a_restart_that_fails_is_wanted_again_after_a_while(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();

	stage_leak(VERDICT_CONFIRMED);
	fakes[0].replace_result = -EHOSTDOWN;
	stage_step(overseer);
	assert_int_equal(fakes[0].replaced, 1);
	stage_assert_told(overseer, "auth", "not replaced: it will not start; the next try comes in 2.0s");
	stage_step(overseer); /* a second later */
	assert_int_equal(fakes[0].replaced, 1);
	fakes[0].replace_result = 0;
	stage_step(overseer);
	assert_int_equal(fakes[0].replaced, 2);
	stage_assert_story(overseer, "auth", "confirmed dumped evicted restart-failed restarted");
}

static void
test_planned_restarts_have_a_budget(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();

	for (int i = 0; i < 4; i++) {
		stage_leak(VERDICT_CONFIRMED);
		fakes[0].own = 20 * MIB;
		stage_step(overseer);
		fakes[0].verdict = (struct verdict){.outcome = VERDICT_OK};
		stage_step(overseer);
	}
	assert_int_equal(fakes[0].replaced, 2);
	stage_assert_told(overseer, "auth", "restarted as often as restart.planned allows; restart in 59min5");
	assert_int_equal(stage_view(overseer).breaker_until, 0);
}

static void
test_near_the_limit_requests_are_refused_until_there_is_room(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();
	struct breaker_view seen;

	fakes[0].plugin.budget.planned = 0;
	fakes[0].own = 63 * MIB;
	stage_step(overseer);
	assert_true(breaker_is_closed(fakes[0].breaker)); /* it does no harm */
	fakes[0].refused++;
	stage_step(overseer);
	breaker_view(fakes[0].breaker, stage_now, &seen);
	assert_true(seen.held);
	stage_assert_told(overseer, "auth", "it holds 63.0MiB near its limit, and no restart is left");
	stage_step(overseer);
	assert_string_equal(stage_view(overseer).breaker, "open");
	assert_true(stage_view(overseer).breaker_until > 0);
	fakes[0].own = MIB;
	stage_step(overseer);
	stage_step(overseer);
	assert_true(breaker_is_closed(fakes[0].breaker));
	stage_assert_story(overseer, "auth", "soft-limit budget-spent breaker-open breaker-closed");
}

static void
test_an_eviction_that_helps_near_the_limit_is_enough(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();

	fakes[0].own = 63 * MIB;
	fakes[0].eviction_frees = 40 * MIB;
	stage_step(overseer);
	assert_int_equal(fakes[0].evictions, 1);
	assert_int_equal(fakes[0].replaced, 0);
	assert_true(breaker_is_closed(fakes[0].breaker)); /* at once, not a second later */
	stage_assert_told(overseer, "auth", "evicted near its hard limit: it claims 40.0MiB, 40.0MiB less are live");
}

static void
test_what_fails_to_start_is_tried_with_backoff(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();
	int started[60];

	fakes[0].serves = false;
	fakes[0].state = SUPERVISOR_FAILED;
	fakes[0].replace_result = -EHOSTDOWN;
	for (size_t i = 0; i < ARRAY_LENGTH(started); i++) {
		stage_step(overseer);
		started[i] = fakes[0].started;
	}
	/* Told of at 0, tried after 2 and 2 + 4 seconds; three failures are a burst, then it waits a minute. */
	assert_int_equal(started[1], 0);
	assert_int_equal(started[2], 1);
	assert_int_equal(started[5], 1);
	assert_int_equal(started[6], 2);
	assert_int_equal(started[59], 2);
	stage_assert_told(overseer, "auth", "not started: it is broken; the next try comes in 2.0s");
	stage_assert_told(overseer, "auth", "failed as often as restart.burst allows");
	assert_string_equal(stage_view(overseer).next, "a new try in 7.0s");
	fakes[0].replace_result = 0;
	for (int i = 0; i < 8; i++)
		stage_step(overseer);
	assert_int_equal(fakes[0].started, 3);
	stage_assert_told(overseer, "auth", "instance 11 serves after 3 failures");
}

static void
test_disabled_or_stay_means_no_new_try(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();

	fakes[0].serves = fakes[0].enabled = false;
	fakes[0].state = SUPERVISOR_DISABLED;
	for (int i = 0; i < 10; i++)
		stage_step(overseer);
	assert_int_equal(fakes[0].started, 0);
	stage_assert_story(overseer, "auth", "");
	fakes[0].enabled = true;
	fakes[0].state = SUPERVISOR_FAILED;
	fakes[0].plugin.policy.on_exhausted = POLICY_EXHAUSTED_STAY;
	fakes[0].replace_result = -EHOSTDOWN;
	for (int i = 0; i < 300; i++)
		stage_step(overseer);
	assert_int_equal(fakes[0].started, 2);
	assert_string_equal(stage_view(overseer).next, "no new try: restart.on_exhausted says stay");
}

static void
test_bad_frees_are_failures_with_backoff_and_a_budget(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();
	int started[60];

	stage_step(overseer);
	assert_int_equal(fakes[0].started, 0);
	for (size_t i = 0; i < ARRAY_LENGTH(started); i++) {
		fakes[0].faulty = true; /* each of its instances */
		stage_step(overseer);
		started[i] = fakes[0].started;
	}
	/* At once, after 2 and 2 + 4 seconds; three are a burst, then one a minute. */
	assert_int_equal(started[0], 1);
	assert_int_equal(started[1], 1);
	assert_int_equal(started[59], 3);
	stage_assert_told(overseer, "auth", "replaced after bad frees: instance 10 by 11");
	stage_assert_told(overseer, "auth", "failed as often as restart.burst allows");
	stage_assert_story(overseer, "auth", "restarted restarted restarted budget-spent");
	assert_non_null(strstr(stage_view(overseer).next, "replaced after bad frees in "));
	fakes[0].plugin.policy.on_exhausted = POLICY_EXHAUSTED_STAY;
	for (int i = 0; i < 300; i++)
		stage_step(overseer);
	assert_int_equal(fakes[0].started, 3);
	assert_string_equal(stage_view(overseer).next, "not replaced after bad frees: restart.on_exhausted says stay");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_restart_that_takes_nothing_back_is_the_last),
		cmocka_unit_test(test_a_reload_lets_a_stopped_loop_try_again),
		cmocka_unit_test(test_an_instance_that_stays_as_a_zombie_took_nothing_back),
		cmocka_unit_test(test_a_restart_that_fails_is_wanted_again_after_a_while),
		cmocka_unit_test(test_planned_restarts_have_a_budget),
		cmocka_unit_test(test_near_the_limit_requests_are_refused_until_there_is_room),
		cmocka_unit_test(test_an_eviction_that_helps_near_the_limit_is_enough),
		cmocka_unit_test(test_what_fails_to_start_is_tried_with_backoff),
		cmocka_unit_test(test_disabled_or_stay_means_no_new_try),
		cmocka_unit_test(test_bad_frees_are_failures_with_backoff_and_a_budget),
	};

	log_set_level(-1); /* what is told is asserted by the notes */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
