/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* meta.h - a heap's own bookkeeping memory: zeroed pieces cut from a reserved range outside the heap's slot.
 *
 * Pieces are never given back one by one; the whole range goes when its heap does. That is what lets a walk read a side
 * table whose span was just recycled: the memory is still there, only its contents are out of date.
 *
 * Threads: any. Owns: the committed part of the range until meta_clear.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct meta {
	pthread_mutex_t lock; /* guards next and committed */
	uintptr_t base, next, committed, end;
};

void meta_setup(struct meta *meta, uintptr_t base, uintptr_t end);
/* Zeroed, aligned to a cache line; NULL when range or memory are used up. */
void *meta_take(struct meta *meta, size_t bytes);
uint64_t meta_bytes(const struct meta *meta);
