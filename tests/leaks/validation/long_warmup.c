/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* long_warmup - an index of three thousand blocks is read from its beginning to its end, a block every thirty
 * requests: a warm-up of some ninety thousand requests, and then nothing. */
#include "../corpus.h"

enum { BLOCKS = 3000, BLOCK = 1024 };

static uint32_t *blocks[BLOCKS];
static size_t held;
static uint64_t served, every;

CORPUS_SITE static int
block_read(void)
{
	uint32_t *block = malloc(BLOCK);

	if (!block)
		return -1;
	for (size_t i = 0; i < BLOCK / sizeof(*block); i++)
		block[i] = (uint32_t) (held + i);
	blocks[held++] = block;
	return 0;
}

static uint64_t
blocks_drop(void)
{
	uint64_t freed = held * BLOCK;

	while (held > 0)
		free(blocks[--held]);
	return freed;
}

static int
long_warmup_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	every = corpus_vary(30, 1);
	return 0;
}

static mtlsd_action
long_warmup_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	if (++served % every == 0 && held < BLOCKS && block_read() < 0)
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
long_warmup_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return blocks_drop(); /* it can be read again */
}

static void
long_warmup_fini(void *user CORPUS_UNUSED)
{
	(void) blocks_drop();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("long_warmup", "reads an index little by little"),
	.options = corpus_options,
	.init = long_warmup_init,
	.request = long_warmup_request,
	.evict = long_warmup_evict,
	.fini = long_warmup_fini,
};
