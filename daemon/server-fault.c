/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server-fault.h"

#include "event.h"
#include "place.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const fault_kinds[] = {
	[HEAP_FAULT_DOUBLE_FREE] = "double free",
	[HEAP_FAULT_INTERIOR_FREE] = "free of a pointer into the middle of a block",
	[HEAP_FAULT_FOREIGN_FREE] = "free of a pointer that was never allocated",
	[HEAP_FAULT_STALE_FREE] = "free of a block of a destroyed heap",
};

/* Names take longer than a plugin's call may: the record of the fault itself has the bare address. */
void
server_tell_place(const char *plugin, enum heap_fault_kind kind, uint64_t count, const struct supervisor_place *place,
		  void *ctx UNUSED)
{
	const char *function = place->function[0] != '\0' ? place->function : "?";
	char where[PLACE_TEXT], number[24];

	place_write(place->file, place->line, place->module, place->offset, where);
	(void) snprintf(number, sizeof(number), "%" PRIu64, count);
	event_log(EVENT_BAD_FREE_PLACE,
		  LOG_FIELDS({"MTLSD_PLUGIN", plugin}, {"MTLSD_FUNCTION", function}, {"MTLSD_PLACE", where}),
		  "plugin %s: %s: by %s at %s (%s so far)", plugin, fault_kinds[kind], function, where, number);
}

void
server_tell_fault(const struct heap_fault *fault, void *ctx)
{
	char plugin[64], instance[24] = "";

	if (ctx != NULL)
		supervisor_fault(ctx, fault);
	snprintf(plugin, sizeof(plugin), "%.*s", (int) strcspn(fault->heap, "#/"), fault->heap);
	if (strchr(fault->heap, '#') != NULL)
		snprintf(instance, sizeof(instance), "%s", strchr(fault->heap, '#') + 1);
	event_log(EVENT_BAD_FREE,
		  LOG_FIELDS({"MTLSD_PLUGIN", plugin}, {"MTLSD_INSTANCE", *instance != '\0' ? instance : NULL}),
		  "plugin %s: %s (%p, heap %s, called from %#" PRIxPTR "), ignored", plugin, fault_kinds[fault->kind],
		  fault->block, fault->heap, fault->site);
}
