/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "instance-internal.h"
#include "monotonic.h"

#include <errno.h>
#include <string.h>

/* How long a control callback waits for others to leave, in microseconds. */
enum { EXCLUSIVE_WAIT = 5000000 };

static _Thread_local struct instance_call *innermost;

int
instance_busy(const struct instance *instance, struct error *error)
{
	return error_set(error, -EBUSY, "plugin %s does not return from a callback; restart it: mtlsctl restart %s",
			 instance->plugin, instance->plugin);
}

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
	struct timespec until = monotonic_in(EXCLUSIVE_WAIT);
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
		return instance_busy(instance, error);
	r = instance->descriptor->health(instance->user, why, sizeof(why));
	instance_call_end(&call);
	why[sizeof(why) - 1] = '\0';
	if (r < 0)
		return error_set(error, -EHOSTDOWN, "plugin %s is not healthy: %s", instance->plugin,
				 why[0] != '\0' ? why : strerror(-r));
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
