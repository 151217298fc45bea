/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bad frees: counted by kind, and kept in mind where the configuration wants a fresh instance for them. */
#include "supervisor-internal.h"

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
	unit->faults[fault->kind].site = fault->site;
	unit->fault_pending |= unit->config != NULL && unit->config->memory_on_fault == CONFIG_FAULT_RESTART;
	pthread_mutex_unlock(&supervisor->lock);
}
