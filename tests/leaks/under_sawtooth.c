/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* under_sawtooth - a batch of 200 bytes a request is gathered and sent off whole; beside it 16 bytes a request
 * stay. */
#include "corpus.h"

struct row {
	struct row *next;
	char text[192];
};

static struct row *rows;
static uint64_t count, batch = 15000;
static _Atomic(void *) last;

static uint64_t
batch_send(void)
{
	uint64_t freed = 0;

	for (struct row *row = rows, *next; row; row = next) {
		next = row->next;
		free(row);
		freed += sizeof(*row);
	}
	rows = NULL;
	count = 0;
	return freed;
}

CORPUS_SITE static void
batch_add(const char *path)
{
	struct row *row = malloc(sizeof(*row));

	if (!row)
		return;
	snprintf(row->text, sizeof(row->text), "%s", path);
	row->next = rows;
	rows = row;
	if (++count >= batch)
		(void) batch_send();
}

CORPUS_SITE static void
keep_mark(uint64_t key)
{
	uint64_t *mark = malloc(16);

	if (mark) {
		*mark = key;
		last = mark;
	}
}

static int
under_sawtooth_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		    void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	batch = corpus_vary(batch, 1);
	return 0;
}

static mtlsd_action
under_sawtooth_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	batch_add(ask.path);
	keep_mark(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
under_sawtooth_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return batch_send();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("under_sawtooth", "leaks under a batch that comes and goes"),
	.options = corpus_options,
	.init = under_sawtooth_init,
	.request = under_sawtooth_request,
	.evict = under_sawtooth_evict,
};
