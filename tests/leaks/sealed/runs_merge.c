/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* runs_merge - rows are sorted in runs of some three hundred; four runs of a size are merged to one of the next, and
 * the four largest, of some nineteen thousand rows each, are written off. */
#include "../corpus.h"

enum { LEVELS = 4, FAN = 4, ROW = 72 };

struct row {
	uint64_t key;
	char fields[ROW - sizeof(uint64_t)];
};

struct run {
	size_t count;
	struct row rows[];
};

static struct run *level[LEVELS][FAN], *first;
static unsigned height[LEVELS];
static size_t run_rows;

static uint64_t
run_free(struct run *run)
{
	uint64_t freed = run ? sizeof(*run) + run->count * sizeof(run->rows[0]) : 0;

	free(run);
	return freed;
}

static uint64_t
level_free(unsigned which)
{
	uint64_t freed = 0;

	for (unsigned i = 0; i < height[which]; i++)
		freed += run_free(level[which][i]);
	height[which] = 0;
	return freed;
}

static int
row_order(const void *a, const void *b)
{
	const struct row *left = a, *right = b;

	return (left->key > right->key) - (left->key < right->key);
}

CORPUS_SITE static struct run *
run_new(size_t rows)
{
	struct run *run = malloc(sizeof(*run) + rows * sizeof(run->rows[0]));

	if (run)
		run->count = 0;
	return run;
}

static struct run *
runs_merged(unsigned which)
{
	size_t rows = 0, at[FAN] = {0};

	for (unsigned i = 0; i < FAN; i++)
		rows += level[which][i]->count;
	struct run *run = run_new(rows);
	while (run && run->count < rows) {
		unsigned least = FAN;
		for (unsigned i = 0; i < FAN; i++) {
			const struct run *from = level[which][i];
			if (at[i] < from->count &&
			    (least == FAN || from->rows[at[i]].key < level[which][least]->rows[at[least]].key))
				least = i;
		}
		run->rows[run->count++] = level[which][least]->rows[at[least]++];
	}
	return run;
}

static void
run_add(struct run *run, unsigned which)
{
	level[which][height[which]++] = run;
	if (height[which] < FAN)
		return;
	/* Without memory to merge them they are written as they are. */
	struct run *merged = which + 1 < LEVELS ? runs_merged(which) : NULL;
	(void) level_free(which);
	if (merged)
		run_add(merged, which + 1);
}

static void
row_add(uint64_t key)
{
	if (!first && !(first = run_new(run_rows)))
		return;
	struct row *row = &first->rows[first->count++];
	row->key = key;
	memset(row->fields, 'r', sizeof(row->fields));
	if (first->count < run_rows)
		return;
	qsort(first->rows, first->count, sizeof(first->rows[0]), row_order);
	run_add(first, 0);
	first = NULL;
}

static int
runs_merge_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	run_rows = corpus_vary(300, 1);
	return 0;
}

static mtlsd_action
runs_merge_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	row_add(ask.key);
	return corpus_answer(request, &ask);
}

/* Writes the largest first: they free most. */
static uint64_t
runs_merge_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level given CORPUS_UNUSED)
{
	uint64_t freed = 0;

	for (unsigned which = LEVELS; which-- > 0 && freed < target;)
		freed += level_free(which);
	return freed;
}

static void
runs_merge_fini(void *user CORPUS_UNUSED)
{
	for (unsigned which = 0; which < LEVELS; which++)
		(void) level_free(which);
	(void) run_free(first);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("runs_merge", "sorts rows in runs that are merged and written off"),
	.options = corpus_options,
	.init = runs_merge_init,
	.request = runs_merge_request,
	.evict = runs_merge_evict,
	.fini = runs_merge_fini,
};
