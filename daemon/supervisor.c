/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "supervisor.h"

#include "capture.h"
#include "host.h"
#include "monotonic.h"
#include "supervisor-internal.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* After a drain timed out and its requests were cancelled, how long plugins get to let go of them. */
enum { CANCEL_GRACE = 2000000 };

const char *
supervisor_state_name(enum supervisor_state state)
{
	static const char *const names[] = {
		[SUPERVISOR_DISABLED] = "disabled", [SUPERVISOR_STARTING] = "starting", [SUPERVISOR_READY] = "ready",
		[SUPERVISOR_DRAINING] = "draining", [SUPERVISOR_FAILED] = "failed",
	};
	return names[state];
}

/* --- the table --------------------------------------------------------------------------------------------------- */

struct unit *
supervisor_unit(struct supervisor *supervisor, const char *name)
{
	struct unit *found = NULL;

	pthread_mutex_lock(&supervisor->lock);
	for (size_t i = 0; i < supervisor->count && found == NULL; i++) {
		if (strcmp(supervisor->units[i]->name, name) == 0)
			found = supervisor->units[i];
	}
	pthread_mutex_unlock(&supervisor->lock);
	return found;
}

struct unit *
supervisor_nth_unit(struct supervisor *supervisor, size_t n)
{
	pthread_mutex_lock(&supervisor->lock);
	struct unit *unit = n < supervisor->count ? supervisor->units[n] : NULL;
	pthread_mutex_unlock(&supervisor->lock);
	return unit;
}

struct plugin *
supervisor_plugin(struct supervisor *supervisor, const char *name)
{
	struct unit *unit = supervisor_unit(supervisor, name);
	return unit != NULL ? unit->plugin : NULL;
}

int
supervisor_take(struct supervisor *supervisor, const char *name, struct unit **ret, struct error *error)
{
	struct unit *unit = supervisor_unit(supervisor, name);

	struct timespec until = monotonic_in(CHANGE_WAIT);
	if (unit != NULL && pthread_mutex_clocklock(&unit->change, CLOCK_MONOTONIC, &until) != 0)
		return error_set(error, -EBUSY, "plugin %s is being changed already; see: mtlsctl jobs", name);
	/* Only now it cannot leave the configuration any more. */
	if (unit == NULL || unit->config == NULL) {
		if (unit != NULL)
			pthread_mutex_unlock(&unit->change);
		return error_set(error, -ENOENT, "no plugin is called %s; see: mtlsctl list", name);
	}
	*ret = unit;
	return 0;
}

int
unit_new(struct supervisor *supervisor, const char *name, struct unit **ret)
{
	struct unit *unit = calloc(1, sizeof(*unit));
	if (unit == NULL)
		return -ENOMEM;
	snprintf(unit->name, sizeof(unit->name), "%s", name);
	pthread_mutex_init(&unit->change, NULL);
	pthread_mutex_init(&unit->places.lock, NULL);
	unit->state = SUPERVISOR_DISABLED;
	int r = plugin_new(name, &unit->plugin);
	if (r == 0) {
		pthread_mutex_lock(&supervisor->lock);
		struct unit **grown = reallocarray(supervisor->units, supervisor->count + 1, sizeof(*grown));
		if (grown != NULL) {
			supervisor->units = grown;
			supervisor->units[supervisor->count++] = unit;
		} else {
			r = -ENOMEM;
		}
		pthread_mutex_unlock(&supervisor->lock);
	}
	if (r < 0) {
		plugin_free(&unit->plugin);
		pthread_mutex_destroy(&unit->change);
		pthread_mutex_destroy(&unit->places.lock);
		free(unit);
		return r;
	}
	*ret = unit;
	return 0;
}

void
unit_set_state(struct supervisor *supervisor, struct unit *unit, enum supervisor_state state, const char *why)
{
	pthread_mutex_lock(&supervisor->lock);
	unit->state = state;
	if (why != NULL)
		snprintf(unit->last_error, sizeof(unit->last_error), "%s", why);
	pthread_mutex_unlock(&supervisor->lock);
}

static void
look_serving(struct instance *current, void *ctx)
{
	*(struct instance **) ctx = current;
}

/* With change held nobody else switches, so the pointer stays good after the peek. */
struct instance *
unit_serving(struct unit *unit)
{
	struct instance *instance = NULL;
	plugin_peek(unit->plugin, look_serving, &instance);
	return instance;
}

/* --- starting ---------------------------------------------------------------------------------------------------- */

/* What an operator said holds until the configuration says something new. */
uint64_t
unit_sampling(const struct unit *unit, const struct config_plugin *plugin)
{
	bool same = unit->config != NULL && unit->config->memory_sample_interval == plugin->memory_sample_interval;

	return same && unit->sampling_set ? unit->sampling : plugin->memory_sample_interval;
}

struct instance_options
unit_options(struct supervisor *supervisor, struct unit *unit, const struct config *config,
	     const struct config_plugin *plugin, struct image *image)
{
	return (struct instance_options){
		.plugin = unit->name,
		.number = atomic_fetch_add(&supervisor->last_number, 1) + 1,
		.image = image,
		.directory = supervisor->directory,
		.imports_allowed = plugin->imports_allowed.items,
		.imports_allowed_count = plugin->imports_allowed.count,
		.file = config->file,
		.settings = plugin->settings,
		.limits = {plugin->memory_soft, plugin->memory_hard},
		.sample_interval = unit_sampling(unit, plugin),
		.foreign = plugin_foreign(unit->plugin),
		.nonces = plugin_nonces(unit->plugin),
		.threads = (unsigned) plugin->threads,
		.queue = (unsigned) plugin->queue,
		.start_timeout = plugin->start_timeout,
	};
}

int
unit_file(const struct config *config, const struct config_plugin *plugin, char *ret, size_t size)
{
	int n = plugin->path[0] == '/' ? snprintf(ret, size, "%s", plugin->path)
				       : snprintf(ret, size, "%s/%s", config->daemon.plugin_directory, plugin->path);
	return n < (int) size ? 0 : -ENAMETOOLONG;
}

int
unit_read_image(const struct config *config, const struct config_plugin *plugin, struct image **ret,
		struct error *error)
{
	char path[4096];
	if (unit_file(config, plugin, path, sizeof(path)) < 0)
		return error_set(error, -ENAMETOOLONG, "the path of plugin %s is too long", plugin->name);
	int r = image_read(path, ret, error);
	if (r < 0 && plugin->node != NULL)
		error_prefix(error, "%s:%d:%d: plugin %s", config->file, plugin->node->line, plugin->node->column,
			     plugin->name);
	return r;
}

/* Starts unit->fresh from the given configuration. Image: the kept one, or read anew where there is none. */
int
unit_start(struct supervisor *supervisor, struct unit *unit, const struct config *config,
	   const struct config_plugin *plugin, struct image *kept, struct error *error)
{
	int r = 0;

	if (kept != NULL)
		unit->fresh_image = image_ref(kept);
	else
		r = unit_read_image(config, plugin, &unit->fresh_image, error);
	if (r < 0)
		return r;
	struct instance_options options = unit_options(supervisor, unit, config, plugin, unit->fresh_image);
	r = unit_make_grave(unit, error);
	if (r == 0) {
		r = instance_start(&options, host_table(), &unit->fresh, error);
		if (r < 0)
			unit_drop_grave(unit);
	}
	if (r < 0)
		image_unref(&unit->fresh_image);
	return r;
}

/* Takes a fresh instance down again that never served. */
void
unit_drop_fresh(struct supervisor *supervisor, struct unit *unit)
{
	struct error why = {0};

	if (unit->fresh != NULL)
		(void) unit_bury(supervisor, unit, STEAL(unit->fresh), &why);
	image_unref(&unit->fresh_image);
}

/* --- ending ------------------------------------------------------------------------------------------------------ */

/* Drains an instance that no new request enters, and ends it. */
void
unit_retire(struct supervisor *supervisor, struct unit *unit, struct instance *instance, uint64_t timeout,
	    struct supervisor_restart *report)
{
	struct error why = {0};
	struct heap_usage usage;

	if (instance == NULL)
		return;
	size_t before = plugin_requests(unit->plugin, instance);
	if (!plugin_drain(unit->plugin, instance, timeout)) {
		report->cancelled = plugin_cancel(unit->plugin, instance, MTLSD_DRAIN);
		if (!plugin_drain(unit->plugin, instance, CANCEL_GRACE))
			error_set(&why, -EBUSY, "%zu of its requests are still held by the plugin",
				  plugin_requests(unit->plugin, instance));
	}
	report->drained = before > report->cancelled ? before - report->cancelled : 0;
	heap_usage(scope_space_own(instance_space(instance)), &usage);
	if (unit_bury(supervisor, unit, instance, &why) < 0) {
		report->zombie = true;
		snprintf(report->zombie_reason, sizeof(report->zombie_reason), "%s", why.text);
		return;
	}
	report->freed_bytes = usage.live_bytes;
}

/* Makes unit->fresh the serving instance; returns the one before. */
static struct instance *
promote(struct supervisor *supervisor, struct unit *unit)
{
	struct instance *before = plugin_switch(unit->plugin, unit->fresh);

	pthread_mutex_lock(&supervisor->lock);
	unit->fresh = NULL;
	image_unref(&unit->image);
	unit->image = STEAL(unit->fresh_image);
	unit->state = before != NULL ? SUPERVISOR_DRAINING : SUPERVISOR_READY;
	unit->last_error[0] = '\0';
	unit->fault_pending = false; /* that was the instance before */
	breaker_stop(plugin_breaker(unit->plugin), false);
	pthread_mutex_unlock(&supervisor->lock);
	return before;
}

/* --- the operator's verbs ---------------------------------------------------------------------------------------- */

int
supervisor_evict(struct supervisor *supervisor, const char *name, uint64_t target, int level,
		 struct supervisor_eviction *ret, struct error *error)
{
	struct unit *unit;
	struct heap_usage usage;
	struct supervisor_eviction eviction = {0};

	int r = supervisor_take(supervisor, name, &unit, error);
	if (r < 0)
		return r;
	struct instance *instance = unit_serving(unit);
	if (instance == NULL) {
		r = error_set(error, -ENOLINK, "plugin %s has no instance that could evict (it is %s)", name,
			      supervisor_state_name(unit->state));
	} else {
		struct heap *own = scope_space_own(instance_space(instance));
		heap_usage(own, &usage);
		eviction.live_before = usage.live_bytes;
		eviction.resident_before = usage.resident_bytes;
		int evicted = instance_evict(instance, target, (mtlsd_level) level, &eviction.claimed);
		if (evicted == -ETIMEDOUT)
			r = error_set(error, -EBUSY,
				      "plugin %s does not return from a callback; restart it: mtlsctl restart %s", name,
				      name);
		eviction.hook = evicted == 0;
		if (r == 0 && level == MTLSD_EVICT_REPLAY)
			r = nonces_drop(plugin_nonces(unit->plugin), nonces_time().now, error);
		heap_trim(own);
		heap_trim(plugin_foreign(unit->plugin));
		heap_usage(own, &usage);
		eviction.live_after = usage.live_bytes;
		eviction.resident_after = usage.resident_bytes;
		if (r == 0)
			*ret = eviction;
	}
	pthread_mutex_unlock(&unit->change);
	return r;
}

/* With change held. */
static int
replace(struct supervisor *supervisor, struct unit *unit, bool reread, uint64_t timeout, enum supervisor_reason reason,
	struct supervisor_restart *ret, struct error *error)
{
	struct error why = {0};
	struct supervisor_restart report = {0};
	struct instance *current = unit_serving(unit);

	report.old_instance = current != NULL ? instance_number(current) : 0;
	int r = unit_start(supervisor, unit, unit->held, unit->config, reread ? NULL : unit->image, &why);
	if (r < 0) {
		unit_set_state(supervisor, unit, current != NULL ? SUPERVISOR_READY : SUPERVISOR_FAILED, why.text);
		return error_set(error, r, "%s%s", why.text, current != NULL ? "; the old instance keeps serving" : "");
	}
	report.new_instance = instance_number(unit->fresh);
	supervisor_name_faults(supervisor, unit);
	struct instance *before = promote(supervisor, unit);
	pthread_mutex_lock(&supervisor->lock);
	unit->restarts[reason]++;
	pthread_mutex_unlock(&supervisor->lock);
	unit_retire(supervisor, unit, before, timeout != 0 ? timeout : unit->config->drain_timeout, &report);
	unit_set_state(supervisor, unit, SUPERVISOR_READY, NULL);
	*ret = report;
	return 0;
}

static int
restart(struct supervisor *supervisor, const char *name, uint64_t if_instance, bool reread, uint64_t timeout,
	enum supervisor_reason reason, struct supervisor_restart *ret, struct error *error)
{
	struct unit *unit;

	int r = supervisor_take(supervisor, name, &unit, error);
	if (r < 0)
		return r;
	const struct instance *current = unit_serving(unit);
	uint64_t number = current != NULL ? instance_number(current) : 0;
	if (!unit->enabled)
		r = error_set(error, -ENOLINK, "plugin %s is disabled; run: mtlsctl enable %s", name, name);
	else if (if_instance != 0 && if_instance != number)
		r = error_set(error, -ESTALE, "plugin %s is served by instance %" PRIu64 ", not %" PRIu64, name, number,
			      if_instance);
	else
		r = replace(supervisor, unit, reread, timeout, reason, ret, error);
	pthread_mutex_unlock(&unit->change);
	return r;
}

int
supervisor_restart(struct supervisor *supervisor, const char *name, uint64_t if_instance, bool reread, uint64_t timeout,
		   struct supervisor_restart *ret, struct error *error)
{
	return restart(supervisor, name, if_instance, reread, timeout, SUPERVISOR_OPERATOR, ret, error);
}

int
supervisor_replace(struct supervisor *supervisor, const char *name, uint64_t if_instance, enum supervisor_reason reason,
		   struct supervisor_restart *ret, struct error *error)
{
	return restart(supervisor, name, if_instance, false, 0, reason, ret, error);
}

int
supervisor_enable(struct supervisor *supervisor, const char *name, struct error *error)
{
	struct unit *unit;
	struct error why = {0};

	int r = supervisor_take(supervisor, name, &unit, error);
	if (r < 0)
		return r;
	if (unit_serving(unit) == NULL) {
		unit_set_state(supervisor, unit, SUPERVISOR_STARTING, NULL);
		r = unit_start(supervisor, unit, unit->held, unit->config, unit->image, &why);
		if (r == 0)
			(void) promote(supervisor, unit);
		else
			unit_set_state(supervisor, unit, SUPERVISOR_FAILED, why.text);
	}
	pthread_mutex_lock(&supervisor->lock);
	unit->enabled = true;
	pthread_mutex_unlock(&supervisor->lock);
	pthread_mutex_unlock(&unit->change);
	return r < 0 ? error_set(error, r, "%s", why.text) : 0;
}

int
supervisor_disable(struct supervisor *supervisor, const char *name, struct supervisor_restart *ret, struct error *error)
{
	struct unit *unit;
	struct supervisor_restart report = {0};

	int r = supervisor_take(supervisor, name, &unit, error);
	if (r < 0)
		return r;
	pthread_mutex_lock(&supervisor->lock);
	unit->enabled = false;
	unit->state = SUPERVISOR_DISABLED;
	pthread_mutex_unlock(&supervisor->lock);
	supervisor_name_faults(supervisor, unit);
	struct instance *before = plugin_switch(unit->plugin, NULL);
	report.old_instance = before != NULL ? instance_number(before) : 0;
	unit_retire(supervisor, unit, before, unit->config->drain_timeout, &report);
	pthread_mutex_unlock(&unit->change);
	*ret = report;
	return 0;
}

/* --- time and end ------------------------------------------------------------------------------------------------ */

void
supervisor_tick(struct supervisor *supervisor)
{
	bool zombies = false;

	pthread_mutex_lock(&supervisor->lock);
	for (size_t i = 0; i < supervisor->count; i++)
		zombies |= supervisor->units[i]->zombies != NULL;
	bool unnamed = supervisor_faults_unnamed(supervisor);
	pthread_mutex_unlock(&supervisor->lock);
	if (unnamed && !atomic_exchange(&supervisor->is_naming, true))
		pool_push(supervisor->watcher, &supervisor->naming);
	if (zombies && !atomic_exchange(&supervisor->burying, true))
		pool_push(supervisor->undertaker, &supervisor->burial);
	if (!atomic_exchange(&supervisor->peaking, true))
		pool_push(supervisor->watcher, &supervisor->peaks);
}

void
supervisor_stop(struct supervisor *supervisor, uint64_t timeout)
{
	uint64_t until = monotonic_now() + timeout;

	for (size_t i = 0; i < supervisor->count; i++) {
		struct unit *unit = supervisor->units[i];
		struct supervisor_restart report = {0};

		uint64_t now = monotonic_now();
		pthread_mutex_lock(&unit->change);
		unit_retire(supervisor, unit, plugin_switch(unit->plugin, NULL), until > now ? until - now : 0,
			    &report);
		pthread_mutex_unlock(&unit->change);
	}
	/* Once more: what could not be proved a moment ago may be by now, and nobody will ask again. */
	supervisor_bury(&supervisor->burial);
}

/* What an earlier process left behind: names of mappings. */
static void
sweep_directory(const char *directory)
{
	DIR *dir = opendir(directory);
	if (dir == NULL)
		return;
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		if (entry->d_type == DT_LNK)
			(void) unlinkat(dirfd(dir), entry->d_name, 0);
	}
	closedir(dir);
}

int
supervisor_new(const char *run_directory, struct supervisor **ret, struct error *error)
{
	CLEANUP(supervisor_free) struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
	if (supervisor == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	pthread_mutex_init(&supervisor->lock, NULL);
	supervisor->burial.work = supervisor_bury;
	supervisor->peaks.work = supervisor_look_for_peaks;
	supervisor->naming.work = supervisor_name_all;
	if (asprintf(&supervisor->directory, "%s/instances", run_directory) < 0) {
		supervisor->directory = NULL;
		return error_set(error, -ENOMEM, "out of memory");
	}
	if (mkdir(supervisor->directory, 0700) < 0 && errno != EEXIST)
		return error_set(error, -errno,
				 "cannot make %s: %m; does daemon.run_directory exist, and may %s write there?",
				 supervisor->directory, geteuid() == 0 ? "root" : "the daemon's user");
	sweep_directory(supervisor->directory);
	int r = pool_new("mtlsd-burial", 1, 0, &supervisor->undertaker);
	if (r == 0)
		r = pool_new("mtlsd-watch", 1, 0, &supervisor->watcher);
	if (r < 0)
		return error_set(error, r, "cannot start a thread: %s", strerror(-r));
	*ret = STEAL(supervisor);
	return 0;
}

void
supervisor_free(struct supervisor **supervisorp)
{
	struct supervisor *supervisor = *supervisorp;
	if (supervisor == NULL)
		return;
	pool_free(&supervisor->undertaker);
	pool_free(&supervisor->watcher);
	for (size_t i = 0; i < supervisor->count; i++) {
		struct unit *unit = supervisor->units[i];
		bool zombies = unit->zombies != NULL;
		while (unit->zombies != NULL) {
			struct zombie *next = unit->zombies->next;
			(void) unlink(instance_mapping(unit->zombies->instance)->name);
			free(unit->zombies);
			unit->zombies = next;
		}
		while (unit->graves != NULL)
			unit_drop_grave(unit);
		image_unref(&unit->image);
		capture_unref(&unit->peak);
		places_memory_clear(&unit->places);
		config_unref(&unit->held);
		/* A zombie's threads may still use the plugin's heaps: leave them to the end of the process. */
		if (!zombies)
			plugin_free(&unit->plugin);
		pthread_mutex_destroy(&unit->change);
		pthread_mutex_destroy(&unit->places.lock);
		free(unit);
	}
	free(supervisor->units);
	if (supervisor->directory != NULL)
		(void) rmdir(supervisor->directory);
	free(supervisor->directory);
	pthread_mutex_destroy(&supervisor->lock);
	free(supervisor);
	*supervisorp = NULL;
}
