/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resized - a table of ten thousand blocks of mixed lives, full from the start: each request replaces one, and the
 * sizes that are asked for change as time goes by, so that what lives swings by a quarter while the number of blocks
 * stays. */
#include "../corpus.h"

enum { SLOTS = 10000, KINDS = 6 };

static void *slots[SLOTS];
static uint64_t requests, phase;

CORPUS_SITE static void *
slot_new(size_t size)
{
	char *block = malloc(size);

	if (block)
		block[0] = 'r';
	return block;
}

static void
slot_set(size_t place, size_t kind)
{
	static const size_t sizes[KINDS] = {40, 700, 90, 1500, 200, 3000};
	size_t base = sizes[kind % KINDS];

	free(slots[place]);
	slots[place] = slot_new(base + corpus_below(base));
}

static void
slot_replace(void)
{
	size_t kind = (size_t) (requests++ / phase) + corpus_below(2);

	slot_set(corpus_below(10) ? corpus_below(SLOTS / 10) : corpus_below(SLOTS), kind);
}

static int
resized_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	     void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	phase = corpus_vary(8000, 1);
	for (size_t i = 0; i < SLOTS; i++)
		slot_set(i, corpus_below(KINDS));
	return 0;
}

static mtlsd_action
resized_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	slot_replace();
	return corpus_answer(request, &ask);
}

static uint64_t
resized_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	uint64_t freed = 0;

	for (size_t i = SLOTS / 2; i < SLOTS; i++) {
		freed += slots[i] ? 500 : 0;
		free(slots[i]);
		slots[i] = NULL;
	}
	return freed;
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("resized", "replaces blocks by larger and by smaller ones"),
	.options = corpus_options,
	.init = resized_init,
	.request = resized_request,
	.evict = resized_evict,
};
