/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "instance-internal.h"
#include "monotonic.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void
instance_destroy(struct instance *instance)
{
	if (instance == NULL)
		return;
	pool_free(&instance->pool);
	if (atomic_load(&instance->observed) && instance->observer.release != NULL)
		instance->observer.release(instance->observer.ctx);
	if (instance->exposure != NULL)
		exposure_end(instance->exposure);
	exposure_release(&instance->exposure);
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

void
instance_cleanup(struct instance **instance)
{
	instance_destroy(*instance);
	*instance = NULL;
}

int
instance_new(const struct instance_options *options, struct instance **ret)
{
	struct instance *instance = aligned_alloc(64, (sizeof(*instance) + 63) / 64 * 64);
	if (instance == NULL)
		return -ENOMEM;
	memset(instance, 0, sizeof(*instance));
	snprintf(instance->plugin, sizeof(instance->plugin), "%s", options->plugin);
	instance->number = options->number;
	instance->nonces = options->nonces;
	instance->mapping.fd = -1;
	instance->started = (uint64_t) time(NULL);
	instance->began = monotonic_now();
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
		r = exposure_new(&instance->exposure);
	if (r == 0)
		r = scope_space_new(options->plugin, options->number, options->foreign, &options->limits,
				    &instance->space);
	if (r == 0)
		heap_set_sampling(scope_space_own(instance->space), options->sample_interval);
	if (r < 0) {
		instance_destroy(instance);
		return r;
	}
	*ret = instance;
	return 0;
}

/* --- log --------------------------------------------------------------------------------------------------------- */

bool
instance_admit_log(struct instance *instance)
{
	enum { A_SECOND = 200 };

	return throttle_admit(&instance->log, A_SECOND);
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

/* --- signals ----------------------------------------------------------------------------------------------------- */

void
instance_set_observer(struct instance *instance, const struct instance_observer *observer)
{
	assert(!atomic_load(&instance->observed));
	instance->observer = *observer;
	atomic_store_explicit(&instance->observed, true, memory_order_release);
}

const struct instance_observer *
instance_observer(const struct instance *instance)
{
	return atomic_load_explicit(&instance->observed, memory_order_acquire) ? &instance->observer : NULL;
}

struct exposure *
instance_exposure(const struct instance *instance)
{
	return instance->exposure;
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
			return instance_busy(instance, error);
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
		return error_set(
			error, -EBUSY,
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

struct nonces *
instance_nonces(const struct instance *instance)
{
	return instance->nonces;
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

uint64_t
instance_began(const struct instance *instance)
{
	return instance->began;
}

const struct settings *
instance_settings(const struct instance *instance)
{
	return instance->settings;
}
