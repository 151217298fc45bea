/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server-fault.h"

#include "log.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void
server_tell_repair(const char *plugin, const struct supervisor_restart *report, const char *why, void *ctx UNUSED)
{
	if (report != NULL)
		log_record(LOG_WARNING, LOG_FIELDS({"MTLSD_PLUGIN", plugin}),
			   "plugin %s: replaced after bad frees: instance %" PRIu64 " by %" PRIu64, plugin,
			   report->old_instance, report->new_instance);
	else
		log_record(LOG_ERR, LOG_FIELDS({"MTLSD_PLUGIN", plugin}), "plugin %s: not replaced after bad frees: %s",
			   plugin, why);
}

void
server_tell_fault(const struct heap_fault *fault, void *ctx)
{
	static const char *const kinds[] = {
		[HEAP_FAULT_DOUBLE_FREE] = "double free",
		[HEAP_FAULT_INTERIOR_FREE] = "free of a pointer into the middle of a block",
		[HEAP_FAULT_FOREIGN_FREE] = "free of a pointer that was never allocated",
		[HEAP_FAULT_STALE_FREE] = "free of a block of a destroyed heap",
	};
	static atomic_uint_fast64_t second, count;
	struct timespec now;

	if (ctx != NULL)
		supervisor_fault(ctx, fault);
	/* A plugin can do this in a loop: ten records a second tell the story. */
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (atomic_exchange(&second, (uint64_t) now.tv_sec) != (uint64_t) now.tv_sec)
		atomic_store(&count, 0);
	if (atomic_fetch_add(&count, 1) >= 10)
		return;
	char plugin[64];
	snprintf(plugin, sizeof(plugin), "%.*s", (int) strcspn(fault->heap, "#/"), fault->heap);
	log_record(LOG_ERR, LOG_FIELDS({"MTLSD_PLUGIN", plugin}),
		   "plugin %s: %s (%p, heap %s, called from %#" PRIxPTR "), ignored", plugin, kinds[fault->kind],
		   fault->block, fault->heap, fault->site);
}
