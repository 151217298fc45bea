/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* quarantine.h - the reserved address range and its slots: which heap lives in which, and which free one is next.
 *
 * A slot given back is used again only after all others that are free: a stale pointer meets no memory for as long as
 * can be. Beside each slot lies a bookkeeping range of half its size and a little more (a word a 16-byte block).
 *
 * Threads: any. Owns: the reservation, for the life of the process.
 */
#include <stddef.h>
#include <stdint.h>

struct heap;

uint64_t quarantine_slot_bytes(void);
uint64_t quarantine_meta_bytes(void);
/* The slot that has been free for longest. -ENOMEM: all are taken. Reserves the default range if nothing was. */
int quarantine_take(unsigned *ret_slot, uintptr_t *ret_base, uintptr_t *ret_meta);
/* Makes the heap findable by address. */
void quarantine_publish(unsigned slot, struct heap *heap, const char *name);
/* From here on its pointers are stale; waits for threads that are just giving their bins back. */
void quarantine_withdraw(unsigned slot);
/* Returns the pages of the used parts to the kernel, makes them unreadable, and queues the slot. */
void quarantine_give(unsigned slot, size_t used, size_t meta_used);
/* Name of the heap that is, or last was, in the slot. */
const char *quarantine_name(unsigned slot);
void quarantine_lock(void);
void quarantine_unlock(void);
