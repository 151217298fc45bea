/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reserve.h"

#include <stdatomic.h>
#include <sys/mman.h>

static _Atomic(void *) reserve_pieces[RESERVE_PIECES];
static atomic_bool reserve_begun;
static atomic_ulong reserve_total; /* pieces ever given up */

unsigned
reserve_fill(void)
{
	for (unsigned i = 0; i < RESERVE_PIECES; i++) {
		void *none = NULL;
		if (atomic_load(&reserve_pieces[i]) != NULL)
			continue;
		void *piece = mmap(NULL, RESERVE_PIECE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (piece == MAP_FAILED)
			break; /* the next would not be had either */
		if (!atomic_compare_exchange_strong(&reserve_pieces[i], &none, piece))
			(void) munmap(piece, RESERVE_PIECE);
	}
	atomic_store(&reserve_begun, true);
	return reserve_missing();
}

bool
reserve_spend(void)
{
	for (unsigned i = RESERVE_PIECES; i > 0; i--) {
		void *piece = atomic_exchange(&reserve_pieces[i - 1], NULL);
		if (piece == NULL)
			continue;
		atomic_fetch_add(&reserve_total, 1);
		(void) munmap(piece, RESERVE_PIECE);
		return true;
	}
	return false;
}

unsigned
reserve_missing(void)
{
	unsigned missing = 0;

	if (!atomic_load_explicit(&reserve_begun, memory_order_relaxed))
		return 0;
	for (unsigned i = 0; i < RESERVE_PIECES; i++)
		missing += atomic_load_explicit(&reserve_pieces[i], memory_order_relaxed) == NULL;
	return missing;
}

unsigned long
reserve_spent(void)
{
	return atomic_load(&reserve_total);
}
