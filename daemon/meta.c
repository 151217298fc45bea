/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "meta.h"

#include <sys/mman.h>

enum {
	META_LINE = 64,
	META_STEP = 1 << 20,  /* opened at a time; untouched pages of it cost nothing */
	META_SLACK = 1 << 15, /* readable behind the last piece: the largest side table, see journal_is_out */
};

void
meta_setup(struct meta *meta, uintptr_t base, uintptr_t end)
{
	*meta = (struct meta){.base = base, .next = base, .committed = base, .end = end};
	pthread_mutex_init(&meta->lock, NULL);
}

void *
meta_take(struct meta *meta, size_t bytes)
{
	void *piece = NULL;

	bytes = (bytes + META_LINE - 1) & ~(size_t) (META_LINE - 1);
	pthread_mutex_lock(&meta->lock);
	if (bytes + META_SLACK > meta->end - meta->next)
		goto out;
	if (meta->next + bytes + META_SLACK > meta->committed) {
		uintptr_t upto = (meta->next + bytes + META_SLACK + META_STEP - 1) & ~(uintptr_t) (META_STEP - 1);
		if (upto > meta->end)
			upto = meta->end;
		if (mprotect((void *) meta->committed, upto - meta->committed, PROT_READ | PROT_WRITE) < 0)
			goto out;
		meta->committed = upto;
	}
	piece = (void *) meta->next;
	__atomic_store_n(&meta->next, meta->next + bytes, __ATOMIC_RELAXED);
out:
	pthread_mutex_unlock(&meta->lock);
	return piece;
}

uint64_t
meta_bytes(const struct meta *meta)
{
	return __atomic_load_n(&meta->next, __ATOMIC_RELAXED) - meta->base;
}
