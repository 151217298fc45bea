/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a new configuration becomes the set of plugins: prepare everything that can fail, switch, commit, adopt, retire.
 */
#include "host.h"
#include "monotonic.h"
#include "supervisor-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool
nodes_equal(const struct yaml_node *a, const struct yaml_node *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (a->kind != b->kind || a->count != b->count)
		return false;
	if (a->kind == YAML_SCALAR)
		return strcmp(a->text, b->text) == 0;
	for (size_t i = 0; i < a->count; i++) {
		if (a->kind == YAML_MAP && strcmp(a->keys[i]->text, b->keys[i]->text) != 0)
			return false;
		if (!nodes_equal(a->values[i], b->values[i]))
			return false;
	}
	return true;
}

static bool
strings_equal(const struct schema_strings *a, const struct schema_strings *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	}
	return true;
}

/* What can only be changed by a new instance. */
static bool
needs_new_instance(const struct config *config, const struct config_plugin *a, const struct config *new_config,
		   const struct config_plugin *b)
{
	char old_path[4096], new_path[4096];

	return unit_file(config, a, old_path, sizeof(old_path)) < 0 ||
	       unit_file(new_config, b, new_path, sizeof(new_path)) < 0 || strcmp(old_path, new_path) != 0 ||
	       a->threads != b->threads || a->queue != b->queue ||
	       !strings_equal(&a->imports_allowed, &b->imports_allowed);
}

static bool
same_path(const struct config *config, const struct config_plugin *a, const struct config *new_config,
	  const struct config_plugin *b)
{
	char old_path[4096], new_path[4096];

	return unit_file(config, a, old_path, sizeof(old_path)) == 0 &&
	       unit_file(new_config, b, new_path, sizeof(new_path)) == 0 && strcmp(old_path, new_path) == 0;
}

/* A plugin that was built well but will not start must not keep the others from serving when the daemon starts. */
static bool
is_plugins_own_trouble(int code)
{
	return code == -ECANCELED || code == -EHOSTDOWN || code == -ETIMEDOUT;
}

static int
prepare_unit(struct supervisor *supervisor, struct unit *unit, const struct config *config,
	     const struct config_plugin *plugin, bool first, struct error *error)
{
	struct instance *current = unit_serving(unit);
	const struct config_plugin *before = unit->config;
	int r = 0;

	r = unit_open_nonces(unit, config, plugin, error);
	if (r < 0)
		return r;
	if (!plugin->enabled)
		return 0;
	bool settings_changed = before == NULL || !nodes_equal(before->settings, plugin->settings);
	bool replace = current == NULL || before == NULL || needs_new_instance(unit->held, before, config, plugin);
	if (current != NULL && !replace && settings_changed) {
		r = instance_reconfigure(current, config->file, plugin->settings, host_table(), error);
		unit->reconfigured = r == 0;
		replace = r == -EOPNOTSUPP;
		if (r < 0 && r != -EOPNOTSUPP)
			return r;
	}
	/* An operator's `disable` lasts until the configuration changes its mind. */
	if (!replace || (before != NULL && before->enabled && !unit->enabled))
		return 0;
	struct image *kept = before != NULL && same_path(unit->held, before, config, plugin) ? unit->image : NULL;
	r = unit_start(supervisor, unit, config, plugin, kept, error);
	/* Nor may one that has failed all along keep a change of something else out. */
	bool tolerated = first || (before != NULL && current == NULL);
	if (r < 0 && tolerated && is_plugins_own_trouble(r)) {
		unit_set_state(supervisor, unit, SUPERVISOR_FAILED, error->text);
		*error = (struct error){0};
		r = 0;
	}
	return r;
}

/* Filters must be filters: only the plugins themselves know. */
static int
check_roles(struct supervisor *supervisor, const struct config *config, struct error *error)
{
	for (size_t i = 0; i < config->route_count; i++) {
		const struct config_route *route = &config->routes[i];
		for (size_t k = 0; k < route->filter_count; k++) {
			struct unit *unit = supervisor_unit(supervisor, route->filters[k]->name);
			const struct instance *instance = unit->fresh != NULL ? unit->fresh : unit_serving(unit);
			if (instance == NULL)
				continue;
			uint32_t flags = instance_descriptor(instance)->flags;
			if ((flags & MTLSD_FILTER) == 0)
				return error_set(error, -EINVAL,
						 "%s:%d:%d: route %s: plugin %s is no filter (MTLSD_FILTER); make it "
						 "the handler",
						 config->file, route->node->line, route->node->column, route->name,
						 unit->name);
			if ((flags & MTLSD_STREAM_BODY) != 0)
				return error_set(
					error, -EINVAL,
					"%s:%d:%d: route %s: filter %s streams bodies, which only a handler can",
					config->file, route->node->line, route->node->column, route->name, unit->name);
		}
	}
	return 0;
}

static const struct config_plugin *
find_config(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->plugin_count; i++) {
		if (strcmp(config->plugins[i].name, name) == 0)
			return &config->plugins[i];
	}
	return NULL;
}

/* One change of the whole set. */
struct change {
	struct supervisor *supervisor;
	struct config *config;
	size_t taken; /* units whose change is held: the first so many of the table */
	struct {
		struct instance *old; /* served before; to be retired */
		struct image *image;  /* of the instance that serves now, if it is new */
		bool switched;
	} * parts; /* by unit */
};

static int
take_all(struct change *change, struct error *error)
{
	struct supervisor *supervisor = change->supervisor;

	for (size_t i = 0; i < change->config->plugin_count; i++) {
		struct unit *unit = supervisor_unit(supervisor, change->config->plugins[i].name);
		int r = unit == NULL ? unit_new(supervisor, change->config->plugins[i].name, &unit) : 0;
		if (r < 0)
			return error_set(error, r, "no room for plugin %s: %s", change->config->plugins[i].name,
					 strerror(-r));
	}
	for (size_t i = 0; i < supervisor->count; i++) {
		struct timespec until = monotonic_in(CHANGE_WAIT);
		if (pthread_mutex_clocklock(&supervisor->units[i]->change, CLOCK_MONOTONIC, &until) != 0)
			return error_set(error, -EBUSY, "plugin %s is being changed; try again (see: mtlsctl jobs)",
					 supervisor->units[i]->name);
		change->taken = i + 1;
	}
	change->parts = calloc(supervisor->count + 1, sizeof(*change->parts));
	return change->parts != NULL ? 0 : error_set(error, -ENOMEM, "out of memory");
}

static void
give_all(struct change *change)
{
	for (size_t i = 0; i < change->taken; i++)
		pthread_mutex_unlock(&change->supervisor->units[i]->change);
	free(change->parts);
}

static int
prepare_all(struct change *change, struct error *error)
{
	struct supervisor *supervisor = change->supervisor;
	bool first = true;

	for (size_t i = 0; i < supervisor->count; i++)
		first = first && supervisor->units[i]->held == NULL;
	for (size_t i = 0; i < supervisor->count; i++) {
		struct unit *unit = supervisor->units[i];
		const struct config_plugin *plugin = find_config(change->config, unit->name);
		int r = plugin != NULL ? prepare_unit(supervisor, unit, change->config, plugin, first, error) : 0;
		if (r < 0)
			return r;
	}
	return check_roles(supervisor, change->config, error);
}

static void
undo_prepare(struct change *change)
{
	for (size_t i = 0; i < change->taken; i++) {
		struct unit *unit = change->supervisor->units[i];
		unit_drop_fresh(change->supervisor, unit);
		if (unit->reconfigured)
			(void) instance_reconfigure(unit_serving(unit), unit->held->file, unit->config->settings,
						    host_table(), NULL);
		unit->reconfigured = false;
		unit_set_nonces(unit, unit->config);
		unit_close_nonces(unit);
	}
}

/* New instances serve from here on; removed and disabled plugins still serve requests of the old snapshot. */
static void
switch_all(struct change *change)
{
	for (size_t i = 0; i < change->taken; i++)
		if (change->supervisor->units[i]->fresh != NULL)
			supervisor_name_faults(change->supervisor, change->supervisor->units[i]);
	for (size_t i = 0; i < change->taken; i++) {
		struct unit *unit = change->supervisor->units[i];
		if (unit->fresh == NULL)
			continue;
		change->parts[i].switched = true;
		change->parts[i].image = STEAL(unit->fresh_image);
		change->parts[i].old = plugin_switch(unit->plugin, STEAL(unit->fresh));
	}
}

/* The commit failed: the old instances, which are whole, serve again, and the new ones are retired. */
static void
switch_back(struct change *change)
{
	for (size_t i = 0; i < change->taken; i++) {
		struct unit *unit = change->supervisor->units[i];
		struct supervisor_restart report = {0};
		if (!change->parts[i].switched)
			continue;
		struct instance *fresh = plugin_switch(unit->plugin, change->parts[i].old);
		unit_retire(change->supervisor, unit, fresh, change->config->daemon.drain_timeout, &report);
		image_unref(&change->parts[i].image);
	}
}

static void
adopt_unit(struct change *change, size_t i)
{
	struct supervisor *supervisor = change->supervisor;
	struct unit *unit = supervisor->units[i];
	const struct config_plugin *plugin = find_config(change->config, unit->name), *old = unit->config;
	struct config *old_held = unit->held;
	struct instance *current = unit_serving(unit);

	if (current != NULL && plugin != NULL)
		scope_space_set_limits(instance_space(current),
				       &(struct heap_limits){plugin->memory_soft, plugin->memory_hard});
	unit_set_nonces(unit, plugin);
	if (plugin != NULL)
		breaker_set(plugin_breaker(unit->plugin), &plugin->breaker);
	if (plugin != NULL) {
		uint64_t interval = unit_sampling(unit, plugin);
		unit->sampling_set = unit->sampling_set && interval == unit->sampling;
		if (current != NULL)
			heap_set_sampling(scope_space_own(instance_space(current)), interval);
		heap_set_sampling(plugin_foreign(unit->plugin), interval);
	}
	if (current != NULL && (plugin == NULL || !plugin->enabled)) {
		change->parts[i].old = plugin_switch(unit->plugin, NULL);
		current = NULL;
	}
	pthread_mutex_lock(&supervisor->lock);
	unit->held = plugin != NULL ? config_ref(change->config) : NULL;
	unit->config = plugin;
	unit->reconfigurations += unit->reconfigured;
	unit->reconfigured = false;
	if (plugin == NULL || old == NULL || old->enabled != plugin->enabled)
		unit->enabled = plugin != NULL && plugin->enabled;
	if (change->parts[i].switched) {
		image_unref(&unit->image);
		unit->image = STEAL(change->parts[i].image);
		unit->last_error[0] = '\0';
		unit->restarts[SUPERVISOR_RELOAD] += change->parts[i].old != NULL;
	}
	if (plugin == NULL)
		image_unref(&unit->image); /* what comes under this name next may be another file */
	if (!unit->enabled)
		unit->state = SUPERVISOR_DISABLED;
	else if (current != NULL)
		unit->state = change->parts[i].old != NULL ? SUPERVISOR_DRAINING : SUPERVISOR_READY;
	pthread_mutex_unlock(&supervisor->lock);
	config_unref(&old_held);
}

static void
retire_all(struct change *change)
{
	for (size_t i = 0; i < change->taken; i++) {
		struct unit *unit = change->supervisor->units[i];
		struct supervisor_restart report = {0};
		if (change->parts[i].old != NULL) {
			uint64_t timeout = unit->config != NULL ? unit->config->drain_timeout
								: change->config->daemon.drain_timeout;
			unit_retire(change->supervisor, unit, change->parts[i].old, timeout, &report);
			unit_set_state(change->supervisor, unit,
				       unit->enabled ? SUPERVISOR_READY : SUPERVISOR_DISABLED, NULL);
		}
		unit_close_nonces(unit);
	}
}

int
supervisor_apply(struct supervisor *supervisor, struct config *config, int (*commit)(void *ctx, struct error *error),
		 void *ctx, struct error *error)
{
	struct change change = {.supervisor = supervisor, .config = config};
	struct error why = {0};

	int r = take_all(&change, &why);
	if (r == 0) {
		r = prepare_all(&change, &why);
		if (r < 0)
			undo_prepare(&change);
	}
	if (r == 0) {
		switch_all(&change);
		r = commit(ctx, &why);
		if (r < 0) {
			switch_back(&change);
			undo_prepare(&change);
		}
	}
	if (r == 0) {
		for (size_t i = 0; i < change.taken; i++)
			adopt_unit(&change, i);
		retire_all(&change);
	}
	give_all(&change);
	return r < 0 ? error_set(error, r, "%s", why.text) : 0;
}

/* --- check without starting -------------------------------------------------------------------------------------- */

int
supervisor_check(const struct config *config, char **ret_mistakes)
{
	char directory[] = "/tmp/mtlsd-check.XXXXXX";
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	if (out == NULL)
		return -ENOMEM;
	int r = mkdtemp(directory) != NULL ? 0 : -errno;
	uint64_t number = 0;
	for (size_t i = 0; r != -ENOMEM && i < config->plugin_count; i++) {
		const struct config_plugin *plugin = &config->plugins[i];
		CLEANUP(image_unref) struct image *image = NULL;
		CLEANUP(plugin_free) struct plugin *scratch = NULL;
		struct error why = {0};

		int bad = plugin_new(plugin->name, &scratch);
		if (bad == 0)
			bad = unit_read_image(config, plugin, &image, &why);
		if (bad == 0) {
			struct unit unit = {.plugin = scratch};
			struct supervisor checker = {.directory = directory};
			snprintf(unit.name, sizeof(unit.name), "%s", plugin->name);
			atomic_init(&checker.last_number, number++);
			struct instance_options options = unit_options(&checker, &unit, config, plugin, image);
			bad = instance_check(&options, host_table(), &why);
		}
		if (bad < 0) {
			bool placed = strncmp(why.text, config->file, strlen(config->file)) == 0;
			if (!placed && plugin->node != NULL)
				fprintf(out, "%s:%d:%d: ", config->file, plugin->node->line, plugin->node->column);
			fprintf(out, "%s\n", why.text[0] != '\0' ? why.text : strerror(-bad));
			r = -EINVAL;
		}
	}
	(void) rmdir(directory);
	if (fclose(out) != 0 || !text)
		r = -ENOMEM;
	if (r == -EINVAL)
		*ret_mistakes = text;
	else
		free(text);
	return r;
}
