/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* csv_writer - a row of three cells for each request, each cell a string of its own; some three thousand rows are
 * written as one, and freed. */
#include "../corpus.h"

enum { CELLS = 3, ROWS = 3900 };

static char *rows[ROWS][CELLS];
static size_t count, most;

CORPUS_SITE static char *
cell_new(const char *text, size_t width)
{
	char *cell = malloc(width);

	if (cell)
		snprintf(cell, width, "%s", text);
	return cell;
}

static void
rows_write(void)
{
	while (count > 0) {
		count--;
		for (int i = 0; i < CELLS; i++)
			free(rows[count][i]);
	}
}

static int
csv_writer_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	most = corpus_vary(3000, 1);
	return 0;
}

static mtlsd_action
csv_writer_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	rows[count][0] = cell_new(ask.path, 40);
	rows[count][1] = cell_new(host->route(request), 16);
	rows[count][2] = cell_new("a remark", 30 + corpus_below(150));
	if (++count == most)
		rows_write();
	return corpus_answer(request, &ask);
}

static uint64_t
csv_writer_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	uint64_t freed = count * 160;
	rows_write();
	return freed;
}

static void
csv_writer_fini(void *user CORPUS_UNUSED)
{
	rows_write();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("csv_writer", "writes rows of cells in batches"),
	.options = corpus_options,
	.init = csv_writer_init,
	.request = csv_writer_request,
	.evict = csv_writer_evict,
	.fini = csv_writer_fini,
};
