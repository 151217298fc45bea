/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is told and done about leaks, growth and pressure. */
#include "overseer-stage.h"

#include <errno.h>
#include <stdio.h>

static void
test_a_leak_is_told_dumped_evicted_and_the_instance_replaced(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();

	stage_step(overseer);
	stage_assert_story(overseer, "auth", "");
	stage_leak(VERDICT_SUSPECT);
	stage_step(overseer);
	stage_leak(VERDICT_LIKELY);
	fakes[0].phase = "first floor";
	stage_step(overseer);
	stage_step(overseer);
	assert_string_equal(stage_view(overseer).probe, "first floor");
	assert_string_equal(stage_view(overseer).sentence,
			    "leaks 16 bytes per request at parse_header (auth.c:41), 3h10min to its limit");
	stage_leak(VERDICT_CONFIRMED);
	fakes[0].phase = "idle";
	stage_step(overseer);
	stage_assert_story(overseer, "auth", "suspect likely probe probe-ended confirmed dumped evicted restarted");
	stage_assert_told(overseer, "auth", "there is no folder for dumps");
	stage_assert_told(overseer, "auth", "instance 10 replaced by 11 for its leak: 9.0MiB of 10.0MiB taken back");
	assert_int_equal(fakes[0].replaced, 1);
	assert_true(fakes[0].evict_target == UINT64_MAX);
	assert_int_equal(fakes[0].evict_level, 2);
	/* The new instance is met as if nothing had been. */
	fakes[0].verdict = (struct verdict){.outcome = VERDICT_WARMING};
	stage_step(overseer);
	assert_int_equal(stage_view(overseer).instance, 11);
	assert_int_equal(fakes[0].replaced, 1);
	assert_int_equal(fakes[0].inspectors, 1);
}

static void
test_dumps_go_to_the_folder(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();
	char root[] = "/tmp/test-overseer.XXXXXX", command[100];

	assert_non_null(mkdtemp(root));
	fakes[0].config.daemon.dump_directory = root;
	fakes[0].config.daemon.dump_count = 1;
	fakes[0].config.daemon.dump_bytes = MIB;
	fakes[0].plugin.policy.on_suspect = POLICY_DUMP; /* without a record of the verdict itself */
	stage_leak(VERDICT_SUSPECT);
	stage_step(overseer);
	stage_assert_story(overseer, "auth", "dumped");
	stage_assert_told(overseer, "auth", "dumped to /tmp/test-overseer.");
	snprintf(command, sizeof(command), "grep -q 'of constants' %s/auth-10-*.json && rm -r %s", root, root);
	assert_int_equal(system(command), 0);
}

static void
test_profiles_and_probes_are_granted(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();

	fakes[0].wish = INSPECTOR_PROFILE;
	stage_step(overseer);
	assert_int_equal(fakes[0].walks, 1);
	assert_int_equal(fakes[0].evictions, 0);
	fakes[0].wish = INSPECTOR_EVICT;
	fakes[0].eviction_result = -EBUSY; /* it is being changed: asked again, and not told as a failure */
	stage_step(overseer);
	assert_int_equal(fakes[0].told_evicted, 0);
	fakes[0].eviction_result = 0;
	stage_step(overseer);
	assert_int_equal(fakes[0].evictions, 1);
	assert_int_equal(fakes[0].told_evicted, 1);
	assert_int_equal(fakes[0].evicted_result, 0);
	fakes[0].wish = INSPECTOR_EVICT;
	fakes[0].eviction_result = -ETIMEDOUT;
	stage_step(overseer);
	assert_int_equal(fakes[0].told_evicted, 2);
	assert_int_equal(fakes[0].evicted_result, -ETIMEDOUT);
	stage_assert_story(overseer, "auth", "");
}

static void
test_new_settings_make_the_inspector_begin_anew(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();

	stage_step(overseer);
	stage_step(overseer);
	assert_int_equal(fakes[0].restarted_inspections, 0);
	assert_int_equal(fakes[0].settings, 0);
	fakes[0].reconfigured++;
	fakes[0].config.generation++;
	stage_step(overseer);
	stage_step(overseer);
	assert_int_equal(fakes[0].restarted_inspections, 1);
	assert_int_equal(fakes[0].settings, 1);
	/* watch: off stops judging, not the limits. */
	fakes[0].plugin.leak.watch = false;
	stage_leak(VERDICT_CONFIRMED);
	stage_step(overseer);
	assert_int_equal(stage_view(overseer).verdict.outcome, VERDICT_WARMING);
	assert_int_equal(fakes[0].replaced, 0);
}

static void
test_suspicions_that_come_and_go_are_told_now_and_then(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();

	for (int i = 0; i < 300; i++) { /* ten minutes */
		stage_leak(VERDICT_SUSPECT);
		stage_step(overseer);
		fakes[0].verdict = (struct verdict){.outcome = VERDICT_OK};
		stage_step(overseer);
	}
	stage_assert_story(overseer, "auth", "suspect cleared");
	stage_leak(VERDICT_SUSPECT);
	stage_step(overseer);
	stage_assert_story(overseer, "auth", "suspect cleared suspect");
}

static void
test_what_is_no_leak_is_told_as_such(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();

	stage_leak(VERDICT_LIKELY);
	fakes[0].verdict.class = VERDICT_CLIENT_STATE;
	stage_step(overseer);
	stage_assert_story(overseer, "auth", "growth");
}

static void
test_pressure_evicts_the_largest_that_can(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();

	fakes[1].configured = true;
	fakes[1].plugin.leak.watch = false;
	fakes[1].own = 20 * MIB;
	stage_step(overseer);
	overseer_pressure(overseer);
	overseer_settle(overseer); /* for its own thread's step */
	assert_int_equal(fakes[1].evictions, 1);
	assert_int_equal(fakes[0].evictions, 0);
	assert_true(fakes[1].evict_target == UINT64_MAX);
	/* The next time it is the other's turn, as the first has nothing left to give yet. */
	overseer_pressure(overseer);
	overseer_settle(overseer);
	assert_int_equal(fakes[1].evictions, 1);
	assert_int_equal(fakes[0].evictions, 1);
	stage_assert_story(overseer, "other", "pressure");
	fakes[0].descriptor.evict = fakes[1].descriptor.evict = NULL;
	overseer_pressure(overseer);
	overseer_settle(overseer);
	assert_int_equal(fakes[0].evictions + fakes[1].evictions, 2);
}

static void
test_a_plugin_that_left_is_forgotten(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();
	struct overseer_view view;
	char *text = NULL;
	size_t length = 0;

	stage_step(overseer);
	assert_int_equal(overseer_view(overseer, "auth", &view), 0);
	assert_int_equal(overseer_record(overseer, "auth", &text, &length), 0);
	assert_string_equal(text, "parse_header (/src/auth.c:41)");
	free(text);
	fakes[0].configured = false;
	stage_step(overseer);
	assert_int_equal(overseer_view(overseer, "auth", &view), -ENOENT);
	assert_int_equal(overseer_record(overseer, "auth", &text, &length), -ENOENT);
	stage_assert_story(overseer, "auth", "");
}

static void
test_notes_are_bounded(void **state UNUSED)
{
	CLEANUP(stage_teardown) struct overseer *overseer = stage_setup();
	json_t *rows;

	fakes[0].plugin.policy.on_confirmed = POLICY_LOG;
	for (int i = 0; i < 200; i++) {
		stage_leak(VERDICT_CONFIRMED);
		stage_step(overseer);
		fakes[0].verdict = (struct verdict){.outcome = VERDICT_OK};
		stage_step(overseer);
	}
	rows = overseer_history(overseer, "auth");
	assert_int_equal(json_array_size(rows), 64);
	json_decref(rows);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_leak_is_told_dumped_evicted_and_the_instance_replaced),
		cmocka_unit_test(test_dumps_go_to_the_folder),
		cmocka_unit_test(test_profiles_and_probes_are_granted),
		cmocka_unit_test(test_new_settings_make_the_inspector_begin_anew),
		cmocka_unit_test(test_suspicions_that_come_and_go_are_told_now_and_then),
		cmocka_unit_test(test_what_is_no_leak_is_told_as_such),
		cmocka_unit_test(test_pressure_evicts_the_largest_that_can),
		cmocka_unit_test(test_a_plugin_that_left_is_forgotten),
		cmocka_unit_test(test_notes_are_bounded),
	};

	log_set_level(-1); /* what is told is asserted by the notes */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
