/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overseer-stage.h"

#include "event.h"
#include "format.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* --- two plugins made of constants -------------------------------------------------------------------------------- */

struct inspector {
	struct verdict verdict;
};

struct fake fakes[2];

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

struct fake *inspected;

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

uint64_t stage_now;

struct overseer *
stage_setup(void)
{
	struct overseer *overseer = NULL;

	stage_now = 5000L * SECOND;
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

void
stage_teardown(struct overseer **overseer)
{
	overseer_free(overseer);
	for (size_t i = 0; i < ARRAY_LENGTH(fakes); i++) {
		if (fakes[i].observed)
			fakes[i].observer.release(fakes[i].observer.ctx);
		breaker_free(&fakes[i].breaker);
	}
	assert_int_equal(fakes[0].inspectors, 0); /* who lets go last frees it */
}

void
stage_step(struct overseer *overseer)
{
	overseer_step(overseer, stage_now);
	overseer_settle(overseer);
	stage_now += SECOND;
}

/* "confirmed dumped evicted restarted": the kinds of all notes. */
void
stage_assert_story(struct overseer *overseer, const char *plugin, const char *want)
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

void
stage_assert_told(struct overseer *overseer, const char *plugin, const char *words)
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

struct overseer_view
stage_view(struct overseer *overseer)
{
	struct overseer_view view;

	assert_int_equal(overseer_view(overseer, "auth", &view), 0);
	return view;
}

void
stage_leak(enum verdict_outcome outcome)
{
	fakes[0].verdict =
		(struct verdict){.outcome = outcome, .class = VERDICT_LEAK, .seconds_to_limit = 9999, .site_count = 1};
	fakes[0].verdict.sites[0].site = 41;
}
