/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bad frees: counted by kind, named while their instance is there, and kept in mind where the configuration wants a
 * fresh instance for them. */
#include "cleanup.h"
#include "supervisor-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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
	unit->faults[fault->kind].named &= unit->faults[fault->kind].site == fault->site;
	unit->faults[fault->kind].site = fault->site;
	unit->fault_pending |= unit->config != NULL && unit->config->memory_on_fault == CONFIG_FAULT_RESTART;
	pthread_mutex_unlock(&supervisor->lock);
}

bool
supervisor_faults_unnamed(const struct supervisor *supervisor)
{
	bool unnamed = false;

	for (size_t i = 0; i < supervisor->count; i++)
		for (size_t kind = 0; kind < ARRAY_LENGTH(supervisor->units[i]->faults); kind++)
			unnamed |= supervisor->units[i]->faults[kind].count != 0 &&
				   !supervisor->units[i]->faults[kind].named;
	return unnamed;
}

/* A place that cannot be found stays an address: its instance is gone, or it is no code. */
static void
fault_name(struct supervisor *supervisor, struct unit *unit, enum heap_fault_kind kind)
{
	pthread_mutex_lock(&supervisor->lock);
	uint64_t count = unit->faults[kind].count;
	uintptr_t site = unit->faults[kind].site;
	bool named = count == 0 || unit->faults[kind].named;
	pthread_mutex_unlock(&supervisor->lock);
	if (named)
		return;
	struct supervisor_place place = {.address = site, .module = "?", .offset = site};
	(void) supervisor_resolve(supervisor, unit->name, site, &place, NULL);
	pthread_mutex_lock(&supervisor->lock);
	bool done = !unit->faults[kind].named && unit->faults[kind].site == site;
	if (done) {
		unit->faults[kind].place = place;
		unit->faults[kind].named = true;
	}
	pthread_mutex_unlock(&supervisor->lock);
	if (done && supervisor->placed != NULL)
		supervisor->placed(unit->name, kind, count, &place, supervisor->placed_ctx);
}

void
supervisor_name_faults(struct supervisor *supervisor, struct unit *unit)
{
	for (enum heap_fault_kind kind = 0; kind < ARRAY_LENGTH(unit->faults); kind++)
		fault_name(supervisor, unit, kind);
}

void
supervisor_name_all(struct pool_job *job)
{
	struct supervisor *supervisor = CONTAINER_OF(job, struct supervisor, naming);
	struct unit *unit;

	for (size_t i = 0; (unit = supervisor_nth_unit(supervisor, i)) != NULL; i++)
		supervisor_name_faults(supervisor, unit);
	atomic_store(&supervisor->is_naming, false);
}

int
supervisor_fault_place(struct supervisor *supervisor, const char *name, enum heap_fault_kind kind,
		       struct supervisor_place *ret)
{
	struct unit *unit = supervisor_unit(supervisor, name);

	if (unit == NULL)
		return -ENOENT;
	pthread_mutex_lock(&supervisor->lock);
	bool named = unit->faults[kind].named;
	if (named)
		*ret = unit->faults[kind].place;
	pthread_mutex_unlock(&supervisor->lock);
	return named ? 0 : -ENOENT;
}

void
supervisor_on_fault_place(struct supervisor *supervisor,
			  void (*placed)(const char *plugin, enum heap_fault_kind kind, uint64_t count,
					 const struct supervisor_place *place, void *ctx),
			  void *ctx)
{
	supervisor->placed = placed;
	supervisor->placed_ctx = ctx;
}
