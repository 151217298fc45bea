/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "instance.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* How long a control callback waits for others to leave, in microseconds. */
enum { EXCLUSIVE_WAIT = 5000000 };

enum { KNOWN_FLAGS = MTLSD_CONCURRENT | MTLSD_BLOCKING | MTLSD_FILTER | MTLSD_STREAM_BODY | MTLSD_OVERLAP };

static const char busy_inside[] = "plugin %s does not return from a callback; restart it (mtlsctl restart)";

struct counter {
	char name[48], help[120];
};

struct instance {
	char plugin[32];
	uint64_t number, started;
	struct image_mapping mapping;
	struct scope_space *space;
	const mtlsd_plugin *descriptor;
	struct settings *settings;
	void *user;
	struct pool *pool;
	bool initialised, finished; /* init succeeded; fini was called */

	pthread_mutex_t alone;   /* recursive; serialises every callback without MTLSD_CONCURRENT */
	pthread_mutex_t control; /* one control callback at a time */
	/* With MTLSD_CONCURRENT: readers take the lock of their thread's stripe, a control callback takes all. */
	struct {
		_Alignas(64) pthread_rwlock_t lock;
	} shares[STATS_STRIPES];

	atomic_uint_fast64_t log_second, log_count;

	pthread_mutex_t counter_lock; /* guards registration */
	atomic_int counter_count;
	struct counter counters[INSTANCE_COUNTERS];
	struct stats *counts;
};

static _Thread_local struct instance_call *innermost;

/* --- calls ------------------------------------------------------------------------------------------------------- */

static bool
is_inside(const struct instance *instance)
{
	for (const struct instance_call *call = innermost; call != NULL; call = call->outer) {
		if (call->instance == instance)
			return true;
	}
	return false;
}

static bool
is_concurrent(const struct instance *instance)
{
	return (instance->descriptor->flags & MTLSD_CONCURRENT) != 0;
}

static void
call_enter(struct instance *instance, struct instance_call *call, struct scope_booking *booking)
{
	call->instance = instance;
	call->outer = innermost;
	innermost = call;
	scope_enter(&call->frame, instance->space, booking);
}

void
instance_call_begin(struct instance *instance, struct instance_call *call, struct scope_booking *booking)
{
	call->exclusive = false;
	call->nested = is_inside(instance);
	call->stripe = stats_stripe();
	if (!call->nested) {
		if (is_concurrent(instance))
			pthread_rwlock_rdlock(&instance->shares[call->stripe].lock);
		else
			pthread_mutex_lock(&instance->alone);
	}
	call_enter(instance, call, booking);
}

static struct timespec
in_a_while(uint64_t microseconds)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += (time_t) (microseconds / 1000000);
	at.tv_nsec += (long) (microseconds % 1000000) * 1000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

static void
unlock_shares(struct instance *instance, size_t count)
{
	for (size_t i = 0; i < count; i++)
		pthread_rwlock_unlock(&instance->shares[i].lock);
}

/* Keeps every other callback out. */
static int
lock_out(struct instance *instance)
{
	struct timespec until = in_a_while(EXCLUSIVE_WAIT);
	int r = pthread_mutex_clocklock(&instance->control, CLOCK_MONOTONIC, &until);
	if (r != 0 || (instance->descriptor->flags & MTLSD_OVERLAP) != 0)
		return -r;
	if (!is_concurrent(instance)) {
		r = pthread_mutex_clocklock(&instance->alone, CLOCK_MONOTONIC, &until);
	} else {
		for (size_t i = 0; r == 0 && i < STATS_STRIPES; i++) {
			r = pthread_rwlock_clockwrlock(&instance->shares[i].lock, CLOCK_MONOTONIC, &until);
			if (r != 0)
				unlock_shares(instance, i);
		}
	}
	if (r != 0)
		pthread_mutex_unlock(&instance->control);
	return -r;
}

int
instance_call_exclusive(struct instance *instance, struct instance_call *call)
{
	call->exclusive = true;
	call->nested = is_inside(instance);
	int r = call->nested ? 0 : lock_out(instance);
	if (r == 0)
		call_enter(instance, call, NULL);
	return r;
}

void
instance_call_end(struct instance_call *call)
{
	struct instance *instance = call->instance;

	scope_leave(&call->frame);
	innermost = call->outer;
	if (call->nested)
		return;
	if (!call->exclusive) {
		if (is_concurrent(instance))
			pthread_rwlock_unlock(&instance->shares[call->stripe].lock);
		else
			pthread_mutex_unlock(&instance->alone);
		return;
	}
	if ((instance->descriptor->flags & MTLSD_OVERLAP) != 0)
		;
	else if (is_concurrent(instance))
		unlock_shares(instance, STATS_STRIPES);
	else
		pthread_mutex_unlock(&instance->alone);
	pthread_mutex_unlock(&instance->control);
}

/* --- start ------------------------------------------------------------------------------------------------------- */

static void
instance_destroy(struct instance *instance)
{
	if (instance == NULL)
		return;
	pool_free(&instance->pool);
	if (instance->mapping.handle != NULL)
		(void) image_unmap(&instance->mapping, instance->space);
	image_mapping_clear(&instance->mapping);
	scope_space_free(&instance->space);
	settings_free(&instance->settings);
	stats_free(&instance->counts);
	pthread_mutex_destroy(&instance->alone);
	pthread_mutex_destroy(&instance->control);
	pthread_mutex_destroy(&instance->counter_lock);
	for (size_t i = 0; i < STATS_STRIPES; i++)
		pthread_rwlock_destroy(&instance->shares[i].lock);
	free(instance);
}

static void
instance_cleanup(struct instance **instance)
{
	instance_destroy(*instance);
	*instance = NULL;
}

static int
instance_new(const struct instance_options *options, struct instance **ret)
{
	struct instance *instance = aligned_alloc(64, (sizeof(*instance) + 63) / 64 * 64);
	if (instance == NULL)
		return -ENOMEM;
	memset(instance, 0, sizeof(*instance));
	snprintf(instance->plugin, sizeof(instance->plugin), "%s", options->plugin);
	instance->number = options->number;
	instance->mapping.fd = -1;
	instance->started = (uint64_t) time(NULL);
	pthread_mutexattr_t recursive;
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&instance->alone, &recursive);
	pthread_mutexattr_destroy(&recursive);
	pthread_mutex_init(&instance->control, NULL);
	pthread_mutex_init(&instance->counter_lock, NULL);
	for (size_t i = 0; i < STATS_STRIPES; i++)
		pthread_rwlock_init(&instance->shares[i].lock, NULL);
	int r = stats_new(INSTANCE_COUNTERS, &instance->counts);
	if (r == 0)
		r = scope_space_new(options->plugin, options->number, options->foreign, &options->limits, &instance->space);
	if (r < 0) {
		instance_destroy(instance);
		return r;
	}
	*ret = instance;
	return 0;
}

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
		return error_set(error, -ENOEXEC, "%s: the descriptor does not begin with MTLSD_MAGIC; use MTLSD_PLUGIN_HEAD",
				 path);
	if (descriptor->abi_major != MTLSD_ABI_MAJOR)
		return error_set(error, -ENOEXEC, "%s was built for plugin ABI %u.%u, this daemon speaks %d.x; rebuild it", path,
				 descriptor->abi_major, descriptor->abi_minor, MTLSD_ABI_MAJOR);
	if (descriptor->abi_minor > MTLSD_ABI_MINOR)
		return error_set(error, -ENOEXEC,
				 "%s needs plugin ABI %u.%u, this daemon has %d.%d; upgrade mtlsd or rebuild the plugin", path,
				 descriptor->abi_major, descriptor->abi_minor, MTLSD_ABI_MAJOR, MTLSD_ABI_MINOR);
	/* 1.0 is the oldest there is; a later daemon accepts the sizes of older minors here. */
	if (descriptor->size < sizeof(mtlsd_plugin))
		return error_set(error, -ENOEXEC, "%s: the descriptor has %u bytes, ABI %d.%d has %zu", path, descriptor->size,
				 MTLSD_ABI_MAJOR, MTLSD_ABI_MINOR, sizeof(mtlsd_plugin));
	if (!is_plugin_name(descriptor->name))
		return error_set(error, -ENOEXEC, "%s: the descriptor's name is not [a-z][a-z0-9_-]* of at most 31 bytes", path);
	if ((descriptor->flags & ~(uint32_t) KNOWN_FLAGS) != 0)
		return error_set(error, -ENOEXEC, "%s: plugin %s sets flag 0x%x, which this daemon does not know", path,
				 descriptor->name, descriptor->flags & ~(uint32_t) KNOWN_FLAGS);
	if (descriptor->reserved != 0)
		return error_set(error, -ENOEXEC, "%s: plugin %s sets the reserved word of its descriptor", path, descriptor->name);
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
			return error_set(error, r, busy_inside, instance->plugin);
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
instance_load(const struct instance_options *options, const mtlsd_host *host, struct instance **ret, struct error *error)
{
	bool unique = false, allow_unique = false;
	int r = image_inspect(options->image, MTLSD_SYMBOL, options->imports_allowed, options->imports_allowed_count,
			      &unique, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < options->imports_allowed_count; i++)
		allow_unique |= strcmp(options->imports_allowed[i], INSTANCE_ALLOW_UNIQUE) == 0;
	if (unique && !allow_unique)
		return error_set(error, -ENOEXEC,
				 "%s has STB_GNU_UNIQUE symbols: instances would share their statics and could not be unloaded; "
				 "compile it with -fno-gnu-unique, or allow it with imports_allowed: [" INSTANCE_ALLOW_UNIQUE "]",
				 image_path(options->image));

	CLEANUP(instance_cleanup) struct instance *instance = NULL;
	r = instance_new(options, &instance);
	if (r < 0)
		return error_set(error, r,
				 "no memory space for plugin %s: %s (is RLIMIT_AS or the number of plugins too tight?)",
				 options->plugin, strerror(-r));
	const void *descriptor = NULL;
	r = image_map(options->image, instance->space, options->directory, options->plugin, options->number, MTLSD_SYMBOL,
		      &instance->mapping, &descriptor, error);
	if (r < 0)
		return r;
	scope_space_set_image(instance->space, instance->mapping.start, instance->mapping.end);
	if (instance->mapping.end - (uintptr_t) descriptor < sizeof(mtlsd_plugin))
		return error_set(error, -ENOEXEC, "%s: the descriptor does not lie inside the image", image_path(options->image));
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
			return error_set(error, r, "plugin %s: cannot start its pool of %u threads: %s", instance->plugin,
					 options->threads, strerror(-r));
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
	struct timespec until = in_a_while(timeout);
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
		return error_set(error, -ETIMEDOUT, "plugin %s did not start within %.1f s (start_timeout)", options->plugin,
				 (double) options->start_timeout / 1e6);
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

/* --- control callbacks ------------------------------------------------------------------------------------------- */

int
instance_health(struct instance *instance, struct error *error)
{
	struct instance_call call;
	char why[200] = "";

	if (instance->descriptor->health == NULL)
		return 0;
	int r = instance_call_exclusive(instance, &call);
	if (r < 0)
		return error_set(error, r, busy_inside, instance->plugin);
	r = instance->descriptor->health(instance->user, why, sizeof(why));
	instance_call_end(&call);
	why[sizeof(why) - 1] = '\0';
	if (r < 0)
		return error_set(error, -EHOSTDOWN, "plugin %s is not healthy: %s", instance->plugin,
				 why[0] != '\0' ? why : strerror(-r));
	return 0;
}

int
instance_reconfigure(struct instance *instance, const char *file, const struct yaml_node *node,
		     const mtlsd_host *host, struct error *error)
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
		return error_set(error, r, busy_inside, instance->plugin);
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

int
instance_evict(struct instance *instance, uint64_t target, mtlsd_level level, uint64_t *ret_claimed)
{
	struct instance_call call;

	if (instance->descriptor->evict == NULL)
		return -EOPNOTSUPP;
	int r = instance_call_exclusive(instance, &call);
	if (r < 0)
		return r;
	uint64_t claimed = instance->descriptor->evict(instance->user, target, level);
	instance_call_end(&call);
	*ret_claimed = claimed;
	return 0;
}

int
instance_dump(struct instance *instance, mtlsd_dump *dump)
{
	struct instance_call call;

	if (instance->descriptor->dump == NULL)
		return -EOPNOTSUPP;
	int r = instance_call_exclusive(instance, &call);
	if (r < 0)
		return r;
	instance->descriptor->dump(instance->user, dump);
	instance_call_end(&call);
	return 0;
}

/* --- log --------------------------------------------------------------------------------------------------------- */

bool
instance_admit_log(struct instance *instance)
{
	enum { A_SECOND = 200 };
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	uint64_t second = (uint64_t) now.tv_sec;
	if (atomic_exchange(&instance->log_second, second) != second)
		atomic_store(&instance->log_count, 0);
	return atomic_fetch_add(&instance->log_count, 1) < A_SECOND;
}

/* --- counters ---------------------------------------------------------------------------------------------------- */

int
instance_counter(struct instance *instance, const char *name, const char *help)
{
	if (name == NULL || name[0] < 'a' || name[0] > 'z' || strlen(name) >= sizeof(instance->counters[0].name) ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name))
		return -EINVAL;
	pthread_mutex_lock(&instance->counter_lock);
	int count = atomic_load(&instance->counter_count), r = -ENOSPC;
	for (int i = 0; i < count; i++) {
		if (strcmp(instance->counters[i].name, name) == 0)
			r = i;
	}
	if (r < 0 && count < INSTANCE_COUNTERS) {
		snprintf(instance->counters[count].name, sizeof(instance->counters[count].name), "%s", name);
		snprintf(instance->counters[count].help, sizeof(instance->counters[count].help), "%s",
			 help != NULL ? help : "");
		atomic_store(&instance->counter_count, count + 1);
		r = count;
	}
	pthread_mutex_unlock(&instance->counter_lock);
	return r;
}

void
instance_count(struct instance *instance, int counter, uint64_t add)
{
	if (counter >= 0 && counter < atomic_load_explicit(&instance->counter_count, memory_order_relaxed))
		stats_add(instance->counts, (size_t) counter, add);
}

const char *
instance_counter_name(const struct instance *instance, int counter)
{
	return counter < atomic_load(&instance->counter_count) ? instance->counters[counter].name : NULL;
}

uint64_t
instance_counter_value(const struct instance *instance, int counter)
{
	return stats_sum(instance->counts, (size_t) counter);
}

/* --- end --------------------------------------------------------------------------------------------------------- */

/* Plugin threads end when they end; there is no event for it, so look every few milliseconds. */
static bool
threads_ended(const struct instance *instance, uint64_t grace)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	for (uint64_t waited = 0; scope_space_threads(instance->space) > 0; waited += 2000) {
		if (waited >= grace)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

int
instance_end(struct instance **instancep, uint64_t grace, struct error *error)
{
	struct instance *instance = *instancep;
	if (instance == NULL)
		return 0;
	pool_free(&instance->pool);
	if (instance->initialised && !instance->finished) {
		struct instance_call call;
		int r = instance_call_exclusive(instance, &call);
		if (r < 0)
			return error_set(error, -EBUSY, busy_inside, instance->plugin);
		instance->finished = true;
		if (instance->descriptor->fini != NULL)
			instance->descriptor->fini(instance->user);
		instance_call_end(&call);
	}
	if (!threads_ended(instance, grace))
		return error_set(error, -EBUSY, "%u of its threads still run after fini",
				 scope_space_threads(instance->space));
	if (instance->mapping.handle != NULL)
		(void) image_unmap(&instance->mapping, instance->space);
	if (!image_gone(&instance->mapping))
		return error_set(error, -EBUSY,
				 "its image is still mapped after dlclose (thread-local destructors pending or unique symbols)");
	*instancep = NULL;
	instance_destroy(instance);
	return 0;
}

/* --- getters ----------------------------------------------------------------------------------------------------- */

const char *
instance_plugin(const struct instance *instance)
{
	return instance->plugin;
}

uint64_t
instance_number(const struct instance *instance)
{
	return instance->number;
}

const mtlsd_plugin *
instance_descriptor(const struct instance *instance)
{
	return instance->descriptor;
}

void *
instance_user(const struct instance *instance)
{
	return instance->user;
}

struct scope_space *
instance_space(const struct instance *instance)
{
	return instance->space;
}

const struct image_mapping *
instance_mapping(const struct instance *instance)
{
	return &instance->mapping;
}

struct pool *
instance_pool(const struct instance *instance)
{
	return instance->pool;
}

uint64_t
instance_started(const struct instance *instance)
{
	return instance->started;
}

const struct settings *
instance_settings(const struct instance *instance)
{
	return instance->settings;
}
