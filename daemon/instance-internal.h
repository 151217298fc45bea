/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* instance-internal.h - an instance's inside; shared by instance.c, instance-call.c and instance-start.c only.
 *
 * Threads: what a lock guards says so; all else is written before the instance serves and after it has drained.
 * Owns: see instance.h.
 */
#include "instance.h"
#include "throttle.h"

#include <pthread.h>
#include <stdatomic.h>

struct instance_counter {
	char name[48], help[120];
};

struct instance {
	char plugin[32];
	uint64_t number, started, began;
	struct image_mapping mapping;
	struct scope_space *space;
	struct nonces *nonces;
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

	struct exposure *exposure;
	struct instance_observer observer;
	atomic_bool observed; /* observer is set, for good */

	struct throttle log;

	pthread_mutex_t counter_lock; /* guards registration */
	atomic_int counter_count;
	struct instance_counter counters[INSTANCE_COUNTERS];
	struct stats *counts;
};

/* Memory, space and locks; nothing mapped yet. */
int instance_new(const struct instance_options *options, struct instance **ret);
/* Takes down whatever there is, without calling the plugin. */
void instance_cleanup(struct instance **instance);
/* The error of a control callback that was kept waiting too long. */
int instance_busy(const struct instance *instance, struct error *error);
