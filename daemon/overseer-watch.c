/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the overseer sees of a plugin: a reading each second, its inspector's verdict, walks of its heap. */
#include "overseer-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Wishes granted in one step: an inspector that wishes more waits for the next. */
enum { WISHES = 3 };

/* --- inspections ------------------------------------------------------------------------------------------------- */

void
inspection_unref(struct inspection **inspectionp)
{
	struct inspection *inspection = *inspectionp;

	*inspectionp = NULL;
	if (inspection == NULL || atomic_fetch_sub(&inspection->references, 1) != 1)
		return;
	inspector_free(&inspection->inspector);
	pthread_mutex_destroy(&inspection->work);
	free(inspection);
}

static bool
inspection_observe(void *ctx, uint64_t now, const struct signals_sample *sample)
{
	const struct inspection *inspection = ctx;

	return inspector_sample(inspection->inspector, now, sample);
}

static void
inspection_release(void *ctx)
{
	struct inspection *inspection = ctx;

	inspection_unref(&inspection);
}

static struct inspector_settings
settings_of(const struct config_plugin *plugin, bool has_evict)
{
	struct inspector_settings settings = {
		.verdict = verdict_default_settings(),
		.probe = probe_default_settings(),
		.hard_limit = plugin->memory_hard,
		.has_evict = has_evict,
	};

	settings.verdict.min_rate = plugin->leak.min_rate;
	settings.verdict.min_growth = plugin->leak.min_growth;
	settings.verdict.warm_up_time = plugin->leak.warm_up;
	settings.verdict.warm_up_requests = (uint64_t) plugin->leak.warm_up_requests;
	settings.probe.allow = plugin->leak.probe;
	settings.probe.per_hour = (unsigned) plugin->leak.probe_per_hour;
	settings.probe.max_load = plugin->leak.probe_load;
	settings.probe.min_growth = plugin->leak.min_growth;
	settings.probe.least_time = plugin->leak.warm_up / 2; /* two intervals: as long as it may take to settle */
	return settings;
}

/* The instance keeps a reference of its own: requests feed it until the last has left. */
static void
inspection_begin(struct sight *sight, struct instance *instance)
{
	struct inspector_settings settings = settings_of(sight->plugin, sight->ward->has_evict);
	struct inspection *inspection = calloc(1, sizeof(*inspection));

	if (inspection == NULL)
		return;
	if (inspector_new(sight->now, &settings, &inspection->inspector) < 0) {
		free(inspection);
		return;
	}
	pthread_mutex_init(&inspection->work, NULL);
	atomic_init(&inspection->references, 2);
	instance_set_observer(instance, &(struct instance_observer){.observe = inspection_observe,
								    .release = inspection_release,
								    .ctx = inspection});
	pthread_mutex_lock(&sight->overseer->lock);
	sight->ward->inspection = inspection;
	pthread_mutex_unlock(&sight->overseer->lock);
}

/* --- a new instance, new settings -------------------------------------------------------------------------------- */

static void
ward_meet(struct sight *sight, struct instance *instance, uint64_t held)
{
	struct overseer *overseer = sight->overseer;
	struct ward *ward = sight->ward;
	struct inspection *before;

	pthread_mutex_lock(&overseer->lock);
	before = STEAL(ward->inspection);
	pthread_mutex_unlock(&overseer->lock);
	inspection_unref(&before);
	ward->instance = instance != NULL ? instance_number(instance) : 0;
	ward->has_evict = instance != NULL && instance_descriptor(instance)->evict != NULL;
	ward->first_held = held;
	ward->refused = 0;
	/* By an operator, or after new settings: what was wrong may be cured. */
	if (ward->instance != ward->replaced_by)
		ward->stopped = false;
	ward->policy = (struct policy){0};
	ward->verdict = (struct verdict){.seconds_to_limit = -1};
	ward->probes = (struct verdict_probes){0};
	ward->phase[0] = '\0';
	ward->named_site = 0;
	ward->place[0] = '\0';
	ward->suspected = false;
}

/* By an operator's reload. */
static void
ward_adopt(struct sight *sight)
{
	struct ward *ward = sight->ward;

	if (ward->generation == sight->config->generation)
		return;
	/* Whoever loads the configuration again may have cured what was wrong. */
	if (ward->generation != 0) {
		ward->stopped = ward->gave_up = false;
		ward->policy.exhausted = false;
	}
	ward->generation = sight->config->generation;
	if (ward->inspection == NULL)
		return;
	struct inspector_settings settings = settings_of(sight->plugin, ward->has_evict);
	pthread_mutex_lock(&ward->inspection->work);
	inspector_set(ward->inspection->inspector, &settings);
	pthread_mutex_unlock(&ward->inspection->work);
}

/* --- verdicts ---------------------------------------------------------------------------------------------------- */

static void
grant_walk(const struct sight *sight, struct instance *instance, struct inspector *inspector)
{
	struct heap_profile *own = NULL, *foreign = NULL;

	if (heap_profile_take(scope_space_own(instance_space(instance)), 0, &own) == 0) {
		(void) heap_profile_take(plugin_foreign(sight->handle), 0, &foreign);
		(void) inspector_profile(inspector, own, foreign);
	}
	heap_profile_free(&own);
	heap_profile_free(&foreign);
}

static void
ward_judge(struct sight *sight, struct instance *instance, bool sampled, const struct signals_sample *sample)
{
	struct ward *ward = sight->ward;
	struct inspection *inspection = ward->inspection;

	if (sampled)
		(void) inspector_sample(inspection->inspector, sight->now, sample);
	pthread_mutex_lock(&inspection->work);
	enum inspector_wish wish = INSPECTOR_NOTHING;
	for (int i = 0; i < WISHES; i++) {
		wish = inspector_step(inspection->inspector, sight->now, sight->overseer->load);
		if (wish != INSPECTOR_PROFILE)
			break;
		grant_walk(sight, instance, inspection->inspector);
	}
	sight->wants_eviction = wish == INSPECTOR_EVICT;
	ward->verdict = *inspector_verdict(inspection->inspector);
	probe_results(inspector_probe(inspection->inspector), &ward->probes);
	pthread_mutex_unlock(&inspection->work);
}

void
ward_watch(struct sight *sight, const struct supervisor_look *seen)
{
	struct instance *instance = seen->instance;
	struct ward *ward = sight->ward;
	struct signals_sample sample;
	struct heap_usage own = {0}, foreign = {0};

	/* The repair has them. */
	sight->skipped = atomic_load(&ward->repair.busy);
	if (sight->skipped)
		return;
	if (instance != NULL)
		heap_usage(scope_space_own(instance_space(instance)), &own);
	heap_usage(plugin_foreign(seen->handle), &foreign);
	sight->own = own.live_bytes;
	sight->foreign = foreign.live_bytes;
	sight->inflight = plugin_requests(seen->handle, NULL);
	sight->serves = instance != NULL;
	ward_adopt(sight);
	if ((instance != NULL ? instance_number(instance) : 0) != ward->instance) {
		ward_meet(sight, instance, sight->own + sight->foreign);
		ward->reconfigured = seen->reconfigured;
	}
	if (instance == NULL)
		return;
	sight->refusing = own.refused > ward->refused;
	ward->refused = own.refused;
	if (ward->inspection == NULL && sight->plugin->leak.watch && instance_observer(instance) == NULL)
		inspection_begin(sight, instance);
	if (ward->inspection == NULL)
		return;
	if (ward->reconfigured != seen->reconfigured) {
		pthread_mutex_lock(&ward->inspection->work);
		inspector_restart(ward->inspection->inspector, sight->now);
		pthread_mutex_unlock(&ward->inspection->work);
		ward->reconfigured = seen->reconfigured;
	}
	if (sight->plugin->leak.watch)
		ward_judge(sight, instance, plugin_sample(seen->handle, instance, sight->now, &sample), &sample);
	else
		ward->verdict = (struct verdict){.seconds_to_limit = -1};
}
