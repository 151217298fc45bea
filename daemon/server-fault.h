/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* server-fault.h - records of bad frees.
 *
 * Threads: the faulting one, inside a plugin's call. Owns: nothing.
 */
#include "heap.h"
#include "supervisor.h"

/* For heap_on_fault; ctx: the supervisor, or NULL while there is none. At most ten records a second. */
void server_tell_fault(const struct heap_fault *fault, void *ctx);
