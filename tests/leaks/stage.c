/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stage.h"

#include "config.h"
#include "deadline.h"
#include "host.h"
#include "supervisor.h"
#include "symbol.h"
#include "timeline.h"
#include "yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	DEADLINE = 2000000, /* of requests, microseconds */
	START = 60000000,
	ROUTES = 2,
};

struct stage {
	struct plugin *plugin;
	struct instance *instance;
	struct config config;
	struct config_plugin config_plugin;
	struct config_rule rule;
	struct config_route routes[ROUTES];
	struct request_service *service;
	struct deadline_wheel *wheel;
	struct symbol_resolver *resolver;
	uint64_t began;
	char folder[32];
};

static struct stage stage_only;

/* --- what the linker leads here ---------------------------------------------------------------------------------- */

struct plugin *
supervisor_plugin(struct supervisor *supervisor UNUSED, const char *name UNUSED)
{
	return stage_only.plugin;
}

int __real_deadline_wheel_new(uint64_t (*clock)(void), struct deadline_wheel **ret);
int __wrap_deadline_wheel_new(uint64_t (*clock)(void), struct deadline_wheel **ret);
void __wrap_pool_push(struct pool *pool, struct pool_job *job);
uint64_t __wrap_instance_began(const struct instance *instance);

int
__wrap_deadline_wheel_new(uint64_t (*clock)(void) UNUSED, struct deadline_wheel **ret)
{
	int r = __real_deadline_wheel_new(timeline_now, ret);

	if (r == 0)
		stage_only.wheel = *ret;
	return r;
}

void
__wrap_pool_push(struct pool *pool UNUSED, struct pool_job *job)
{
	job->work(job);
}

uint64_t
__wrap_instance_began(const struct instance *instance UNUSED)
{
	return stage_only.began;
}

/* --- the plugin -------------------------------------------------------------------------------------------------- */

static int
read_settings(const char *settings, struct yaml_node **ret, struct error *error)
{
	char text[256];

	(void) snprintf(text, sizeof(text), "{%s}", settings);
	return yaml_read("settings", text, strlen(text), ret, error);
}

static int
start(struct stage *stage, const char *file, const char *settings, struct error *error)
{
	CLEANUP(yaml_release) struct yaml_node *node = NULL;
	struct image *image = NULL;

	int r = image_read(file, &image, error);
	if (r == 0)
		r = read_settings(settings, &node, error);
	if (r < 0)
		return r;
	const struct instance_options options = {
		.plugin = plugin_name(stage->plugin),
		.number = 1,
		.image = image,
		.directory = stage->folder,
		.file = "settings",
		.settings = node,
		.foreign = plugin_foreign(stage->plugin),
		.threads = 1,
		.queue = 4,
		.start_timeout = START,
	};
	r = instance_start(&options, host_table(), &stage->instance, error);
	/* The mapping is loaded; its name has served. */
	if (r == 0)
		(void) unlink(instance_mapping(stage->instance)->name);
	(void) rmdir(stage->folder);
	return r;
}

static void
set_config(struct stage *stage)
{
	static char *const no_strings[1];

	stage->config_plugin = (struct config_plugin){.name = (char *) "plugin", .enabled = true, .deadline = DEADLINE};
	stage->rule.any = true;
	for (unsigned i = 0; i < ROUTES; i++) {
		stage->routes[i] = (struct config_route){
			.name = (char *) (i == 0 ? "main" : "special"),
			.prefix = (char *) (i == 0 ? "/" : "/special/"),
			.methods = {(char **) no_strings, 0},
			.allow = &stage->rule,
			.allow_count = 1,
			.handler = &stage->config_plugin,
			.index = i,
		};
	}
	stage->config.limits.body_size = 1 << 20;
	stage->config.plugins = &stage->config_plugin;
	stage->config.plugin_count = 1;
	stage->config.routes = stage->routes;
	stage->config.route_count = ROUTES;
}

struct stage *
stage_open(const char *file, const char *settings)
{
	struct stage *stage = &stage_only;
	struct error error = {0};

	stage->began = timeline_now();
	set_config(stage);
	(void) snprintf(stage->folder, sizeof(stage->folder), "/tmp/mtlsd-leaks-XXXXXX");
	if (mkdtemp(stage->folder) == NULL || plugin_new("plugin", &stage->plugin) < 0 ||
	    request_service_new(NULL, &stage->service) < 0 ||
	    request_service_apply(stage->service, &stage->config) < 0) {
		(void) fprintf(stderr, "%s: no memory or no /tmp for a stage\n", file);
		return NULL;
	}
	if (start(stage, file, settings, &error) < 0) {
		(void) fprintf(stderr, "%s\n", error.text);
		return NULL;
	}
	(void) plugin_switch(stage->plugin, stage->instance);
	timeline_settle(scope_space_threads(instance_space(stage->instance)));
	const struct image_mapping *mapping = instance_mapping(stage->instance);
	if (symbol_resolver_new(mapping->fd, mapping->start, mapping->end, file, &stage->resolver) < 0) {
		(void) fprintf(stderr, "%s: no names\n", file);
		return NULL;
	}
	return stage;
}

int
stage_reload(struct stage *stage, const char *settings)
{
	CLEANUP(yaml_release) struct yaml_node *node = NULL;
	struct error error = {0};

	int r = read_settings(settings, &node, &error);
	if (r == 0)
		r = instance_reconfigure(stage->instance, "settings", node, host_table(), &error);
	if (r < 0)
		(void) fprintf(stderr, "reload: %s\n", error.text);
	return r;
}

struct plugin *
stage_plugin(struct stage *stage)
{
	return stage->plugin;
}

struct instance *
stage_instance(struct stage *stage)
{
	return stage->instance;
}

struct request_service *
stage_service(struct stage *stage)
{
	return stage->service;
}

void
stage_turn(struct stage *stage)
{
	deadline_wheel_turn(stage->wheel);
}

const char *
stage_function(struct stage *stage, uintptr_t site)
{
	struct symbol symbol;

	static char name[64];

	symbol_resolve(stage->resolver, site, &symbol);
	/* A copy the compiler made for one caller is the same function: "keep_word.constprop.0". */
	(void) snprintf(name, sizeof(name), "%.*s", symbol.function != NULL ? (int) strcspn(symbol.function, ".") : 1,
			symbol.function != NULL ? symbol.function : "?");
	return name;
}

uint64_t
stage_site_bytes(struct stage *stage, const char *function)
{
	struct heap_profile *profile = NULL;
	uint64_t bytes = 0;

	if (function[0] == '\0' || heap_profile_take(scope_space_own(instance_space(stage->instance)), 0, &profile) < 0)
		return 0;
	for (size_t i = 0; i < profile->count; i++) {
		if (strcmp(stage_function(stage, profile->sites[i].site), function) == 0)
			bytes += profile->sites[i].bytes;
	}
	heap_profile_free(&profile);
	return bytes;
}
