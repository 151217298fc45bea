/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* grace_period - what is replaced is retired with a stamp, and freed when three thousand requests or so have come
 * after it: by then no reader is left. An eviction must not shorten that. */
#include "../corpus.h"

enum { CELLS = 300, RING = 3900 };

struct cell {
	char data[150];
};

static struct cell *cells[CELLS], *retired[RING];
static uint64_t stamp, grace;

CORPUS_SITE static void
cell_replace(size_t which)
{
	struct cell *cell = malloc(sizeof(*cell)), **place = &retired[stamp++ % grace];

	if (!cell)
		return;
	memset(cell->data, 'c', sizeof(cell->data));
	free(*place); /* a grace ago */
	*place = cells[which];
	cells[which] = cell;
}

static int
grace_period_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		  void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	grace = corpus_vary(3000, 1);
	return 0;
}

static mtlsd_action
grace_period_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cell_replace((size_t) corpus_below(CELLS));
	return corpus_answer(request, &ask);
}

static uint64_t
grace_period_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* not before their time */
}

static void
grace_period_fini(void *user CORPUS_UNUSED)
{
	for (size_t i = 0; i < CELLS; i++)
		free(cells[i]);
	for (size_t i = 0; i < grace; i++)
		free(retired[i]);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("grace_period", "frees what was replaced after a grace"),
	.options = corpus_options,
	.init = grace_period_init,
	.request = grace_period_request,
	.evict = grace_period_evict,
	.fini = grace_period_fini,
};
