/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host.h"
#include "supervisor-internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- plugins ----------------------------------------------------------------------------------------------------- */

size_t
supervisor_count(const struct supervisor *supervisor)
{
	size_t count = 0;
	pthread_mutex_lock((pthread_mutex_t *) &supervisor->lock);
	for (size_t i = 0; i < supervisor->count; i++)
		count += supervisor->units[i]->config != NULL;
	pthread_mutex_unlock((pthread_mutex_t *) &supervisor->lock);
	return count;
}

static void
add_escape(const struct scope_escape *escape, void *ctx)
{
	struct supervisor_plugin *view = ctx;

	view->escaped_bytes += escape->bytes;
	view->escaped_blocks += escape->blocks;
}

static void
look_instance(struct instance *instance, void *ctx)
{
	struct supervisor_plugin *view = ctx;

	if (instance == NULL)
		return;
	const mtlsd_plugin *descriptor = instance_descriptor(instance);
	struct pool *pool = instance_pool(instance);
	view->instance = instance_number(instance);
	view->since = instance_started(instance);
	view->flags = descriptor->flags;
	view->has_evict = descriptor->evict != NULL;
	view->queued = pool != NULL ? pool_queued(pool) : 0;
	view->threads = scope_space_threads(instance_space(instance));
	snprintf(view->version, sizeof(view->version), "%s", descriptor->version != NULL ? descriptor->version : "");
	snprintf(view->summary, sizeof(view->summary), "%s", descriptor->summary != NULL ? descriptor->summary : "");
	heap_usage(scope_space_own(instance_space(instance)), &view->own);
	scope_escapes(instance_space(instance), add_escape, view);
}

void
unit_view(struct unit *unit, struct supervisor_plugin *ret)
{
	struct supervisor_plugin view = {0};
	const struct stats *stats = plugin_stats(unit->plugin);

	snprintf(view.name, sizeof(view.name), "%s", unit->name);
	snprintf(view.last_error, sizeof(view.last_error), "%s", unit->last_error);
	if (unit->image != NULL) {
		snprintf(view.path, sizeof(view.path), "%s", image_path(unit->image));
		snprintf(view.sha256, sizeof(view.sha256), "%s", image_sha256(unit->image));
	}
	view.state = unit->state;
	plugin_peek(unit->plugin, look_instance, &view);
	heap_usage(plugin_foreign(unit->plugin), &view.foreign);
	view.inflight = plugin_requests(unit->plugin, NULL);
	view.requests = stats_sum(stats, PLUGIN_REQUESTS);
	for (size_t i = 0; i < ARRAY_LENGTH(view.status); i++)
		view.status[i] = stats_sum(stats, PLUGIN_STATUS_0 + i);
	view.refused_full = stats_sum(stats, PLUGIN_REFUSED_FULL);
	view.refused_disabled = stats_sum(stats, PLUGIN_REFUSED_DISABLED);
	view.refused_breaker = stats_sum(stats, PLUGIN_REFUSED_BREAKER);
	view.deadline_missed = stats_sum(stats, PLUGIN_DEADLINE);
	view.failed = stats_sum(stats, PLUGIN_FAILED);
	view.cancelled = stats_sum(stats, PLUGIN_CANCELLED);
	view.faults = view.own.faults + view.foreign.faults;
	for (size_t i = 0; i < ARRAY_LENGTH(view.fault_counts); i++) {
		view.fault_counts[i] = unit->faults[i].count;
		view.fault_sites[i] = unit->faults[i].site;
	}
	view.restarts_operator = unit->restarts[SUPERVISOR_OPERATOR];
	view.restarts_reload = unit->restarts[SUPERVISOR_RELOAD];
	view.restarts_leak = unit->restarts[SUPERVISOR_LEAK];
	view.restarts_crash = unit->restarts[SUPERVISOR_CRASH];
	if (unit->config != NULL) {
		view.soft_limit = unit->config->memory_soft;
		view.hard_limit = unit->config->memory_hard;
		view.sample_interval = unit_sampling(unit, unit->config);
	}
	for (const struct zombie *zombie = unit->zombies; zombie != NULL; zombie = zombie->next) {
		view.zombies++;
		if (view.last_error[0] == '\0')
			snprintf(view.last_error, sizeof(view.last_error),
				 "instance %" PRIu64 " could not be ended: %s", zombie->number, zombie->reason);
	}
	*ret = view;
}

int
supervisor_get(struct supervisor *supervisor, size_t index, struct supervisor_plugin *ret)
{
	struct unit *found = NULL;

	pthread_mutex_lock(&supervisor->lock);
	for (size_t i = 0; i < supervisor->count && found == NULL; i++) {
		if (supervisor->units[i]->config != NULL && index-- == 0)
			found = supervisor->units[i];
	}
	if (found != NULL)
		unit_view(found, ret);
	pthread_mutex_unlock(&supervisor->lock);
	return found != NULL ? 0 : -ENOENT;
}

int
supervisor_find(struct supervisor *supervisor, const char *name, struct supervisor_plugin *ret)
{
	struct unit *unit = supervisor_unit(supervisor, name);
	if (unit == NULL)
		return -ENOENT;
	pthread_mutex_lock(&supervisor->lock);
	int r = unit->config != NULL ? 0 : -ENOENT;
	if (r == 0)
		unit_view(unit, ret);
	pthread_mutex_unlock(&supervisor->lock);
	return r;
}

int
supervisor_look(struct supervisor *supervisor, size_t index,
		void (*look)(const struct supervisor_look *seen, void *ctx), void *ctx)
{
	struct plugin_visit visit = {.reader = true};
	struct supervisor_look seen = {0};
	struct unit *found = NULL;

	pthread_mutex_lock(&supervisor->lock);
	for (size_t i = 0; i < supervisor->count && found == NULL; i++) {
		if (supervisor->units[i]->config != NULL && index-- == 0)
			found = supervisor->units[i];
	}
	if (found != NULL) {
		seen = (struct supervisor_look){.name = found->name,
						.state = found->state,
						.enabled = found->enabled,
						.faulty = found->fault_pending,
						.reconfigured = found->reconfigurations,
						.config = config_ref(found->held),
						.plugin = found->config,
						.handle = found->plugin};
		snprintf(seen.last_error, sizeof(seen.last_error), "%s", found->last_error);
	}
	pthread_mutex_unlock(&supervisor->lock);
	if (found == NULL)
		return -ENOENT;
	if (plugin_enter(found->plugin, &visit))
		seen.instance = visit.instance;
	look(&seen, ctx);
	if (seen.instance != NULL)
		plugin_leave(&visit);
	config_unref(&seen.config);
	return 0;
}

/* --- what the plugin says ---------------------------------------------------------------------------------------- */

int
unit_enter(struct supervisor *supervisor, const char *name, struct unit **ret, struct plugin_visit *visit,
	   struct error *error)
{
	struct unit *unit = supervisor_unit(supervisor, name);
	int r = 0;

	if (unit == NULL)
		return error_set(error, -ENOENT, "no plugin is called %s; see: mtlsctl list", name);
	*visit = (struct plugin_visit){.reader = true};
	if (!plugin_enter(unit->plugin, visit)) {
		pthread_mutex_lock(&supervisor->lock);
		r = error_set(error, -ENOLINK, "plugin %s has no instance (it is %s)%s%s", name,
			      supervisor_state_name(unit->state), unit->last_error[0] != '\0' ? ": " : "",
			      unit->last_error);
		pthread_mutex_unlock(&supervisor->lock);
		return r;
	}
	*ret = unit;
	return 0;
}

int
supervisor_words(struct supervisor *supervisor, const char *name, json_t **ret_counters, json_t **ret_dump,
		 struct error *error)
{
	struct unit *unit;
	struct plugin_visit visit;

	int r = unit_enter(supervisor, name, &unit, &visit, error);
	if (r < 0)
		return r;
	struct instance *instance = visit.instance;
	json_t *counters = json_object();
	for (int i = 0; instance_counter_name(instance, i) != NULL; i++)
		json_object_set_new(counters, instance_counter_name(instance, i),
				    json_integer((json_int_t) instance_counter_value(instance, i)));
	if (ret_dump != NULL) {
		struct words words = {json_object()};
		(void) instance_dump(instance, (mtlsd_dump *) &words);
		*ret_dump = words.object;
	}
	plugin_leave(&visit);
	*ret_counters = counters;
	return 0;
}
