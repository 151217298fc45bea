/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* under_sawtooth - a batch of 200 bytes a request is gathered and sent off whole; beside it 16 bytes a request
 * stay. */
#include "../batch.h"

static struct batch batch = {.row_bytes = 200};
static _Atomic(void *) last;

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
	batch.most = corpus_vary(15000, 1);
	return 0;
}

static mtlsd_action
under_sawtooth_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	batch_add(&batch, ask.path);
	keep_mark(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
under_sawtooth_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return batch_send(&batch);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("under_sawtooth", "leaks under a batch that comes and goes"),
	.options = corpus_options,
	.init = under_sawtooth_init,
	.request = under_sawtooth_request,
	.evict = under_sawtooth_evict,
};
