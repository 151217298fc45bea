/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* vault.h - where private keys lie once they are parsed: a heap of their own that core dumps leave out.
 *
 * GnuTLS asks for memory where it likes; whoever has it parse a key enters the vault for that time. Blocks are freed
 * as all others are, from anywhere. Without the heap layer, keys lie in ordinary memory.
 *
 * Threads: any. Owns: the vault, for the process's life.
 */
#include "scope.h"

/* Allocations of the calling thread go to the vault until vault_leave. */
void vault_enter(struct scope_frame *frame);
void vault_leave(struct scope_frame *frame);
