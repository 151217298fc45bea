/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A request's account: what it allocated in a space and has not freed when it ends. */
#include "cleanup.h"
#include "heap-internal.h"
#include "scope-internal.h"

#include <errno.h>
#include <stdlib.h>

enum {
	BOOKING_ROWS = 2048, /* a power of two */
	BOOKING_ROWS_MOST = BOOKING_ROWS / 4 * 3,
};

struct booking_close {
	struct scope_space *space;
	uint32_t epoch;
	uint16_t route;
	uint8_t status_class;
	uint64_t bytes, blocks;
};

int
scope_booking_open(struct scope_space *space, struct scope_booking **ret)
{
	struct scope_booking *booking = malloc(sizeof(*booking));

	if (booking == NULL)
		return -ENOMEM;
	booking->space = space;
	uint32_t epoch = __atomic_add_fetch(space->clock, 1, __ATOMIC_RELAXED);
	journal_setup(&booking->journal, SIDE_BOOKED | epoch);
	*ret = booking;
	return 0;
}

uint32_t
scope_booking_epoch(const struct scope_booking *booking)
{
	return side_epoch(booking->journal.tag);
}

/* The row of a site, route and status class, made if there is room; otherwise the one for all others. */
static struct scope_row *
booking_row(struct scope_space *space, uintptr_t site, uint16_t route, uint8_t status_class)
{
	uint64_t hash = (site ^ (uint64_t) route << 48 ^ (uint64_t) status_class << 44) * 0x9e3779b97f4a7c15ULL;
	unsigned at = (unsigned) (hash >> 40) & (BOOKING_ROWS - 1);

	for (;; at = (at + 1) & (BOOKING_ROWS - 1)) {
		struct scope_row *row = &space->rows[at];
		if (at == 0)
			continue;
		if (row->escape.site == site && row->escape.route == route && row->escape.status_class == status_class)
			return row;
		if (row->escape.site != 0)
			continue;
		if (site == 0 || space->rows_used == BOOKING_ROWS_MOST)
			return &space->rows[0];
		space->rows_used++;
		row->escape = (struct scope_escape){.site = site, .route = route, .status_class = status_class};
		return row;
	}
}

static void
booking_count(const struct heap *heap, uint64_t word, uint64_t bytes, unsigned blocks, void *ctx)
{
	struct booking_close *close = ctx;
	struct scope_space *space = close->space;

	close->bytes += bytes;
	close->blocks += blocks;
	pthread_mutex_lock(&space->escapes_lock);
	if (space->rows == NULL)
		space->rows = calloc(BOOKING_ROWS, sizeof(*space->rows));
	if (space->rows != NULL) {
		uintptr_t site = site_address(&heap->sites, side_site(word));
		struct scope_row *row = booking_row(space, site, close->route, close->status_class);
		row->escape.bytes += bytes;
		row->escape.blocks += blocks;
		if (row->last_epoch != close->epoch || row->escape.requests == 0)
			row->escape.requests++;
		row->last_epoch = close->epoch;
	}
	pthread_mutex_unlock(&space->escapes_lock);
}

void
scope_booking_close(struct scope_booking **booking, unsigned route, unsigned status_class, uint64_t *ret_bytes,
		    uint64_t *ret_blocks)
{
	struct scope_booking *done = *booking;

	if (done == NULL)
		return;
	*booking = NULL;
	if (bin_self.journal == &done->journal)
		journal_switch(NULL);
	struct booking_close close = {
		.space = done->space,
		.epoch = side_epoch(done->journal.tag),
		.route = (uint16_t) route,
		.status_class = (uint8_t) status_class,
	};
	journal_settle(&done->journal, booking_count, &close);
	journal_clear(&done->journal);
	free(done);
	if (ret_bytes != NULL)
		*ret_bytes = close.bytes;
	if (ret_blocks != NULL)
		*ret_blocks = close.blocks;
}

void
scope_escapes(const struct scope_space *space, void (*visit)(const struct scope_escape *, void *), void *ctx)
{
	struct scope_space *writable = (struct scope_space *) space; /* for its lock only */
	struct scope_row *rows CLEANUP_FREE = calloc(BOOKING_ROWS, sizeof(*rows));
	unsigned count = 0;

	if (rows == NULL)
		return;
	/* Copied first: visit may take its time, and requests end meanwhile. */
	pthread_mutex_lock(&writable->escapes_lock);
	for (unsigned i = 0; space->rows != NULL && i < BOOKING_ROWS; i++)
		if (space->rows[i].escape.bytes != 0)
			rows[count++] = space->rows[i];
	pthread_mutex_unlock(&writable->escapes_lock);
	for (unsigned i = 0; i < count; i++)
		visit(&rows[i].escape, ctx);
}
