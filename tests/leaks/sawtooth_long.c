/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sawtooth_long - gathers a batch of about ninety thousand requests, ten megabytes, before it is sent off. */
#include "corpus.h"

struct row {
	struct row *next;
	char text[112 - sizeof(void *)];
};

static struct row *rows;
static uint64_t count, batch;

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

static int
sawtooth_long_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		   void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	batch = corpus_vary(90000, 1);
	return 0;
}

static mtlsd_action
sawtooth_long_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	batch_add(ask.path);
	return corpus_answer(request, &ask);
}

static uint64_t
sawtooth_long_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return batch_send();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("sawtooth_long", "gathers a batch and sends it off"),
	.options = corpus_options,
	.init = sawtooth_long_init,
	.request = sawtooth_long_request,
	.evict = sawtooth_long_evict,
};
