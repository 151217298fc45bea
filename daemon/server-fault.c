/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server-fault.h"

#include "event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void
server_tell_fault(const struct heap_fault *fault, void *ctx)
{
	static const char *const kinds[] = {
		[HEAP_FAULT_DOUBLE_FREE] = "double free",
		[HEAP_FAULT_INTERIOR_FREE] = "free of a pointer into the middle of a block",
		[HEAP_FAULT_FOREIGN_FREE] = "free of a pointer that was never allocated",
		[HEAP_FAULT_STALE_FREE] = "free of a block of a destroyed heap",
	};
	char plugin[64], instance[24] = "";

	if (ctx != NULL)
		supervisor_fault(ctx, fault);
	snprintf(plugin, sizeof(plugin), "%.*s", (int) strcspn(fault->heap, "#/"), fault->heap);
	if (strchr(fault->heap, '#') != NULL)
		snprintf(instance, sizeof(instance), "%s", strchr(fault->heap, '#') + 1);
	event_log(EVENT_BAD_FREE,
		  LOG_FIELDS({"MTLSD_PLUGIN", plugin}, {"MTLSD_INSTANCE", *instance != '\0' ? instance : NULL}),
		  "plugin %s: %s (%p, heap %s, called from %#" PRIxPTR "), ignored", plugin, kinds[fault->kind],
		  fault->block, fault->heap, fault->site);
}
