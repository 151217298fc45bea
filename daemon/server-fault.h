/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* server-fault.h - records of bad frees and of instances replaced for them.
 *
 * Threads: any; the first on the faulting thread, inside a plugin's call. Owns: nothing.
 */
#include "heap.h"
#include "supervisor.h"

/* For heap_on_fault; ctx: the supervisor, or NULL while there is none. At most ten records a second. */
void server_tell_fault(const struct heap_fault *fault, void *ctx);
/* For supervisor_on_repair. */
void server_tell_repair(const char *plugin, const struct supervisor_restart *report, const char *why, void *ctx);
