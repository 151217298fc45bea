/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* batch.h - rows that are gathered until there are enough of them, then sent off and freed all at once.
 *
 * Threads: one at a time. Owns: its rows, until batch_send.
 */
#include "corpus.h"

struct batch_row {
	struct batch_row *next;
	char text[];
};

struct batch {
	size_t row_bytes; /* of a block */
	uint64_t most;    /* rows */
	struct batch_row *rows;
	uint64_t count;
};

/* Returns the bytes freed. */
static inline uint64_t
batch_send(struct batch *batch)
{
	uint64_t freed = batch->count * batch->row_bytes;

	for (struct batch_row *row = batch->rows, *next; row; row = next) {
		next = row->next;
		free(row);
	}
	batch->rows = NULL;
	batch->count = 0;
	return freed;
}

CORPUS_SITE static void
batch_add(struct batch *batch, const char *path)
{
	struct batch_row *row = malloc(batch->row_bytes);

	if (!row)
		return;
	snprintf(row->text, batch->row_bytes - sizeof(*row), "%s", path);
	row->next = batch->rows;
	batch->rows = row;
	if (++batch->count >= batch->most)
		(void) batch_send(batch);
}
