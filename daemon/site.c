/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "site.h"

uint32_t
site_number(struct site_table *table, uintptr_t address)
{
	/* A call is five bytes or so: addresses of neighbouring calls differ above bit 2. */
	uint32_t at = (uint32_t) (address >> 3) & (SIDE_SITES - 1);

	if (address == 0)
		return 0;
	for (;; at = (at + 1) & (SIDE_SITES - 1)) {
		if (at == 0)
			continue; /* 0 means unknown */
		uintptr_t found = __atomic_load_n(&table->address[at], __ATOMIC_RELAXED);
		if (found == address)
			return at;
		if (found != 0)
			continue;
		if (__atomic_load_n(&table->used, __ATOMIC_RELAXED) >= SITE_MOST)
			return 0;
		if (__atomic_compare_exchange_n(&table->address[at], &found, address, 0, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED)) {
			__atomic_fetch_add(&table->used, 1, __ATOMIC_RELAXED);
			return at;
		}
		if (found == address)
			return at;
	}
}
