/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "instance-internal.h"
#include "monotonic.h"
#include "schema-reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { KNOWN_FLAGS = MTLSD_CONCURRENT | MTLSD_BLOCKING | MTLSD_FILTER | MTLSD_STREAM_BODY | MTLSD_OVERLAP };

static bool
is_plugin_name(const char *name)
{
	return name != NULL && name[0] >= 'a' && name[0] <= 'z' && strlen(name) <= 31 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(name);
}

/* Everything in the descriptor is data of a stranger: numbers first, then pointers. */
static int
check_descriptor(const mtlsd_plugin *descriptor, const char *path, struct error *error)
{
	if (descriptor->magic != MTLSD_MAGIC)
		return error_set(error, -ENOEXEC,
				 "%s: the descriptor does not begin with MTLSD_MAGIC; use MTLSD_PLUGIN_HEAD", path);
	if (descriptor->abi_major != MTLSD_ABI_MAJOR)
		return error_set(error, -ENOEXEC,
				 "%s was built for plugin ABI %u.%u, this daemon speaks %d.x; rebuild it", path,
				 descriptor->abi_major, descriptor->abi_minor, MTLSD_ABI_MAJOR);
	if (descriptor->abi_minor > MTLSD_ABI_MINOR)
		return error_set(
			error, -ENOEXEC,
			"%s needs plugin ABI %u.%u, this daemon has %d.%d; upgrade mtlsd or rebuild the plugin", path,
			descriptor->abi_major, descriptor->abi_minor, MTLSD_ABI_MAJOR, MTLSD_ABI_MINOR);
	/* 1.0 is the oldest there is; a later daemon accepts the sizes of older minors here. */
	if (descriptor->size < sizeof(mtlsd_plugin))
		return error_set(error, -ENOEXEC, "%s: the descriptor has %u bytes, ABI %d.%d has %zu", path,
				 descriptor->size, MTLSD_ABI_MAJOR, MTLSD_ABI_MINOR, sizeof(mtlsd_plugin));
	if (!is_plugin_name(descriptor->name))
		return error_set(error, -ENOEXEC,
				 "%s: the descriptor's name is not [a-z][a-z0-9_-]* of at most 31 bytes", path);
	if ((descriptor->flags & ~(uint32_t) KNOWN_FLAGS) != 0)
		return error_set(error, -ENOEXEC, "%s: plugin %s sets flag 0x%x, which this daemon does not know", path,
				 descriptor->name, descriptor->flags & ~(uint32_t) KNOWN_FLAGS);
	if (descriptor->reserved != 0)
		return error_set(error, -ENOEXEC, "%s: plugin %s sets the reserved word of its descriptor", path,
				 descriptor->name);
	if (descriptor->request == NULL)
		return error_set(error, -ENOEXEC, "%s: plugin %s has no request callback", path, descriptor->name);
	if ((descriptor->flags & MTLSD_STREAM_BODY) != 0 && descriptor->body == NULL)
		return error_set(error, -ENOEXEC, "%s: plugin %s sets MTLSD_STREAM_BODY without a body callback", path,
				 descriptor->name);
	struct error why = {0};
	if (settings_check_options(descriptor->options, &why) < 0)
		return error_set(error, -ENOEXEC, "%s: plugin %s: %s", path, descriptor->name, why.text);
	return 0;
}

/* Reads the settings and asks the plugin's check. Runs with the plugin mapped. */
static int
read_settings(struct instance *instance, const char *file, const struct yaml_node *node, const mtlsd_host *host,
	      struct settings **ret, struct error *error)
{
	struct schema_reader *reader = NULL;
	CLEANUP(settings_free) struct settings *settings = NULL;

	int r = schema_reader_new(file != NULL ? file : "configuration", NULL, &reader);
	if (r < 0)
		return error_set(error, r, "out of memory");
	char place[64];
	snprintf(place, sizeof(place), "config of plugin %s", instance->plugin);
	(void) schema_reader_enter_key(reader, place);
	r = settings_read(reader, instance->descriptor->options, node, &settings);
	if (r < 0) {
		size_t mistakes = schema_mistake_count(reader);
		error_set(error, r, "%s%s", mistakes > 0 ? schema_mistake_text(reader, 0) : strerror(-r),
			  mistakes > 1 ? " (and more)" : "");
	}
	schema_reader_free(&reader);
	if (r < 0)
		return r;
	if (instance->descriptor->check != NULL) {
		struct instance_call call;
		char why[200] = "";
		r = instance_call_exclusive(instance, &call);
		if (r < 0)
			return instance_busy(instance, error);
		r = instance->descriptor->check(host, (const mtlsd_config *) settings, why, sizeof(why));
		instance_call_end(&call);
		if (r < 0) {
			why[sizeof(why) - 1] = '\0';
			return error_set(error, -EINVAL, "%s:%d:%d: plugin %s refuses its settings: %s",
					 file != NULL ? file : "configuration", node != NULL ? node->line : 1,
					 node != NULL ? node->column : 1, instance->plugin,
					 why[0] != '\0' ? why : strerror(-r));
		}
	}
	*ret = STEAL(settings);
	return 0;
}

/* Up to a mapped plugin with checked settings. */
static int
instance_load(const struct instance_options *options, const mtlsd_host *host, struct instance **ret,
	      struct error *error)
{
	bool unique = false, allow_unique = false;
	int r = image_inspect(options->image, MTLSD_SYMBOL, options->imports_allowed, options->imports_allowed_count,
			      &unique, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < options->imports_allowed_count; i++)
		allow_unique |= strcmp(options->imports_allowed[i], INSTANCE_ALLOW_UNIQUE) == 0;
	if (unique && !allow_unique)
		return error_set(
			error, -ENOEXEC,
			"%s has STB_GNU_UNIQUE symbols: instances would share their statics and could not be unloaded; "
			"compile it with -fno-gnu-unique, or allow it with imports_allowed: [" INSTANCE_ALLOW_UNIQUE
			"]",
			image_path(options->image));

	CLEANUP(instance_cleanup) struct instance *instance = NULL;
	r = instance_new(options, &instance);
	if (r < 0)
		return error_set(error, r,
				 "no memory space for plugin %s: %s (is RLIMIT_AS or the number of plugins too tight?)",
				 options->plugin, strerror(-r));
	const void *descriptor = NULL;
	r = image_map(options->image, instance->space, options->directory, options->plugin, options->number,
		      MTLSD_SYMBOL, &instance->mapping, &descriptor, error);
	if (r < 0)
		return r;
	scope_space_set_image(instance->space, instance->mapping.start, instance->mapping.end);
	if (instance->mapping.end - (uintptr_t) descriptor < sizeof(mtlsd_plugin))
		return error_set(error, -ENOEXEC, "%s: the descriptor does not lie inside the image",
				 image_path(options->image));
	r = check_descriptor(descriptor, image_path(options->image), error);
	if (r < 0)
		return r;
	instance->descriptor = descriptor;
	r = read_settings(instance, options->file, options->settings, host, &instance->settings, error);
	if (r < 0)
		return r;
	*ret = STEAL(instance);
	return 0;
}

static int
instance_init(struct instance *instance, const struct instance_options *options, const mtlsd_host *host,
	      struct error *error)
{
	const mtlsd_plugin *descriptor = instance->descriptor;
	struct instance_call call;
	char why[200] = "";
	int r = 0;

	if ((descriptor->flags & MTLSD_BLOCKING) != 0) {
		r = pool_new(instance->plugin, options->threads, options->queue, &instance->pool);
		if (r < 0)
			return error_set(error, r, "plugin %s: cannot start its pool of %u threads: %s",
					 instance->plugin, options->threads, strerror(-r));
	}
	if (descriptor->init != NULL) {
		r = instance_call_exclusive(instance, &call); /* nobody else knows the instance yet: never busy */
		assert(r == 0);
		r = descriptor->init(host, (mtlsd_instance *) instance, (const mtlsd_config *) instance->settings,
				     &instance->user, why, sizeof(why));
		instance_call_end(&call);
	}
	why[sizeof(why) - 1] = '\0';
	if (r < 0)
		return error_set(error, -ECANCELED, "plugin %s does not start: %s", instance->plugin,
				 why[0] != '\0' ? why : strerror(-r));
	instance->initialised = true;
	return instance_health(instance, error);
}

/* init of a stranger may hang: it runs on a thread of its own, and whoever started it waits no longer than it must. */
struct starter {
	pthread_mutex_t lock;
	pthread_cond_t done_signal;
	bool done, abandoned;
	struct instance *instance;
	struct instance_options options;
	const mtlsd_host *host;
	struct error error;
	int result;
};

static void
starter_free(struct starter *starter)
{
	pthread_cond_destroy(&starter->done_signal);
	pthread_mutex_destroy(&starter->lock);
	free(starter);
}

static void *
starter_thread(void *arg)
{
	struct starter *starter = arg;

	starter->result = instance_init(starter->instance, &starter->options, starter->host, &starter->error);
	pthread_mutex_lock(&starter->lock);
	starter->done = true;
	bool abandoned = starter->abandoned;
	pthread_cond_signal(&starter->done_signal);
	pthread_mutex_unlock(&starter->lock);
	if (abandoned) {
		/* Nobody waits for the result; if it cannot be taken down it stays mapped, which harms nobody. */
		if (instance_end(&starter->instance, 0, NULL) < 0)
			starter->instance = NULL;
		starter_free(starter);
	}
	return NULL;
}

static int
starter_wait(struct starter *starter, uint64_t timeout)
{
	struct timespec until = monotonic_in(timeout);
	int r = 0;
	pthread_mutex_lock(&starter->lock);
	while (!starter->done && r == 0)
		r = pthread_cond_timedwait(&starter->done_signal, &starter->lock, &until);
	starter->abandoned = !starter->done;
	pthread_mutex_unlock(&starter->lock);
	return starter->abandoned ? -ETIMEDOUT : 0;
}

int
instance_start(const struct instance_options *options, const mtlsd_host *host, struct instance **ret,
	       struct error *error)
{
	CLEANUP(instance_cleanup) struct instance *instance = NULL;
	int r = instance_load(options, host, &instance, error);
	if (r < 0)
		return r;
	struct starter *starter = calloc(1, sizeof(*starter));
	if (starter == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&starter->done_signal, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&starter->lock, NULL);
	starter->options = *options;
	starter->host = host;
	starter->instance = STEAL(instance);
	pthread_t thread;
	r = -pthread_create(&thread, NULL, starter_thread, starter);
	if (r < 0) {
		instance = starter->instance;
		starter_free(starter);
		return error_set(error, r, "cannot start a thread: %s", strerror(-r));
	}
	if (starter_wait(starter, options->start_timeout) < 0) {
		pthread_detach(thread);
		return error_set(error, -ETIMEDOUT, "plugin %s did not start within %.1f s (start_timeout)",
				 options->plugin, (double) options->start_timeout / 1e6);
	}
	pthread_join(thread, NULL);
	instance = starter->instance;
	r = starter->result;
	if (r < 0) {
		error_set(error, r, "%s", starter->error.text);
		if (instance_end(&instance, 1000000, NULL) < 0)
			instance = NULL; /* left threads behind: stays mapped rather than crash */
	} else {
		*ret = STEAL(instance);
	}
	starter_free(starter);
	return r;
}

int
instance_check(const struct instance_options *options, const mtlsd_host *host, struct error *error)
{
	CLEANUP(instance_cleanup) struct instance *instance = NULL;
	return instance_load(options, host, &instance, error);
}

int
instance_reconfigure(struct instance *instance, const char *file, const struct yaml_node *node, const mtlsd_host *host,
		     struct error *error)
{
	CLEANUP(settings_free) struct settings *settings = NULL;
	struct instance_call call;
	char why[200] = "";

	if (instance->descriptor->reconfigure == NULL)
		return -EOPNOTSUPP;
	int r = read_settings(instance, file, node, host, &settings, error);
	if (r < 0)
		return r;
	r = instance_call_exclusive(instance, &call);
	if (r < 0)
		return instance_busy(instance, error);
	r = instance->descriptor->reconfigure(instance->user, (const mtlsd_config *) settings, why, sizeof(why));
	instance_call_end(&call);
	why[sizeof(why) - 1] = '\0';
	if (r == -EOPNOTSUPP)
		return r;
	if (r < 0)
		return error_set(error, -EINVAL, "plugin %s refuses its new settings: %s", instance->plugin,
				 why[0] != '\0' ? why : strerror(-r));
	struct settings *old = instance->settings;
	instance->settings = STEAL(settings);
	settings = old; /* released at return */
	return 0;
}
