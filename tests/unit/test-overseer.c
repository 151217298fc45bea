/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The overseer with a supervisor, instances and inspectors made of constants: what it does follows from what they say.
 */
#include "cleanup.h"
#include "event.h"
#include "format.h"
#include "inspector.h"
#include "log.h"
#include "overseer.h"
#include "plugin.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SECOND = 1000000, MIB = 1 << 20 };

/* --- two plugins made of constants -------------------------------------------------------------------------------- */

struct inspector {
	struct verdict verdict;
};

static struct fake {
	struct config config;
	struct config_plugin plugin;
	char name[32];
	bool configured, serves, enabled, faulty;
	enum supervisor_state state;
	uint64_t number, reconfigured;
	uint64_t own, foreign, inflight, refused;
	uint64_t own_after, foreign_after; /* of an instance that was just started */
	mtlsd_plugin descriptor;
	struct breaker *breaker;
	struct instance_observer observer;
	bool observed;
	/* what the inspector says */
	struct verdict verdict;
	enum inspector_wish wish;
	const char *phase;
	struct verdict_probes probes;
	/* what is done */
	atomic_int evictions, replaced, started, walks, restarted_inspections, settings, inspectors, told_evicted;
	int eviction_result, replace_result, evicted_result;
	uint64_t evict_target, eviction_frees;
	int evict_level;
	bool zombie;
} fakes[2];

/* Where pointers must be told apart: what is the instance, the plugin and the heaps of fakes[i] is its address. */
static struct fake *
fake_of(const void *p)
{
	return (struct fake *) p;
}

int
supervisor_look(struct supervisor *supervisor UNUSED, size_t index,
		void (*look)(const struct supervisor_look *seen, void *ctx), void *ctx)
{
	for (size_t i = 0; i < ARRAY_LENGTH(fakes); i++) {
		struct fake *fake = &fakes[i];
		if (!fake->configured || index-- != 0)
			continue;
		struct supervisor_look seen = {.name = fake->name,
					       .state = fake->state,
					       .enabled = fake->enabled,
					       .last_error = "it is broken",
					       .faulty = fake->faulty,
					       .reconfigured = fake->reconfigured,
					       .config = &fake->config,
					       .plugin = &fake->plugin,
					       .handle = (struct plugin *) fake,
					       .instance = fake->serves ? (struct instance *) fake : NULL};
		look(&seen, ctx);
		return 0;
	}
	return -ENOENT;
}

static struct fake *
fake_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(fakes); i++)
		if (fakes[i].configured && strcmp(fakes[i].name, name) == 0)
			return &fakes[i];
	return NULL;
}

int
supervisor_find(struct supervisor *supervisor UNUSED, const char *name, struct supervisor_plugin *ret)
{
	const struct fake *fake = fake_named(name);

	memset(ret, 0, sizeof(*ret));
	ret->own.live_bytes = fake->own;
	ret->foreign.live_bytes = fake->foreign;
	return 0;
}

int
supervisor_evict(struct supervisor *supervisor UNUSED, const char *name, uint64_t target, int level,
		 struct supervisor_eviction *ret, struct error *error)
{
	struct fake *fake = fake_named(name);

	if (fake->eviction_result < 0)
		return error_set(error, fake->eviction_result, "it is busy");
	atomic_fetch_add(&fake->evictions, 1);
	fake->evict_target = target;
	fake->evict_level = level;
	*ret = (struct supervisor_eviction){.claimed = fake->eviction_frees,
					    .live_before = fake->own,
					    .live_after = fake->own - fake->eviction_frees,
					    .hook = fake->descriptor.evict != NULL};
	fake->own -= fake->eviction_frees;
	return 0;
}

int
supervisor_replace(struct supervisor *supervisor UNUSED, const char *name, uint64_t if_instance,
		   enum supervisor_reason reason, struct supervisor_restart *ret, struct error *error)
{
	struct fake *fake = fake_named(name);

	atomic_fetch_add(reason == SUPERVISOR_LEAK ? &fake->replaced : &fake->started, 1);
	if (fake->replace_result < 0)
		return error_set(error, fake->replace_result, "it will not start");
	assert_true(if_instance == 0 || if_instance == fake->number);
	*ret = (struct supervisor_restart){.old_instance = fake->number, .new_instance = fake->number + 1};
	ret->zombie = fake->zombie;
	snprintf(ret->zombie_reason, sizeof(ret->zombie_reason), "a thread of it lives");
	fake->number++;
	fake->serves = true;
	fake->state = SUPERVISOR_READY;
	fake->own = fake->own_after;
	fake->foreign = fake->foreign_after;
	if (fake->observed)
		fake->observer.release(fake->observer.ctx);
	fake->observed = false;
	return 0;
}

int
supervisor_dump(struct supervisor *supervisor UNUSED, const char *name UNUSED, uint32_t min_age UNUSED,
		struct supervisor_dump **ret, struct error *error UNUSED)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret != NULL ? 0 : -ENOMEM;
}

void
supervisor_dump_free(struct supervisor_dump **dump)
{
	free(*dump);
	*dump = NULL;
}

int
supervisor_words(struct supervisor *supervisor UNUSED, const char *name UNUSED, json_t **ret_counters UNUSED,
		 json_t **ret_dump UNUSED, struct error *error UNUSED)
{
	return -ENOENT;
}

int
supervisor_resolve(struct supervisor *supervisor UNUSED, const char *name UNUSED, uintptr_t address,
		   struct supervisor_place *ret, struct error *error UNUSED)
{
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->function, sizeof(ret->function), "parse_header");
	snprintf(ret->file, sizeof(ret->file), "/src/auth.c");
	ret->line = (int) address;
	return 0;
}

json_t *
format_json(const struct supervisor_dump *dump UNUSED, json_t *words UNUSED, uint64_t top UNUSED, bool callers UNUSED)
{
	return json_pack("{s:s}", "dump", "of constants");
}

struct config *
config_ref(struct config *config)
{
	return config;
}

void
config_unref(struct config **config)
{
	*config = NULL;
}

struct breaker *
plugin_breaker(const struct plugin *plugin)
{
	return fake_of(plugin)->breaker;
}

struct heap *
plugin_foreign(const struct plugin *plugin)
{
	return (struct heap *) ((char *) fake_of(plugin) + 1);
}

size_t
plugin_requests(struct plugin *plugin, const struct instance *instance UNUSED)
{
	return fake_of(plugin)->inflight;
}

bool
plugin_sample(struct plugin *plugin, struct instance *instance UNUSED, uint64_t now UNUSED, struct signals_sample *ret)
{
	*ret = (struct signals_sample){.live_bytes = fake_of(plugin)->own};
	return true;
}

uint64_t
instance_number(const struct instance *instance)
{
	return fake_of(instance)->number;
}

const mtlsd_plugin *
instance_descriptor(const struct instance *instance)
{
	return &fake_of(instance)->descriptor;
}

struct scope_space *
instance_space(const struct instance *instance)
{
	return (struct scope_space *) instance;
}

struct heap *
scope_space_own(const struct scope_space *space)
{
	return (struct heap *) space;
}

void
instance_set_observer(struct instance *instance, const struct instance_observer *observer)
{
	assert_false(fake_of(instance)->observed); /* once */
	fake_of(instance)->observer = *observer;
	fake_of(instance)->observed = true;
}

const struct instance_observer *
instance_observer(const struct instance *instance)
{
	return fake_of(instance)->observed ? &fake_of(instance)->observer : NULL;
}

void
heap_usage(const struct heap *heap, struct heap_usage *ret)
{
	*ret = (struct heap_usage){0};
	for (size_t i = 0; i < ARRAY_LENGTH(fakes); i++) {
		if ((const void *) heap == &fakes[i])
			*ret = (struct heap_usage){.live_bytes = fakes[i].own, .refused = fakes[i].refused};
		else if ((const char *) heap == (const char *) &fakes[i] + 1)
			ret->live_bytes = fakes[i].foreign;
	}
}

int
heap_profile_take(const struct heap *heap UNUSED, uint32_t min_age UNUSED, struct heap_profile **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret != NULL ? 0 : -ENOMEM;
}

void
heap_profile_free(struct heap_profile **profile)
{
	free(*profile);
	*profile = NULL;
}

/* --- an inspector made of constants: it speaks for the plugin it was made for last ----------------------------------
 */

static struct fake *inspected; /* set by the test where there are two */

int
inspector_new(uint64_t now UNUSED, const struct inspector_settings *settings, struct inspector **ret)
{
	*ret = calloc(1, sizeof(**ret));
	assert_non_null(*ret);
	assert_true(settings->hard_limit > 0);
	atomic_fetch_add(&inspected->inspectors, 1);
	return 0;
}

void
inspector_free(struct inspector **inspector)
{
	if (*inspector != NULL)
		atomic_fetch_sub(&inspected->inspectors, 1);
	free(*inspector);
	*inspector = NULL;
}

void
inspector_set(struct inspector *inspector UNUSED, const struct inspector_settings *settings UNUSED)
{
	inspected->settings++;
}

bool
inspector_sample(struct inspector *inspector UNUSED, uint64_t now UNUSED, const struct signals_sample *sample UNUSED)
{
	return true;
}

enum inspector_wish
inspector_step(struct inspector *inspector, uint64_t now UNUSED, double load)
{
	assert_true(load >= 0 && load <= 1);
	inspector->verdict = inspected->verdict;
	enum inspector_wish wish = inspected->wish;
	if (wish == INSPECTOR_PROFILE)
		inspected->wish = INSPECTOR_NOTHING;
	return wish;
}

int
inspector_profile(struct inspector *inspector UNUSED, const struct heap_profile *own,
		  const struct heap_profile *foreign)
{
	assert_non_null(own);
	assert_non_null(foreign);
	inspected->walks++;
	return 0;
}

void
inspector_evicted(struct inspector *inspector UNUSED, uint64_t now UNUSED, int result, uint64_t claimed UNUSED)
{
	inspected->told_evicted++;
	inspected->evicted_result = result;
	inspected->wish = INSPECTOR_NOTHING;
}

void
inspector_restart(struct inspector *inspector UNUSED, uint64_t now UNUSED)
{
	inspected->restarted_inspections++;
}

const struct verdict *
inspector_verdict(const struct inspector *inspector)
{
	return &inspector->verdict;
}

const struct probe *
inspector_probe(const struct inspector *inspector UNUSED)
{
	return NULL;
}

int
inspector_record(struct inspector *inspector UNUSED, const char *(*name)(const struct verdict_site *, void *),
		 void *ctx, char **ret, size_t *ret_length)
{
	*ret = strdup(name(&(struct verdict_site){.site = 41}, ctx));
	*ret_length = strlen(*ret);
	return 0;
}

void
probe_results(const struct probe *probe UNUSED, struct verdict_probes *ret)
{
	*ret = inspected->probes;
}

const char *
probe_phase(const struct probe *probe UNUSED)
{
	return inspected->phase;
}

struct probe_settings
probe_default_settings(void)
{
	return (struct probe_settings){0};
}

struct verdict_settings
verdict_default_settings(void)
{
	return (struct verdict_settings){0};
}

const char *
verdict_outcome_name(enum verdict_outcome outcome)
{
	static const char *const names[] = {"warming", "ok", "suspect", "likely", "confirmed"};
	return names[outcome];
}

void
verdict_sentence(const struct verdict *verdict UNUSED, char *ret, size_t size)
{
	snprintf(ret, size, "leaks 16 bytes per request, 3h10min to its limit");
}

/* --- the tests' own ------------------------------------------------------------------------------------------------
 */

static uint64_t
fake_evict(void *user UNUSED, uint64_t target UNUSED, mtlsd_level level UNUSED)
{
	return 0;
}

static uint64_t now;

static struct overseer *
overseer_setup(void)
{
	struct overseer *overseer = NULL;

	now = 5000L * SECOND;
	for (size_t i = 0; i < ARRAY_LENGTH(fakes); i++) {
		fakes[i] = (struct fake){
			.configured = i == 0,
			.serves = true,
			.enabled = true,
			.state = SUPERVISOR_READY,
			.number = 10 * (i + 1),
			.own = 10 * MIB,
			.own_after = MIB,
			.descriptor = {.evict = fake_evict},
			.phase = "idle",
			.verdict = {.outcome = VERDICT_OK, .seconds_to_limit = -1},
			.config = {.generation = 1},
			.plugin = {.memory_soft = 48 * MIB,
				   .memory_hard = 64 * MIB,
				   .leak = {.watch = true, .probe = true},
				   .policy = {.on_suspect = POLICY_LOG,
					      .on_likely = POLICY_LOG,
					      .on_confirmed = POLICY_LOG | POLICY_DUMP | POLICY_EVICT | POLICY_RESTART},
				   .budget = {.initial = 2 * SECOND,
					      .max = 60 * SECOND,
					      .factor = 2,
					      .reset_after = 600L * SECOND,
					      .burst = 3,
					      .burst_within = 30 * SECOND,
					      .planned = 2,
					      .planned_within = 3600L * SECOND},
				   .breaker = {.open = 10 * SECOND, .max_open = 60 * SECOND}},
		};
		snprintf(fakes[i].name, sizeof(fakes[i].name), i == 0 ? "auth" : "other");
		assert_int_equal(breaker_new(&fakes[i].breaker), 0);
		breaker_set(fakes[i].breaker, &fakes[i].plugin.breaker);
	}
	inspected = &fakes[0];
	assert_int_equal(overseer_new(NULL, &overseer), 0);
	return overseer;
}

static void
overseer_teardown(struct overseer **overseer)
{
	overseer_free(overseer);
	for (size_t i = 0; i < ARRAY_LENGTH(fakes); i++) {
		if (fakes[i].observed)
			fakes[i].observer.release(fakes[i].observer.ctx);
		breaker_free(&fakes[i].breaker);
	}
	assert_int_equal(fakes[0].inspectors, 0); /* who lets go last frees it */
}

static void
step(struct overseer *overseer)
{
	overseer_step(overseer, now);
	overseer_settle(overseer);
	now += SECOND;
}

/* "confirmed dumped evicted restarted": the kinds of all notes. */
static void
assert_story(struct overseer *overseer, const char *plugin, const char *want)
{
	json_t *rows = overseer_history(overseer, plugin), *row;
	char story[1000] = "";
	size_t i;

	json_array_foreach(rows, i, row)
		snprintf(story + strlen(story), sizeof(story) - strlen(story), "%s%s", i > 0 ? " " : "",
			 json_string_value(json_object_get(row, "event")));
	json_decref(rows);
	assert_string_equal(story, want);
}

static void
assert_told(struct overseer *overseer, const char *plugin, const char *words)
{
	json_t *rows = overseer_history(overseer, plugin), *row;
	bool found = false;
	size_t i;

	json_array_foreach(rows, i, row)
		found |= strstr(json_string_value(json_object_get(row, "text")), words) != NULL;
	json_decref(rows);
	if (!found)
		fail_msg("nobody said: %s", words);
}

static struct overseer_view
view_of(struct overseer *overseer)
{
	struct overseer_view view;

	assert_int_equal(overseer_view(overseer, "auth", &view), 0);
	return view;
}

static void
leak(enum verdict_outcome outcome)
{
	fakes[0].verdict =
		(struct verdict){.outcome = outcome, .class = VERDICT_LEAK, .seconds_to_limit = 9999, .site_count = 1};
	fakes[0].verdict.sites[0].site = 41;
}

static void
test_a_leak_is_told_dumped_evicted_and_the_instance_replaced(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();

	step(overseer);
	assert_story(overseer, "auth", "");
	leak(VERDICT_SUSPECT);
	step(overseer);
	leak(VERDICT_LIKELY);
	fakes[0].phase = "first floor";
	step(overseer);
	step(overseer);
	assert_string_equal(view_of(overseer).probe, "first floor");
	assert_string_equal(view_of(overseer).sentence,
			    "leaks 16 bytes per request at parse_header (auth.c:41), 3h10min to its limit");
	leak(VERDICT_CONFIRMED);
	fakes[0].phase = "idle";
	step(overseer);
	assert_story(overseer, "auth", "suspect likely probe probe-ended confirmed dumped evicted restarted");
	assert_told(overseer, "auth", "there is no folder for dumps");
	assert_told(overseer, "auth", "instance 10 replaced by 11 for its leak: 9.0MiB of 10.0MiB taken back");
	assert_int_equal(fakes[0].replaced, 1);
	assert_true(fakes[0].evict_target == UINT64_MAX);
	assert_int_equal(fakes[0].evict_level, 2);
	/* The new instance is met as if nothing had been. */
	fakes[0].verdict = (struct verdict){.outcome = VERDICT_WARMING};
	step(overseer);
	assert_int_equal(view_of(overseer).instance, 11);
	assert_int_equal(fakes[0].replaced, 1);
	assert_int_equal(fakes[0].inspectors, 1);
}

static void
test_dumps_go_to_the_folder(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();
	char root[] = "/tmp/test-overseer.XXXXXX", command[100];

	assert_non_null(mkdtemp(root));
	fakes[0].config.daemon.dump_directory = root;
	fakes[0].config.daemon.dump_count = 1;
	fakes[0].config.daemon.dump_bytes = MIB;
	fakes[0].plugin.policy.on_suspect = POLICY_DUMP; /* without a record of the verdict itself */
	leak(VERDICT_SUSPECT);
	step(overseer);
	assert_story(overseer, "auth", "dumped");
	assert_told(overseer, "auth", "dumped to /tmp/test-overseer.");
	snprintf(command, sizeof(command), "grep -q 'of constants' %s/auth-10-*.json && rm -r %s", root, root);
	assert_int_equal(system(command), 0);
}

static void
test_profiles_and_probes_are_granted(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();

	fakes[0].wish = INSPECTOR_PROFILE;
	step(overseer);
	assert_int_equal(fakes[0].walks, 1);
	assert_int_equal(fakes[0].evictions, 0);
	fakes[0].wish = INSPECTOR_EVICT;
	fakes[0].eviction_result = -EBUSY; /* it is being changed: asked again, and not told as a failure */
	step(overseer);
	assert_int_equal(fakes[0].told_evicted, 0);
	fakes[0].eviction_result = 0;
	step(overseer);
	assert_int_equal(fakes[0].evictions, 1);
	assert_int_equal(fakes[0].told_evicted, 1);
	assert_int_equal(fakes[0].evicted_result, 0);
	fakes[0].wish = INSPECTOR_EVICT;
	fakes[0].eviction_result = -ETIMEDOUT;
	step(overseer);
	assert_int_equal(fakes[0].told_evicted, 2);
	assert_int_equal(fakes[0].evicted_result, -ETIMEDOUT);
	assert_story(overseer, "auth", "");
}

static void
test_new_settings_make_the_inspector_begin_anew(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();

	step(overseer);
	step(overseer);
	assert_int_equal(fakes[0].restarted_inspections, 0);
	assert_int_equal(fakes[0].settings, 0);
	fakes[0].reconfigured++;
	fakes[0].config.generation++;
	step(overseer);
	step(overseer);
	assert_int_equal(fakes[0].restarted_inspections, 1);
	assert_int_equal(fakes[0].settings, 1);
	/* watch: off stops judging, not the limits. */
	fakes[0].plugin.leak.watch = false;
	leak(VERDICT_CONFIRMED);
	step(overseer);
	assert_int_equal(view_of(overseer).verdict.outcome, VERDICT_WARMING);
	assert_int_equal(fakes[0].replaced, 0);
}

static void
test_a_restart_that_takes_nothing_back_is_the_last(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();

	fakes[0].own = MIB;
	step(overseer); /* so it began */
	fakes[0].foreign = fakes[0].foreign_after = 30 * MIB;
	leak(VERDICT_CONFIRMED);
	step(overseer);
	assert_int_equal(fakes[0].replaced, 1);
	assert_told(overseer, "auth",
		    "the restart took back 0 % of 31.0MiB: 30.0MiB are foreign, held by libraries on its behalf");
	/* Confirmed again, in the new instance: it is told, and no more restarted. */
	fakes[0].verdict = (struct verdict){.outcome = VERDICT_OK};
	step(overseer);
	leak(VERDICT_CONFIRMED);
	step(overseer);
	step(overseer);
	assert_int_equal(fakes[0].replaced, 1);
	assert_string_equal(view_of(overseer).next,
			    "no restart: the last one took back too little, the leak is elsewhere");
	/* An operator's restart is a new beginning. */
	if (fakes[0].observed)
		fakes[0].observer.release(fakes[0].observer.ctx);
	fakes[0].observed = false;
	fakes[0].number += 5;
	step(overseer);
	assert_int_equal(fakes[0].replaced, 2);
}

static void
test_a_reload_lets_a_stopped_loop_try_again(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();

	fakes[0].foreign = fakes[0].foreign_after = 60 * MIB;
	step(overseer);
	step(overseer);
	assert_int_equal(fakes[0].replaced, 1);
	assert_told(overseer, "auth", "near its hard limit");
	step(overseer);
	assert_int_equal(fakes[0].replaced, 1);
	fakes[0].config.generation++;
	step(overseer);
	assert_int_equal(fakes[0].replaced, 2);
}

static void
test_an_instance_that_stays_as_a_zombie_took_nothing_back(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();

	fakes[0].own = MIB;
	step(overseer);
	fakes[0].own = 20 * MIB;
	fakes[0].zombie = true;
	leak(VERDICT_CONFIRMED);
	step(overseer);
	assert_told(overseer, "auth", "as the old instance could not be ended: a thread of it lives");
}

static void
test_a_restart_that_fails_is_wanted_again_after_a_while(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();

	leak(VERDICT_CONFIRMED);
	fakes[0].replace_result = -EHOSTDOWN;
	step(overseer);
	assert_int_equal(fakes[0].replaced, 1);
	assert_told(overseer, "auth", "not replaced: it will not start; the next try comes in 2.0s");
	step(overseer); /* a second later */
	assert_int_equal(fakes[0].replaced, 1);
	fakes[0].replace_result = 0;
	step(overseer);
	assert_int_equal(fakes[0].replaced, 2);
	assert_story(overseer, "auth", "confirmed dumped evicted restart-failed restarted");
}

static void
test_planned_restarts_have_a_budget(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();

	for (int i = 0; i < 4; i++) {
		leak(VERDICT_CONFIRMED);
		fakes[0].own = 20 * MIB;
		step(overseer);
		fakes[0].verdict = (struct verdict){.outcome = VERDICT_OK};
		step(overseer);
	}
	assert_int_equal(fakes[0].replaced, 2);
	assert_told(overseer, "auth", "restarted as often as restart.planned allows; restart in 59min5");
	assert_int_equal(view_of(overseer).breaker_until, 0);
}

static void
test_near_the_limit_requests_are_refused_until_there_is_room(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();
	struct breaker_view seen;

	fakes[0].plugin.budget.planned = 0;
	fakes[0].own = 63 * MIB;
	step(overseer);
	assert_true(breaker_is_closed(fakes[0].breaker)); /* it does no harm */
	fakes[0].refused++;
	step(overseer);
	breaker_view(fakes[0].breaker, now, &seen);
	assert_true(seen.held);
	assert_told(overseer, "auth", "it holds 63.0MiB near its limit, and no restart is left");
	step(overseer);
	assert_string_equal(view_of(overseer).breaker, "open");
	assert_true(view_of(overseer).breaker_until > 0);
	fakes[0].own = MIB;
	step(overseer);
	step(overseer);
	assert_true(breaker_is_closed(fakes[0].breaker));
	assert_story(overseer, "auth", "soft-limit budget-spent breaker-open breaker-closed");
}

static void
test_an_eviction_that_helps_near_the_limit_is_enough(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();

	fakes[0].own = 63 * MIB;
	fakes[0].eviction_frees = 40 * MIB;
	step(overseer);
	assert_int_equal(fakes[0].evictions, 1);
	assert_int_equal(fakes[0].replaced, 0);
	assert_true(breaker_is_closed(fakes[0].breaker)); /* at once, not a second later */
	assert_told(overseer, "auth", "evicted near its hard limit: it claims 40.0MiB, 40.0MiB less are live");
}

static void
test_what_fails_to_start_is_tried_with_backoff(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();
	int started[60];

	fakes[0].serves = false;
	fakes[0].state = SUPERVISOR_FAILED;
	fakes[0].replace_result = -EHOSTDOWN;
	for (size_t i = 0; i < ARRAY_LENGTH(started); i++) {
		step(overseer);
		started[i] = fakes[0].started;
	}
	/* Told of at 0, tried after 2 and 2 + 4 seconds; three failures are a burst, then it waits a minute. */
	assert_int_equal(started[1], 0);
	assert_int_equal(started[2], 1);
	assert_int_equal(started[5], 1);
	assert_int_equal(started[6], 2);
	assert_int_equal(started[59], 2);
	assert_told(overseer, "auth", "not started: it is broken; the next try comes in 2.0s");
	assert_told(overseer, "auth", "failed as often as restart.burst allows");
	assert_string_equal(view_of(overseer).next, "a new try in 7.0s");
	fakes[0].replace_result = 0;
	for (int i = 0; i < 8; i++)
		step(overseer);
	assert_int_equal(fakes[0].started, 3);
	assert_told(overseer, "auth", "instance 11 serves after 3 failures");
}

static void
test_disabled_or_stay_means_no_new_try(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();

	fakes[0].serves = fakes[0].enabled = false;
	fakes[0].state = SUPERVISOR_DISABLED;
	for (int i = 0; i < 10; i++)
		step(overseer);
	assert_int_equal(fakes[0].started, 0);
	assert_story(overseer, "auth", "");
	fakes[0].enabled = true;
	fakes[0].state = SUPERVISOR_FAILED;
	fakes[0].plugin.policy.on_exhausted = POLICY_EXHAUSTED_STAY;
	fakes[0].replace_result = -EHOSTDOWN;
	for (int i = 0; i < 300; i++)
		step(overseer);
	assert_int_equal(fakes[0].started, 2);
	assert_string_equal(view_of(overseer).next, "no new try: restart.on_exhausted says stay");
}

static void
test_bad_frees_are_failures_with_backoff_and_a_budget(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();
	int started[60];

	step(overseer);
	assert_int_equal(fakes[0].started, 0);
	for (size_t i = 0; i < ARRAY_LENGTH(started); i++) {
		fakes[0].faulty = true; /* each of its instances */
		step(overseer);
		started[i] = fakes[0].started;
	}
	/* At once, after 2 and 2 + 4 seconds; three are a burst, then one a minute. */
	assert_int_equal(started[0], 1);
	assert_int_equal(started[1], 1);
	assert_int_equal(started[59], 3);
	assert_told(overseer, "auth", "replaced after bad frees: instance 10 by 11");
	assert_told(overseer, "auth", "failed as often as restart.burst allows");
	assert_story(overseer, "auth", "restarted restarted restarted budget-spent");
	assert_non_null(strstr(view_of(overseer).next, "replaced after bad frees in "));
	fakes[0].plugin.policy.on_exhausted = POLICY_EXHAUSTED_STAY;
	for (int i = 0; i < 300; i++)
		step(overseer);
	assert_int_equal(fakes[0].started, 3);
	assert_string_equal(view_of(overseer).next, "not replaced after bad frees: restart.on_exhausted says stay");
}

static void
test_suspicions_that_come_and_go_are_told_now_and_then(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();

	for (int i = 0; i < 300; i++) { /* ten minutes */
		leak(VERDICT_SUSPECT);
		step(overseer);
		fakes[0].verdict = (struct verdict){.outcome = VERDICT_OK};
		step(overseer);
	}
	assert_story(overseer, "auth", "suspect cleared");
	leak(VERDICT_SUSPECT);
	step(overseer);
	assert_story(overseer, "auth", "suspect cleared suspect");
}

static void
test_what_is_no_leak_is_told_as_such(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();

	leak(VERDICT_LIKELY);
	fakes[0].verdict.class = VERDICT_CLIENT_STATE;
	step(overseer);
	assert_story(overseer, "auth", "growth");
}

static void
test_pressure_evicts_the_largest_that_can(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();

	fakes[1].configured = true;
	fakes[1].plugin.leak.watch = false;
	fakes[1].own = 20 * MIB;
	step(overseer);
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
	assert_story(overseer, "other", "pressure");
	fakes[0].descriptor.evict = fakes[1].descriptor.evict = NULL;
	overseer_pressure(overseer);
	overseer_settle(overseer);
	assert_int_equal(fakes[0].evictions + fakes[1].evictions, 2);
}

static void
test_a_plugin_that_left_is_forgotten(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();
	struct overseer_view view;
	char *text = NULL;
	size_t length = 0;

	step(overseer);
	assert_int_equal(overseer_view(overseer, "auth", &view), 0);
	assert_int_equal(overseer_record(overseer, "auth", &text, &length), 0);
	assert_string_equal(text, "parse_header (/src/auth.c:41)");
	free(text);
	fakes[0].configured = false;
	step(overseer);
	assert_int_equal(overseer_view(overseer, "auth", &view), -ENOENT);
	assert_int_equal(overseer_record(overseer, "auth", &text, &length), -ENOENT);
	assert_story(overseer, "auth", "");
}

static void
test_notes_are_bounded(void **state UNUSED)
{
	CLEANUP(overseer_teardown) struct overseer *overseer = overseer_setup();
	json_t *rows;

	fakes[0].plugin.policy.on_confirmed = POLICY_LOG;
	for (int i = 0; i < 200; i++) {
		leak(VERDICT_CONFIRMED);
		step(overseer);
		fakes[0].verdict = (struct verdict){.outcome = VERDICT_OK};
		step(overseer);
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
		cmocka_unit_test(test_suspicions_that_come_and_go_are_told_now_and_then),
		cmocka_unit_test(test_what_is_no_leak_is_told_as_such),
		cmocka_unit_test(test_pressure_evicts_the_largest_that_can),
		cmocka_unit_test(test_a_plugin_that_left_is_forgotten),
		cmocka_unit_test(test_notes_are_bounded),
	};

	log_set_level(-1); /* what is told is asserted by the notes */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
