/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* server-fault.h - records of bad frees: at once with what is known then, a moment later with names.
 *
 * Threads: any; the first on the faulting thread, inside a plugin's call. Owns: nothing.
 */
#include "heap.h"
#include "supervisor.h"

/* For heap_on_fault; ctx: the supervisor, or NULL while there is none. At most ten records a second. */
void server_tell_fault(const struct heap_fault *fault, void *ctx);
/* For supervisor_on_fault_place. */
void server_tell_place(const char *plugin, enum heap_fault_kind kind, uint64_t count,
		       const struct supervisor_place *place, void *ctx);
