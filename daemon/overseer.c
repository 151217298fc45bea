/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overseer-internal.h"

#include "monotonic.h"
#include "pace.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

/* Two plugins may be restarted at once, so that one that drains for long does not keep another from it. */
enum { REPAIR_THREADS = 2 };

/* --- small things ------------------------------------------------------------------------------------------------ */

double
overseer_random(struct overseer *overseer)
{
	pthread_mutex_lock(&overseer->lock);
	overseer->random ^= overseer->random << 13;
	overseer->random ^= overseer->random >> 7;
	overseer->random ^= overseer->random << 17;
	uint64_t bits = overseer->random >> 11;
	pthread_mutex_unlock(&overseer->lock);
	return (double) bits / (double) (UINT64_C(1) << 53);
}

/* What this process takes of the cores it may use. Others on the machine are not asked: they come and go. */
static void
measure_load(struct overseer *overseer, uint64_t now)
{
	struct rusage usage;
	cpu_set_t cores;

	if (getrusage(RUSAGE_SELF, &usage) < 0 || sched_getaffinity(0, sizeof(cores), &cores) < 0)
		return;
	uint64_t used = (uint64_t) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * OVERSEER_SECOND +
			(uint64_t) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	if (overseer->load_at != 0 && now > overseer->load_at)
		overseer->load = (double) (used - overseer->load_used) /
				 ((double) (now - overseer->load_at) * CPU_COUNT(&cores));
	if (overseer->load > 1)
		overseer->load = 1;
	overseer->load_at = now;
	overseer->load_used = used;
}

/* --- wards ------------------------------------------------------------------------------------------------------- */

struct ward *
overseer_ward(struct overseer *overseer, const char *name)
{
	struct ward *found = NULL;

	pthread_mutex_lock(&overseer->lock);
	for (size_t i = 0; i < overseer->count && found == NULL; i++) {
		if (strcmp(overseer->wards[i]->name, name) == 0)
			found = overseer->wards[i];
	}
	pthread_mutex_unlock(&overseer->lock);
	return found;
}

static struct ward *
ward_new(struct overseer *overseer, const char *name)
{
	struct ward *ward = calloc(1, sizeof(*ward));
	struct ward **grown;

	if (ward == NULL)
		return NULL;
	snprintf(ward->name, sizeof(ward->name), "%s", name);
	ward->verdict.seconds_to_limit = -1;
	ward->view.verdict = ward->verdict;
	snprintf(ward->view.breaker, sizeof(ward->view.breaker), "%s", breaker_state_name(BREAKER_CLOSED));
	ward->repair.job.work = repair_work;
	ward->repair.overseer = overseer;
	ward->repair.ward = ward;
	pthread_mutex_lock(&overseer->lock);
	grown = reallocarray(overseer->wards, overseer->count + 1, sizeof(*grown));
	if (grown != NULL) {
		overseer->wards = grown;
		overseer->wards[overseer->count++] = ward;
	}
	pthread_mutex_unlock(&overseer->lock);
	if (grown == NULL) {
		free(ward);
		return NULL;
	}
	return ward;
}

static void
ward_free(struct ward *ward)
{
	inspection_unref(&ward->inspection);
	for (unsigned i = 0; i < OVERSEER_NOTES; i++)
		free(ward->notes[i].text);
	free(ward);
}

/* --- the step ---------------------------------------------------------------------------------------------------- */

static void
look(const struct supervisor_look *seen, void *ctx)
{
	struct sight *sight = ctx;
	struct overseer *overseer = sight->overseer;

	sight->ward = overseer_ward(overseer, seen->name);
	if (sight->ward == NULL)
		sight->ward = ward_new(overseer, seen->name);
	if (sight->ward == NULL)
		return; /* no memory: the next second may have some */
	sight->state = seen->state;
	sight->enabled = seen->enabled;
	sight->faulty = seen->faulty;
	sight->config = config_ref(seen->config);
	sight->plugin = seen->plugin;
	sight->handle = seen->handle;
	snprintf(sight->last_error, sizeof(sight->last_error), "%s", seen->last_error);
	ward_watch(sight, seen);
}

/* A plugin that left the configuration is as if it had never been. */
static void
forget_unseen(struct overseer *overseer)
{
	pthread_mutex_lock(&overseer->lock);
	for (size_t i = 0; i < overseer->count;) {
		struct ward *ward = overseer->wards[i];
		bool keep = ward->seen || atomic_load(&ward->repair.busy);
		ward->seen = false;
		if (keep) {
			i++;
			continue;
		}
		overseer->wards[i] = overseer->wards[--overseer->count];
		ward_free(ward);
	}
	pthread_mutex_unlock(&overseer->lock);
}

void
overseer_step(struct overseer *overseer, uint64_t now)
{
	measure_load(overseer, now);
	for (size_t i = 0; !atomic_load(&overseer->stopped); i++) {
		struct sight sight = {.overseer = overseer, .now = now};
		if (supervisor_look(overseer->supervisor, i, look, &sight) < 0)
			break;
		if (sight.ward == NULL)
			continue;
		sight.ward->seen = true;
		ward_act(&sight);
		config_unref(&sight.config);
	}
	if (atomic_load(&overseer->stopped))
		return;
	forget_unseen(overseer);
	if (atomic_exchange(&overseer->pressed, false))
		overseer_relieve(overseer, now);
}

static void
step_job(struct pool_job *job)
{
	struct overseer *overseer = CONTAINER_OF(job, struct overseer, step);
	static _Thread_local bool paced;

	if (!paced)
		pace_begin();
	paced = true;
	overseer_step(overseer, monotonic_now());
	overseer_end(overseer, &overseer->stepping);
}

void
overseer_tick(struct overseer *overseer)
{
	if (!atomic_load(&overseer->stopped) && !atomic_exchange(&overseer->stepping, true))
		pool_push(overseer->thread, &overseer->step);
}

void
overseer_pressure(struct overseer *overseer)
{
	atomic_store(&overseer->pressed, true);
	overseer_tick(overseer);
}

/* --- beginning and end ------------------------------------------------------------------------------------------- */

int
overseer_new(struct supervisor *supervisor, struct overseer **ret)
{
	CLEANUP(overseer_free) struct overseer *overseer = calloc(1, sizeof(*overseer));

	if (overseer == NULL)
		return -ENOMEM;
	overseer->supervisor = supervisor;
	pthread_mutex_init(&overseer->lock, NULL);
	pthread_cond_init(&overseer->idle, NULL);
	overseer->step.work = step_job;
	if (getrandom(&overseer->random, sizeof(overseer->random), GRND_NONBLOCK) < 0 || overseer->random == 0)
		overseer->random = monotonic_now() | 1;
	int r = pool_new("mtlsd-oversee", 1, 0, &overseer->thread);
	if (r == 0)
		r = pool_new("mtlsd-repair", REPAIR_THREADS, 0, &overseer->repairs);
	if (r < 0)
		return r;
	*ret = STEAL(overseer);
	return 0;
}

void
overseer_end(struct overseer *overseer, atomic_bool *busy)
{
	pthread_mutex_lock(&overseer->lock);
	atomic_store(busy, false);
	pthread_cond_broadcast(&overseer->idle);
	pthread_mutex_unlock(&overseer->lock);
}

/* With the lock held. */
static bool
is_repairing(const struct overseer *overseer)
{
	bool busy = false;

	for (size_t i = 0; i < overseer->count; i++)
		busy |= atomic_load(&overseer->wards[i]->repair.busy);
	return busy;
}

void
overseer_settle(struct overseer *overseer)
{
	pthread_mutex_lock(&overseer->lock);
	while (atomic_load(&overseer->stepping) || is_repairing(overseer))
		pthread_cond_wait(&overseer->idle, &overseer->lock);
	pthread_mutex_unlock(&overseer->lock);
}

void
overseer_stop(struct overseer *overseer)
{
	pthread_mutex_lock(&overseer->lock);
	atomic_store(&overseer->stopped, true);
	while (atomic_load(&overseer->stepping) || is_repairing(overseer))
		pthread_cond_wait(&overseer->idle, &overseer->lock);
	pthread_mutex_unlock(&overseer->lock);
}

void
overseer_free(struct overseer **overseerp)
{
	struct overseer *overseer = *overseerp;

	if (overseer == NULL)
		return;
	overseer_stop(overseer);
	pool_free(&overseer->thread);
	pool_free(&overseer->repairs);
	for (size_t i = 0; i < overseer->count; i++)
		ward_free(overseer->wards[i]);
	free(overseer->wards);
	pthread_cond_destroy(&overseer->idle);
	pthread_mutex_destroy(&overseer->lock);
	free(overseer);
	*overseerp = NULL;
}
