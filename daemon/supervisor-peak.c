/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What instances held at their highest, kept while they run: once it is over, nobody can ask any more. */
#include "capture.h"
#include "pace.h"
#include "supervisor-internal.h"

/* A peak is kept when live bytes have risen by a tenth, and by more than a page, since the one before: so a heap that
 * grows from nothing to a gigabyte is walked some 130 times in all. */
enum { PEAK_STEP = 4096, PEAK_PART = 10 };

static bool
peak_is_new(struct supervisor *supervisor, struct unit *unit, uint64_t instance, uint64_t live)
{
	uint64_t kept = 0;

	pthread_mutex_lock(&supervisor->lock);
	if (unit->peak != NULL && unit->peak->instance == instance)
		kept = unit->peak->own.usage.live_bytes;
	pthread_mutex_unlock(&supervisor->lock);
	return live > kept + PEAK_STEP && live - kept > kept / PEAK_PART;
}

static void
peak_look(struct supervisor *supervisor, struct unit *unit)
{
	struct plugin_visit visit = {.reader = true};
	CLEANUP(capture_unref) struct capture *capture = NULL;
	struct heap_usage usage;

	if (!plugin_enter(unit->plugin, &visit))
		return;
	const struct heap *own = scope_space_own(instance_space(visit.instance));
	uint64_t instance = instance_number(visit.instance);
	heap_usage(own, &usage);
	if (peak_is_new(supervisor, unit, instance, usage.live_bytes))
		(void) capture_take(own, plugin_foreign(unit->plugin), instance, 0, &capture);
	plugin_leave(&visit);
	if (capture == NULL)
		return;
	pthread_mutex_lock(&supervisor->lock);
	struct capture *before = unit->peak;
	unit->peak = STEAL(capture);
	pthread_mutex_unlock(&supervisor->lock);
	capture_unref(&before);
}

void
supervisor_look_for_peaks(struct pool_job *job)
{
	struct supervisor *supervisor = CONTAINER_OF(job, struct supervisor, peaks);
	struct unit *unit;

	pace_begin();
	for (size_t i = 0; (unit = supervisor_nth_unit(supervisor, i)) != NULL; i++)
		peak_look(supervisor, unit);
	atomic_store(&supervisor->peaking, false);
}
