/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* interpose.h - the malloc family as the executable defines it for the whole process: one door for all its forms.
 *
 * The functions themselves have the C library's names and prototypes; daemon/exports.list makes the dynamic linker use
 * them for every library and plugin. Here is what they share.
 *
 * Threads: any. Owns: nothing.
 */
#include "layer.h"

#include "alloc.h"
#include "scope-internal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The C library's own allocator: the daemon's memory. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *p);

/* The same for sizes beyond the table; apart, since it would cost the others registers. Only inside a space. */
void *interpose_take_wide(size_t size, uintptr_t site);
/* The daemon's memory; asks the C library again while the reserve gives for a library. Apart, for the same reason. */
void *interpose_take_plain(size_t size, uintptr_t site);

/* Memory for a call from `site`: the current space's, else the daemon's. */
static inline void *
interpose_take(size_t size, uintptr_t site)
{
	if (__builtin_expect(bin_self.space == NULL, 1))
		return interpose_take_plain(size, site);
	if (__builtin_expect(size > CLASS_TABLE_BYTES, 0))
		return interpose_take_wide(size, site);
	void *block = bin_pop_at(bin_places[(size + 15) / 16], site);
	return __builtin_expect(block != NULL, 1) ? block : scope_alloc(size, 0, 0, site);
}

/* Whether an address outside all heaps, freed inside a space, is none that any allocator hands out: then it is reported
 * as the plugin's fault. The C library would end the process. */
bool interpose_is_wild(const void *p, uintptr_t site);

/* Frees what is not of the heap that the calling thread is in, or what takes a longer way. */
void interpose_drop_other(void *p, uintptr_t site);

/* Frees by address, whatever the current space is. */
static inline void
interpose_drop(void *p, uintptr_t site)
{
	if (__builtin_expect(!bin_push_own(p), 0))
		interpose_drop_other(p, site);
}

/* align: a power of two. */
void *interpose_take_aligned(size_t align, size_t size, uintptr_t site);
