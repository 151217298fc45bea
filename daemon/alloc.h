/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* alloc.h - malloc's contract on one heap: blocks of any size and alignment, resized, measured and freed, with checks.
 *
 * The interposed functions and the request arenas stand on these; unit tests, sanitizers and the fuzzer call them
 * directly, because there the interposed layer is off.
 *
 * Threads: any. Owns: nothing.
 */
#include "heap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum alloc_flags {
	ALLOC_ZERO = 1,  /* like calloc */
	ALLOC_ARENA = 2, /* a chunk of a request arena: counted apart, never booked */
};

/* align: a power of two, or 0 for 16. NULL with ENOMEM. site: the caller's return address. */
void *alloc_block(struct heap *heap, size_t size, size_t align, unsigned flags, uintptr_t site);
/* p: in the reserved range (alloc_is_ours), or never allocated at all: then the fault is reported. */
void alloc_free(void *p, uintptr_t site);
/* In place where it can, in the block's own heap always; keeps the birth. p not NULL; size 0 makes a smallest block. */
void *alloc_resize(void *p, size_t size, uintptr_t site);
/* What the block really holds; 0 for a bad pointer. */
size_t alloc_usable(const void *p);
bool alloc_is_ours(const void *p);
/* The live block that starts at p: its side word and bytes. False: there is none. Takes no lock. */
bool alloc_find(const void *p, const struct heap **ret_heap, uint64_t **ret_side, uint64_t *ret_bytes);
