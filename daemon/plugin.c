/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugin.h"

#include "monotonic.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct plugin {
	char name[32];
	struct heap *foreign;
	struct stats *stats;
	struct breaker *breaker;
	struct nonces *nonces;
	_Atomic(struct instance *) serving;   /* the same as the stripes' current */
	atomic_uint_fast64_t requests_before; /* of PLUGIN_REQUESTS, when it began to serve */
	/* What costs to read, from the last plugin_sample. */
	atomic_uint_fast64_t resident, largest;
	atomic_bool draining; /* somebody waits on `left` */
	pthread_mutex_t drain_lock;
	pthread_cond_t left;
	struct {
		_Alignas(64) pthread_mutex_t lock; /* guards current and visits of this stripe */
		struct instance *current;          /* the same in every stripe, outside plugin_switch */
		struct plugin_visit *visits;
		uint32_t inside; /* visits of requests in the current instance; written under the lock */
	} stripes[STATS_STRIPES];
};

int
plugin_new(const char *name, struct plugin **ret)
{
	char heap_label[64];
	struct plugin *plugin = aligned_alloc(64, (sizeof(*plugin) + 63) / 64 * 64);
	if (plugin == NULL)
		return -ENOMEM;
	memset(plugin, 0, sizeof(*plugin));
	snprintf(plugin->name, sizeof(plugin->name), "%s", name);
	pthread_mutex_init(&plugin->drain_lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&plugin->left, &monotonic);
	pthread_condattr_destroy(&monotonic);
	for (size_t i = 0; i < STATS_STRIPES; i++)
		pthread_mutex_init(&plugin->stripes[i].lock, NULL);
	snprintf(heap_label, sizeof(heap_label), "%s/foreign", plugin->name);
	int r = stats_new(PLUGIN_COUNTERS, &plugin->stats);
	if (r == 0)
		r = breaker_new(&plugin->breaker);
	if (r == 0)
		r = nonces_new(plugin->name, &plugin->nonces);
	if (r == 0)
		r = heap_new(heap_label, &(struct heap_limits){0}, false, &plugin->foreign);
	if (r < 0) {
		plugin_free(&plugin);
		return r;
	}
	*ret = plugin;
	return 0;
}

void
plugin_free(struct plugin **pluginp)
{
	struct plugin *plugin = *pluginp;
	if (plugin == NULL)
		return;
	/* The foreign heap is kept on purpose: libraries may hold pointers into it for the rest of the process's life.
	 */
	stats_free(&plugin->stats);
	breaker_free(&plugin->breaker);
	nonces_free(&plugin->nonces);
	for (size_t i = 0; i < STATS_STRIPES; i++)
		pthread_mutex_destroy(&plugin->stripes[i].lock);
	pthread_cond_destroy(&plugin->left);
	pthread_mutex_destroy(&plugin->drain_lock);
	free(plugin);
	*pluginp = NULL;
}

const char *
plugin_name(const struct plugin *plugin)
{
	return plugin->name;
}

struct heap *
plugin_foreign(const struct plugin *plugin)
{
	return plugin->foreign;
}

struct stats *
plugin_stats(const struct plugin *plugin)
{
	return plugin->stats;
}

struct breaker *
plugin_breaker(const struct plugin *plugin)
{
	return plugin->breaker;
}

struct nonces *
plugin_nonces(const struct plugin *plugin)
{
	return plugin->nonces;
}

/* With the stripe's lock held. Others read without. */
static void
count_inside(struct plugin *plugin, unsigned stripe, int add)
{
	uint32_t *inside = &plugin->stripes[stripe].inside;

	__atomic_store_n(inside, *inside + (uint32_t) add, __ATOMIC_RELAXED);
}

bool
plugin_enter(struct plugin *plugin, struct plugin_visit *visit)
{
	unsigned stripe = stats_stripe();

	pthread_mutex_lock(&plugin->stripes[stripe].lock);
	struct instance *current = plugin->stripes[stripe].current;
	if (current != NULL) {
		visit->plugin = plugin;
		visit->instance = current;
		visit->stripe = stripe;
		visit->next = plugin->stripes[stripe].visits;
		visit->link = &plugin->stripes[stripe].visits;
		if (visit->next != NULL)
			visit->next->link = &visit->next;
		plugin->stripes[stripe].visits = visit;
		if (!visit->reader)
			count_inside(plugin, stripe, 1);
	}
	pthread_mutex_unlock(&plugin->stripes[stripe].lock);
	return current != NULL;
}

void
plugin_leave(struct plugin_visit *visit)
{
	struct plugin *plugin = visit->plugin;

	pthread_mutex_lock(&plugin->stripes[visit->stripe].lock);
	if (visit->instance == plugin->stripes[visit->stripe].current && !visit->reader)
		count_inside(plugin, visit->stripe, -1);
	*visit->link = visit->next;
	if (visit->next != NULL)
		visit->next->link = visit->link;
	visit->instance = NULL;
	pthread_mutex_unlock(&plugin->stripes[visit->stripe].lock);
	if (atomic_load(&plugin->draining)) {
		pthread_mutex_lock(&plugin->drain_lock);
		pthread_cond_broadcast(&plugin->left);
		pthread_mutex_unlock(&plugin->drain_lock);
	}
}

static void
look_flags(struct instance *instance, void *ctx)
{
	*(uint32_t *) ctx = instance != NULL ? instance_descriptor(instance)->flags : 0;
}

uint32_t
plugin_flags(struct plugin *plugin)
{
	uint32_t flags = 0;
	plugin_peek(plugin, look_flags, &flags);
	return flags;
}

void
plugin_peek(struct plugin *plugin, void (*look)(struct instance *, void *ctx), void *ctx)
{
	unsigned stripe = stats_stripe();

	pthread_mutex_lock(&plugin->stripes[stripe].lock);
	look(plugin->stripes[stripe].current, ctx);
	pthread_mutex_unlock(&plugin->stripes[stripe].lock);
}

struct instance *
plugin_switch(struct plugin *plugin, struct instance *instance)
{
	for (size_t i = 0; i < STATS_STRIPES; i++)
		pthread_mutex_lock(&plugin->stripes[i].lock);
	struct instance *before = plugin->stripes[0].current;
	for (size_t i = 0; i < STATS_STRIPES; i++) {
		plugin->stripes[i].current = instance;
		__atomic_store_n(&plugin->stripes[i].inside, 0, __ATOMIC_RELAXED);
	}
	atomic_store(&plugin->serving, instance);
	atomic_store(&plugin->requests_before, stats_sum(plugin->stats, PLUGIN_REQUESTS));
	atomic_store(&plugin->resident, 0);
	atomic_store(&plugin->largest, 0);
	for (size_t i = STATS_STRIPES; i > 0; i--)
		pthread_mutex_unlock(&plugin->stripes[i - 1].lock);
	return before;
}

/* --- signals ----------------------------------------------------------------------------------------------------- */

/* All of a sample but what is slow to read. */
static void
sample_quick(struct plugin *plugin, struct instance *instance, uint64_t now, struct signals_sample *ret)
{
	uint64_t requests = stats_sum(plugin->stats, PLUGIN_REQUESTS), before = atomic_load(&plugin->requests_before);
	uint64_t began = instance_began(instance);
	struct heap_live live = {0};

	exposure_read(instance_exposure(instance), ret);
	ret->exposure.count[SIGNALS_REQUESTS] = requests > before ? requests - before : 0;
	ret->exposure.count[SIGNALS_SECONDS] = now > began ? now - began : 0;
	for (size_t i = 0; i < STATS_STRIPES; i++)
		ret->inflight += __atomic_load_n(&plugin->stripes[i].inside, __ATOMIC_RELAXED);
	heap_live(scope_space_own(instance_space(instance)), &live);
	ret->arena_bytes = live.arena_bytes;
	/* Read one after the other while requests go on: the arenas may seem larger than all. */
	ret->live_bytes = live.bytes > live.arena_bytes ? live.bytes - live.arena_bytes : 0;
	ret->live_objects = live.objects;
	heap_live(plugin->foreign, &live);
	ret->foreign_bytes = live.bytes;
}

bool
plugin_glance(struct plugin *plugin, struct instance *instance, uint64_t now, struct signals_sample *ret)
{
	struct signals_sample sample = {0};

	if (atomic_load_explicit(&plugin->serving, memory_order_relaxed) != instance)
		return false;
	sample_quick(plugin, instance, now, &sample);
	sample.inflight -= sample.inflight > 0;
	sample.resident_bytes = atomic_load_explicit(&plugin->resident, memory_order_relaxed);
	sample.largest_bytes = atomic_load_explicit(&plugin->largest, memory_order_relaxed);
	*ret = sample;
	return true;
}

bool
plugin_sample(struct plugin *plugin, struct instance *instance, uint64_t now, struct signals_sample *ret)
{
	const struct heap *own = scope_space_own(instance_space(instance));
	struct signals_sample sample = {0};
	struct heap_usage usage;

	if (atomic_load(&plugin->serving) != instance)
		return false;
	sample_quick(plugin, instance, now, &sample);
	heap_usage(own, &usage);
	sample.resident_bytes = usage.resident_bytes;
	sample.largest_bytes = heap_largest(own);
	atomic_store(&plugin->resident, sample.resident_bytes);
	atomic_store(&plugin->largest, sample.largest_bytes);
	*ret = sample;
	return true;
}

/* --- draining ---------------------------------------------------------------------------------------------------- */

static void
count_visits(struct plugin *plugin, const struct instance *instance, size_t *ret_requests, size_t *ret_readers)
{
	for (size_t i = 0; i < STATS_STRIPES; i++) {
		pthread_mutex_lock(&plugin->stripes[i].lock);
		for (const struct plugin_visit *visit = plugin->stripes[i].visits; visit != NULL; visit = visit->next) {
			if (instance == NULL || visit->instance == instance)
				++*(visit->reader ? ret_readers : ret_requests);
		}
		pthread_mutex_unlock(&plugin->stripes[i].lock);
	}
}

size_t
plugin_visits(struct plugin *plugin, const struct instance *instance)
{
	size_t requests = 0, readers = 0;
	count_visits(plugin, instance, &requests, &readers);
	return requests + readers;
}

size_t
plugin_requests(struct plugin *plugin, const struct instance *instance)
{
	size_t requests = 0, readers = 0;
	count_visits(plugin, instance, &requests, &readers);
	return requests;
}

bool
plugin_drain(struct plugin *plugin, const struct instance *instance, uint64_t timeout)
{
	struct timespec until = monotonic_in(timeout);
	bool empty;
	int r = 0;

	pthread_mutex_lock(&plugin->drain_lock);
	atomic_store(&plugin->draining, true);
	/* A visit that left before it saw `draining` is already out of its list when the lists are counted. */
	while (!(empty = plugin_visits(plugin, instance) == 0) && r == 0)
		r = pthread_cond_timedwait(&plugin->left, &plugin->drain_lock, &until);
	atomic_store(&plugin->draining, false);
	pthread_mutex_unlock(&plugin->drain_lock);
	return empty;
}

size_t
plugin_cancel(struct plugin *plugin, const struct instance *instance, mtlsd_reason reason)
{
	size_t cancelled = 0;

	for (size_t i = 0; i < STATS_STRIPES; i++) {
		/* Held under the lock, called without it. */
		size_t count = 0;
		pthread_mutex_lock(&plugin->stripes[i].lock);
		for (struct plugin_visit *visit = plugin->stripes[i].visits; visit != NULL; visit = visit->next)
			count += visit->instance == instance && !visit->reader;
		struct plugin_visit **held = calloc(count + 1, sizeof(*held));
		size_t n = 0;
		for (struct plugin_visit *visit = plugin->stripes[i].visits; held != NULL && visit != NULL;
		     visit = visit->next) {
			if (visit->instance != instance || visit->reader)
				continue;
			visit->hold(visit);
			held[n++] = visit;
		}
		pthread_mutex_unlock(&plugin->stripes[i].lock);
		for (size_t k = 0; k < n; k++) {
			held[k]->cancel(held[k], reason);
			held[k]->release(held[k]);
		}
		free(held);
		cancelled += n;
	}
	return cancelled;
}
