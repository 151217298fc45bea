/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bad frees: counted by kind, and, where the configuration says so, answered with a fresh instance. */
#include "monotonic.h"
#include "supervisor-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FAULT_REST = 60 * 1000 * 1000 }; /* microseconds between two instances replaced for their faults */

void
supervisor_fault(struct supervisor *supervisor, const struct heap_fault *fault)
{
	char name[32];

	/* The heap is called "plugin#7" or "plugin/foreign". */
	(void) snprintf(name, sizeof(name), "%.*s", (int) strcspn(fault->heap, "#/"), fault->heap);
	struct unit *unit = supervisor_unit(supervisor, name);
	if (unit == NULL)
		return;
	pthread_mutex_lock(&supervisor->lock);
	unit->faults[fault->kind].count++;
	unit->faults[fault->kind].site = fault->site;
	unit->fault_pending |= unit->config != NULL && unit->config->memory_on_fault == CONFIG_FAULT_RESTART;
	pthread_mutex_unlock(&supervisor->lock);
}

/* With lock held. */
static bool
fault_is_due(const struct unit *unit)
{
	return unit->fault_pending && unit->enabled &&
	       (unit->mended == 0 || monotonic_now() - unit->mended >= FAULT_REST);
}

bool
supervisor_faults_due(const struct supervisor *supervisor)
{
	bool due = false;

	for (size_t i = 0; i < supervisor->count; i++)
		due |= fault_is_due(supervisor->units[i]);
	return due;
}

static void
fault_mend(struct supervisor *supervisor, struct unit *unit)
{
	struct supervisor_restart report = {0};
	struct error why = {0};

	int r = supervisor_replace(supervisor, unit->name, 0, SUPERVISOR_CRASH, &report, &why);
	if (r == -EBUSY)
		return; /* whoever changes it may be replacing it; the next tick looks again */
	pthread_mutex_lock(&supervisor->lock);
	unit->fault_pending = false;
	unit->mended = monotonic_now();
	pthread_mutex_unlock(&supervisor->lock);
	if (supervisor->told != NULL)
		supervisor->told(unit->name, r < 0 ? NULL : &report, why.text, supervisor->told_ctx);
}

void
supervisor_mend(struct pool_job *job)
{
	struct supervisor *supervisor = CONTAINER_OF(job, struct supervisor, mending);

	for (size_t i = 0;; i++) {
		pthread_mutex_lock(&supervisor->lock);
		struct unit *unit = i < supervisor->count ? supervisor->units[i] : NULL;
		bool due = unit != NULL && fault_is_due(unit);
		pthread_mutex_unlock(&supervisor->lock);
		if (unit == NULL)
			break;
		if (due)
			fault_mend(supervisor, unit);
	}
	atomic_store(&supervisor->is_mending, false);
}

void
supervisor_on_repair(struct supervisor *supervisor,
		     void (*told)(const char *plugin, const struct supervisor_restart *report, const char *why,
				  void *ctx),
		     void *ctx)
{
	supervisor->told = told;
	supervisor->told_ctx = ctx;
}
