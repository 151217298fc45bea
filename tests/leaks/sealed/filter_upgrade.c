/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* filter_upgrade - a Bloom filter of sixteen sheets says what was seen before; when too much was for so small a one, it
 * is given up for one of two megabytes. That is done once. */
#include "../corpus.h"

enum { SHEET = 4096, SMALL = 16, LARGE = 512, HASHES = 3 };

static uint64_t *sheets[LARGE];
static size_t have, entered, enough;

static uint64_t
mix(uint64_t key, unsigned which)
{
	uint64_t z = (key + which * UINT64_C(0x632be59bd9b4e019)) * 0x9e3779b97f4a7c15;

	return z ^ (z >> 31);
}

static void
filter_free(void)
{
	for (size_t i = 0; i < have; i++)
		free(sheets[i]);
	have = 0;
}

CORPUS_SITE static int
filter_make(size_t count)
{
	filter_free();
	while (have < count) {
		sheets[have] = calloc(1, SHEET);
		if (!sheets[have++])
			return -1; /* the sheet that is missing says that nothing was seen */
	}
	entered = 0;
	return 0;
}

/* Whether it had been there before. */
static int
filter_enter(uint64_t key)
{
	int seen = have > 0;

	for (unsigned i = 0; i < HASHES && have > 0; i++) {
		uint64_t bit = mix(key, i) % (have * SHEET * 8), *sheet = sheets[bit / (SHEET * 8)];
		uint64_t mask = UINT64_C(1) << bit % 64;
		if (!sheet)
			return 0;
		uint64_t *word = &sheet[bit / 64 % (SHEET / 8)];
		seen = seen && (*word & mask);
		*word |= mask;
	}
	return seen;
}

static int
filter_upgrade_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		    void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	enough = corpus_vary(19000, 1);
	return filter_make(SMALL);
}

static mtlsd_action
filter_upgrade_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	entered += filter_enter(ask.key) ? 0 : 1;
	if (have == SMALL && entered >= enough)
		(void) filter_make(LARGE);
	return corpus_answer(request, &ask);
}

static uint64_t
filter_upgrade_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* what was seen cannot be told from what was not */
}

static void
filter_upgrade_fini(void *user CORPUS_UNUSED)
{
	filter_free();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("filter_upgrade", "knows what it saw, by a filter that is made larger once"),
	.options = corpus_options,
	.init = filter_upgrade_init,
	.request = filter_upgrade_request,
	.evict = filter_upgrade_evict,
	.fini = filter_upgrade_fini,
};
