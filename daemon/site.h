/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* site.h - call address to small number and back, one table a heap.
 *
 * The number is the place in an open hash whose function keeps neighbouring calls on neighbouring entries, so that a
 * plugin with a few hundred call sites touches a few pages of the table. Entries are never removed; the table dies
 * with its heap. Number 0 stands for every address beyond the table's bound.
 *
 * Threads: any, no locks. Owns: nothing; the table's memory is the heap's.
 */
#include "side.h"

#include <stdint.h>

enum {
	SITE_MOST = SIDE_SITES / 4 * 3, /* keeps probes short */
};

struct site_table {
	uintptr_t *address; /* SIDE_SITES entries, 0: free */
	uint32_t used;
};

uint32_t site_number(struct site_table *table, uintptr_t address);

static inline uintptr_t
site_address(const struct site_table *table, uint32_t number)
{
	return number == 0 ? 0 : __atomic_load_n(&table->address[number], __ATOMIC_RELAXED);
}
