/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SECOND = 1000000, MIB = 1 << 20 };

static const struct policy_settings defaults = {
	.on_suspect = POLICY_LOG,
	.on_likely = POLICY_LOG,
	.on_confirmed = POLICY_LOG | POLICY_DUMP | POLICY_EVICT,
	.quiet = true,
	.quiet_wait = 300L * SECOND,
	.quiet_inflight = 1,
};

/* An instance that can evict, far from its limits, at rest, with restarts left. */
static struct policy_facts
facts_of(const struct verdict *verdict)
{
	return (struct policy_facts){
		.now = 1000L * SECOND,
		.verdict = verdict,
		.own = 10 * MIB,
		.soft = 48 * MIB,
		.hard = 64 * MIB,
		.has_evict = true,
		.has_planned = true,
		.random = 0.5,
	};
}

static struct verdict
verdict_of(enum verdict_outcome outcome, enum verdict_class class)
{
	return (struct verdict){.outcome = outcome, .class = class, .seconds_to_limit = -1};
}

static struct policy_decision
decide(const struct policy_settings *settings, struct policy *policy, const struct policy_facts *facts)
{
	struct policy_decision decision;

	memset(&decision, 0xee, sizeof(decision));
	policy_decide(settings, policy, facts, &decision);
	return decision;
}

/* --- verdicts ---------------------------------------------------------------------------------------------------- */

static void
test_each_rise_has_its_list_once(void **state UNUSED)
{
	static const struct {
		enum verdict_outcome outcome;
		enum verdict_class class;
		bool rose, cleared;
		unsigned actions;
	} rows[] = {
		{VERDICT_WARMING, VERDICT_NONE, false, false, 0},
		{VERDICT_OK, VERDICT_NONE, false, false, 0},
		{VERDICT_SUSPECT, VERDICT_NONE, true, false, POLICY_LOG},
		{VERDICT_SUSPECT, VERDICT_LEAK, false, false, 0},
		{VERDICT_LIKELY, VERDICT_LEAK, true, false, POLICY_LOG},
		{VERDICT_SUSPECT, VERDICT_LEAK, false, false, 0}, /* wavering is no news */
		{VERDICT_LIKELY, VERDICT_LEAK, false, false, 0},
		{VERDICT_CONFIRMED, VERDICT_LEAK, true, false, POLICY_LOG | POLICY_DUMP | POLICY_EVICT},
		{VERDICT_CONFIRMED, VERDICT_LEAK, false, false, 0},
		{VERDICT_OK, VERDICT_NONE, false, true, 0},
		{VERDICT_OK, VERDICT_NONE, false, false, 0},
		{VERDICT_CONFIRMED, VERDICT_GROWING_BUFFER, true, false, POLICY_LOG | POLICY_DUMP | POLICY_EVICT},
		{VERDICT_WARMING, VERDICT_NONE, false, true, 0},
		/* What is no leak is logged, whatever the lists say. */
		{VERDICT_LIKELY, VERDICT_CLIENT_STATE, true, false, POLICY_LOG},
		{VERDICT_CONFIRMED, VERDICT_CACHE_GROWTH, true, false, POLICY_LOG},
	};
	struct policy policy = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct verdict verdict = verdict_of(rows[i].outcome, rows[i].class);
		struct policy_facts facts = facts_of(&verdict);
		struct policy_decision decision = decide(&defaults, &policy, &facts);
		if (decision.rose != rows[i].rose || decision.cleared != rows[i].cleared ||
		    decision.actions != rows[i].actions)
			fail_msg("row %zu: rose %d, cleared %d, actions %#x", i, decision.rose, decision.cleared,
				 decision.actions);
		assert_string_equal(decision.next, "");
	}
}

static void
test_confirmed_evicts_all_that_can_be_rebuilt(void **state UNUSED)
{
	struct verdict verdict = verdict_of(VERDICT_CONFIRMED, VERDICT_LEAK);
	struct policy_facts facts = facts_of(&verdict);
	struct policy policy = {0};
	struct policy_decision decision = decide(&defaults, &policy, &facts);

	assert_true(decision.evict_target == UINT64_MAX);
	assert_int_equal(decision.evict_level, 2);
	assert_false(decision.for_limit);
}

static void
test_no_verdict_no_action(void **state UNUSED)
{
	struct policy_facts facts = facts_of(NULL);
	struct policy policy = {0};

	assert_int_equal(decide(&defaults, &policy, &facts).actions, 0);
}

/* --- the restart for a leak -------------------------------------------------------------------------------------- */

static const struct policy_settings restarting = {
	.on_confirmed = POLICY_LOG | POLICY_RESTART,
	.quiet = true,
	.quiet_wait = 300L * SECOND,
	.quiet_inflight = 1,
};

static void
test_restart_at_a_quiet_moment(void **state UNUSED)
{
	struct verdict verdict = verdict_of(VERDICT_CONFIRMED, VERDICT_LEAK);
	struct policy_facts facts = facts_of(&verdict);
	struct policy policy = {0};

	facts.inflight = 2;
	struct policy_decision decision = decide(&restarting, &policy, &facts);
	assert_int_equal(decision.actions, POLICY_LOG);
	assert_true(decision.planned);
	assert_string_equal(decision.next, "restart at a quiet moment, in 5min0s at the latest");
	facts.now += 100L * SECOND;
	decision = decide(&restarting, &policy, &facts);
	assert_int_equal(decision.actions, 0);
	assert_false(decision.planned); /* told once */
	assert_string_equal(decision.next, "restart at a quiet moment, in 3min20s at the latest");
	facts.inflight = 1;
	decision = decide(&restarting, &policy, &facts);
	assert_int_equal(decision.actions, POLICY_RESTART);
	assert_int_equal(decision.reason, POLICY_LEAK);
	assert_int_equal(decide(&restarting, &policy, &facts).actions, 0); /* once */
}

static void
test_patience_ends(void **state UNUSED)
{
	struct verdict verdict = verdict_of(VERDICT_CONFIRMED, VERDICT_LEAK);
	struct policy_facts facts = facts_of(&verdict);
	struct policy policy = {0};

	facts.inflight = 1000;
	(void) decide(&restarting, &policy, &facts);
	facts.now += restarting.quiet_wait - 1;
	assert_int_equal(decide(&restarting, &policy, &facts).actions, 0);
	facts.now += 1;
	assert_int_equal(decide(&restarting, &policy, &facts).actions, POLICY_RESTART);
}

static void
test_restart_at_once(void **state UNUSED)
{
	struct policy_settings settings = restarting;
	struct verdict verdict = verdict_of(VERDICT_CONFIRMED, VERDICT_LEAK);
	struct policy_facts facts = facts_of(&verdict);
	struct policy policy = {0};

	settings.quiet = false;
	facts.inflight = 1000;
	assert_int_equal(decide(&settings, &policy, &facts).actions, POLICY_LOG | POLICY_RESTART);
}

static void
test_restart_by_time_to_limit_or_bytes(void **state UNUSED)
{
	static const struct {
		uint64_t time_to_limit, bytes;
		double seconds;
		uint64_t own, foreign;
		bool restarts;
		const char *next;
	} rows[] = {
		{7200L * SECOND, 0, -1, MIB, 0, false, "restart 2h0min before its limit"},
		{7200L * SECOND, 0, 7201, MIB, 0, false, "restart 2h0min before its limit"},
		{7200L * SECOND, 0, 7200, MIB, 0, true, ""},
		{7200L * SECOND, 0, 0, MIB, 0, true, ""},
		{0, 8 * MIB, 0, 8 * MIB - 1, 0, false, "restart at 8.0MiB"},
		{0, 8 * MIB, 0, 8 * MIB, 0, true, ""},
		{0, 8 * MIB, 0, 4 * MIB, 4 * MIB, true, ""},
		{7200L * SECOND, 8 * MIB, 9999, MIB, 0, false, "restart 2h0min before its limit, or at 8.0MiB"},
		{7200L * SECOND, 8 * MIB, 9999, 9 * MIB, 0, true, ""},
		{7200L * SECOND, 8 * MIB, 60, MIB, 0, true, ""},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct policy_settings settings = restarting;
		struct verdict verdict = verdict_of(VERDICT_CONFIRMED, VERDICT_LEAK);
		struct policy_facts facts = facts_of(&verdict);
		struct policy policy = {0};

		settings.time_to_limit = rows[i].time_to_limit;
		settings.bytes = rows[i].bytes;
		verdict.seconds_to_limit = rows[i].seconds;
		facts.own = rows[i].own;
		facts.foreign = rows[i].foreign;
		struct policy_decision decision = decide(&settings, &policy, &facts);
		if (((decision.actions & POLICY_RESTART) != 0) != rows[i].restarts ||
		    decision.planned == rows[i].restarts || strcmp(decision.next, rows[i].next) != 0)
			fail_msg("row %zu: actions %#x, next \"%s\"", i, decision.actions, decision.next);
	}
}

static void
test_a_cleared_verdict_takes_the_wish_back(void **state UNUSED)
{
	struct verdict verdict = verdict_of(VERDICT_CONFIRMED, VERDICT_LEAK), ok = verdict_of(VERDICT_OK, VERDICT_NONE);
	struct policy_facts facts = facts_of(&verdict);
	struct policy policy = {0};

	facts.inflight = 5;
	(void) decide(&restarting, &policy, &facts);
	facts.verdict = &ok;
	facts.inflight = 0;
	struct policy_decision decision = decide(&restarting, &policy, &facts);
	assert_true(decision.cleared);
	assert_int_equal(decision.actions, 0);
}

static void
test_no_restart_beyond_the_budget(void **state UNUSED)
{
	struct verdict verdict = verdict_of(VERDICT_CONFIRMED, VERDICT_LEAK);
	struct policy_facts facts = facts_of(&verdict);
	struct policy policy = {0};

	facts.has_planned = false;
	facts.planned_wait = 600L * SECOND;
	struct policy_decision decision = decide(&restarting, &policy, &facts);
	assert_int_equal(decision.actions, POLICY_LOG);
	assert_true(decision.exhausted);
	assert_string_equal(decision.next, "restart in 10min0s, when its budget allows one again");
	decision = decide(&restarting, &policy, &facts);
	assert_false(decision.exhausted); /* told once */
	assert_false(decision.hold);      /* far from its limit it serves on */
	facts.planned_wait = UINT64_MAX;
	decision = decide(&restarting, &policy, &facts);
	assert_string_equal(decision.next, "no restart: restart.planned allows none");
	facts.has_planned = true;
	assert_int_equal(decide(&restarting, &policy, &facts).actions, POLICY_RESTART);
}

static void
test_after_a_failure_it_waits_without_being_spent(void **state UNUSED)
{
	struct verdict verdict = verdict_of(VERDICT_CONFIRMED, VERDICT_LEAK);
	struct policy_facts facts = facts_of(&verdict);
	struct policy policy = {0};

	facts.retry_wait = 2 * SECOND;
	struct policy_decision decision = decide(&restarting, &policy, &facts);
	assert_int_equal(decision.actions, POLICY_LOG);
	assert_false(decision.exhausted);
	assert_string_equal(decision.next, "restart in 2.0s, after one that failed");
	facts.retry_wait = 0;
	assert_int_equal(decide(&restarting, &policy, &facts).actions, POLICY_RESTART);
}

static void
test_a_stopped_loop_stays_stopped(void **state UNUSED)
{
	struct verdict verdict = verdict_of(VERDICT_CONFIRMED, VERDICT_LEAK);
	struct policy_facts facts = facts_of(&verdict);
	struct policy policy = {0};

	facts.stopped = true;
	struct policy_decision decision = decide(&restarting, &policy, &facts);
	assert_int_equal(decision.actions, POLICY_LOG);
	assert_false(decision.exhausted);
	assert_string_equal(decision.next, "no restart: the last one took back too little, the leak is elsewhere");
}

static void
test_the_rule_of_what_a_restart_takes_back(void **state UNUSED)
{
	static const struct {
		uint64_t first, held, left;
		bool elsewhere;
	} rows[] = {
		{0, 100, 0, false},
		{0, 100, 80, false}, /* exactly 20 % */
		{0, 100, 81, true},
		{0, 100, 100, true},
		{0, 100, 130, true},  /* it even grew meanwhile */
		{90, 100, 90, false}, /* large honest data, and all that grew was taken back */
		{90, 100, 95, false}, /* half of it */
		{90, 100, 96, true},
		{0, 0, 0, false},
		{200, 100, 100, false}, /* nothing grew: nothing can be said */
		{0, UINT64_MAX / 2, UINT64_MAX / 2, true},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		if (policy_is_elsewhere(rows[i].first, rows[i].held, rows[i].left) != rows[i].elsewhere)
			fail_msg("row %zu", i);
}

/* --- limits ------------------------------------------------------------------------------------------------------ */

static void
test_the_ramp_from_soft_to_hard(void **state UNUSED)
{
	static const struct {
		uint64_t own, foreign;
		double random;
		bool evicts;
		int level;
	} rows[] = {
		{48 * MIB - 1, 0, 0, false, 0}, {48 * MIB, 0, 0, false, 0}, /* probability 0 */
		{50 * MIB, 0, 0.12, true, 1},   {50 * MIB, 0, 0.13, false, 0},       {56 * MIB, 0, 0.49, true, 2},
		{56 * MIB, 0, 0.51, false, 0},  {26 * MIB, 30 * MIB, 0.49, true, 2}, /* foreign bytes count */
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct policy_facts facts = facts_of(NULL);
		struct policy policy = {0};

		facts.own = rows[i].own;
		facts.foreign = rows[i].foreign;
		facts.random = rows[i].random;
		struct policy_decision decision = decide(&defaults, &policy, &facts);
		bool evicts = (decision.actions & POLICY_EVICT) != 0;
		if (evicts != rows[i].evicts ||
		    (evicts && (decision.evict_level != rows[i].level || !decision.for_limit ||
				decision.evict_target != facts.own + facts.foreign - facts.soft)))
			fail_msg("row %zu: actions %#x, level %d", i, decision.actions, decision.evict_level);
	}
}

static void
test_crossing_the_soft_limit_is_told_once(void **state UNUSED)
{
	struct policy_facts facts = facts_of(NULL);
	struct policy policy = {0};

	facts.own = 49 * MIB;
	facts.has_evict = false;
	struct policy_decision decision = decide(&defaults, &policy, &facts);
	assert_true(decision.crossed_soft);
	assert_int_equal(decision.actions, 0); /* nothing to ask */
	assert_false(decide(&defaults, &policy, &facts).crossed_soft);
	facts.own = 47 * MIB; /* hardly below: the same story */
	(void) decide(&defaults, &policy, &facts);
	facts.own = 49 * MIB;
	assert_false(decide(&defaults, &policy, &facts).crossed_soft);
	facts.own = 40 * MIB;
	(void) decide(&defaults, &policy, &facts);
	facts.own = 49 * MIB;
	assert_true(decide(&defaults, &policy, &facts).crossed_soft);
}

static void
test_evictions_in_vain_grow_rare(void **state UNUSED)
{
	struct policy_facts facts = facts_of(NULL);
	struct policy policy = {0};
	int evictions = 0;

	facts.own = 57 * MIB;
	facts.random = 0;
	for (int second = 0; second < 600; second++, facts.now += SECOND) {
		if ((decide(&defaults, &policy, &facts).actions & POLICY_EVICT) == 0)
			continue;
		evictions++;
		policy_evicted(&policy, facts.now, 0);
	}
	assert_in_range(evictions, 5, 20);
	/* One that gave something is followed by the next. */
	facts.now += 60L * SECOND;
	assert_true(decide(&defaults, &policy, &facts).actions & POLICY_EVICT);
	policy_evicted(&policy, facts.now, 1);
	facts.now += SECOND;
	assert_true(decide(&defaults, &policy, &facts).actions & POLICY_EVICT);
}

static void
test_near_the_hard_limit(void **state UNUSED)
{
	struct policy_facts facts = facts_of(NULL);
	struct policy policy = {0};

	facts.own = 58 * MIB; /* 90.6 % */
	struct policy_decision decision = decide(&defaults, &policy, &facts);
	assert_true(decision.came_near);
	assert_int_equal(decision.actions, POLICY_EVICT); /* all of it, first */
	assert_true(decision.evict_target == UINT64_MAX);
	assert_int_equal(decision.evict_level, 2);
	decision = decide(&defaults, &policy, &facts);
	assert_false(decision.came_near);
	assert_true(decision.actions & POLICY_RESTART);
	assert_int_equal(decision.reason, POLICY_NEAR_LIMIT);
	assert_false(decision.stop);
	facts.own = 63 * MIB; /* 98.4 % */
	decision = decide(&defaults, &policy, &facts);
	assert_true(decision.actions & POLICY_RESTART);
	assert_true(decision.stop);
}

static void
test_eviction_helped_no_restart(void **state UNUSED)
{
	struct policy_facts facts = facts_of(NULL);
	struct policy policy = {0};

	facts.own = 63 * MIB;
	assert_true(decide(&defaults, &policy, &facts).stop);
	facts.own = 20 * MIB;
	struct policy_decision decision = decide(&defaults, &policy, &facts);
	assert_int_equal(decision.actions, 0);
	assert_false(decision.stop);
	facts.own = 63 * MIB; /* the next time it is asked again */
	assert_int_equal(decide(&defaults, &policy, &facts).actions, POLICY_EVICT);
}

static void
test_without_evict_hook_it_is_replaced_at_once(void **state UNUSED)
{
	struct policy_facts facts = facts_of(NULL);
	struct policy policy = {0};

	facts.has_evict = false;
	facts.foreign = 60 * MIB;
	struct policy_decision decision = decide(&defaults, &policy, &facts);
	assert_int_equal(decision.actions, POLICY_RESTART);
	assert_false(decision.stop); /* nobody will be refused memory */
}

static void
test_limit_ignored(void **state UNUSED)
{
	struct policy_settings settings = defaults;
	struct policy_facts facts = facts_of(NULL);
	struct policy policy = {0};

	settings.on_limit = POLICY_LIMIT_IGNORE;
	facts.has_evict = false;
	facts.own = 64 * MIB;
	struct policy_decision decision = decide(&settings, &policy, &facts);
	assert_int_equal(decision.actions, 0);
	assert_false(decision.stop || decision.hold);
	assert_true(decision.came_near);
}

static void
test_near_without_a_restart_left(void **state UNUSED)
{
	static const struct {
		int on_exhausted;
		bool stopped, refusing;
		uint64_t own, foreign;
		bool hold;
	} rows[] = {
		{POLICY_EXHAUSTED_BREAKER, false, true, 58 * MIB, 0, false},
		{POLICY_EXHAUSTED_BREAKER, false, true, 63 * MIB, 0, true},
		{POLICY_EXHAUSTED_BREAKER, true, true, 63 * MIB, 0, true},
		{POLICY_EXHAUSTED_BREAKER, true, false, 63 * MIB, 0, false}, /* it lives there in peace */
		{POLICY_EXHAUSTED_BREAKER, true, false, MIB, 63 * MIB, true}, /* libraries have passed it */
		{POLICY_EXHAUSTED_STAY, false, true, 63 * MIB, 0, false},
		{POLICY_EXHAUSTED_STAY, true, true, 63 * MIB, 90 * MIB, false},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct policy_settings settings = defaults;
		struct policy_facts facts = facts_of(NULL);
		struct policy policy = {0};

		settings.on_exhausted = rows[i].on_exhausted;
		facts.has_evict = facts.has_planned = false;
		facts.stopped = rows[i].stopped;
		facts.refusing = rows[i].refusing;
		facts.own = rows[i].own;
		facts.foreign = rows[i].foreign;
		struct policy_decision decision = decide(&settings, &policy, &facts);
		if (decision.hold != rows[i].hold || decision.actions != 0 || decision.stop ||
		    decision.exhausted == rows[i].stopped)
			fail_msg("row %zu: hold %d, actions %#x", i, decision.hold, decision.actions);
		/* Nobody is admitted, so nothing is refused: that is no cure. */
		facts.refusing = false;
		assert_int_equal(decide(&settings, &policy, &facts).hold, rows[i].hold);
		/* It lets go when the bytes are gone. */
		facts.own = MIB;
		facts.foreign = 0;
		assert_false(decide(&settings, &policy, &facts).hold);
		facts.own = 63 * MIB;
		assert_false(decide(&settings, &policy, &facts).hold);
	}
}

static void
test_no_limits_no_ramp(void **state UNUSED)
{
	struct policy_facts facts = facts_of(NULL);
	struct policy policy = {0};

	facts.soft = facts.hard = 0;
	facts.own = UINT64_C(1) << 50;
	struct policy_decision decision = decide(&defaults, &policy, &facts);
	assert_int_equal(decision.actions, 0);
	assert_false(decision.crossed_soft || decision.came_near);
}

static void
test_soft_equal_to_hard(void **state UNUSED)
{
	struct policy_settings settings = defaults;
	struct policy_facts facts = facts_of(NULL);
	struct policy policy = {0};

	settings.on_limit = POLICY_LIMIT_IGNORE;
	facts.soft = facts.own = facts.hard;
	assert_int_equal(decide(&settings, &policy, &facts).actions, POLICY_EVICT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_rise_has_its_list_once),
		cmocka_unit_test(test_confirmed_evicts_all_that_can_be_rebuilt),
		cmocka_unit_test(test_no_verdict_no_action),
		cmocka_unit_test(test_restart_at_a_quiet_moment),
		cmocka_unit_test(test_patience_ends),
		cmocka_unit_test(test_restart_at_once),
		cmocka_unit_test(test_restart_by_time_to_limit_or_bytes),
		cmocka_unit_test(test_a_cleared_verdict_takes_the_wish_back),
		cmocka_unit_test(test_no_restart_beyond_the_budget),
		cmocka_unit_test(test_after_a_failure_it_waits_without_being_spent),
		cmocka_unit_test(test_a_stopped_loop_stays_stopped),
		cmocka_unit_test(test_the_rule_of_what_a_restart_takes_back),
		cmocka_unit_test(test_the_ramp_from_soft_to_hard),
		cmocka_unit_test(test_crossing_the_soft_limit_is_told_once),
		cmocka_unit_test(test_evictions_in_vain_grow_rare),
		cmocka_unit_test(test_near_the_hard_limit),
		cmocka_unit_test(test_eviction_helped_no_restart),
		cmocka_unit_test(test_without_evict_hook_it_is_replaced_at_once),
		cmocka_unit_test(test_limit_ignored),
		cmocka_unit_test(test_near_without_a_restart_left),
		cmocka_unit_test(test_no_limits_no_ramp),
		cmocka_unit_test(test_soft_equal_to_hard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
