/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vacuum_backoff - what a row was before stays beside it until a vacuum frees all of that. A vacuum costs, so that each
 * comes after twice as many requests as the one before it, from some nine hundred to some fourteen thousand. */
#include "../corpus.h"

enum { ROWS = 800, DOUBLINGS = 4 };

struct version {
	struct version *before;
	uint64_t at, key;
	char columns[136];
};

static struct version *rows[ROWS];
static uint64_t dead, patience;
static unsigned vacuums;

static uint64_t
row_vacuum(struct version *newest)
{
	uint64_t freed = 0;

	while (newest && newest->before) {
		struct version *version = newest->before;
		newest->before = version->before;
		free(version);
		freed += sizeof(*version);
	}
	return freed;
}

static uint64_t
vacuum(void)
{
	uint64_t freed = 0;

	for (size_t i = 0; i < ROWS; i++)
		freed += row_vacuum(rows[i]);
	dead = 0;
	return freed;
}

CORPUS_SITE static void
row_update(size_t which, uint64_t key)
{
	struct version *version = calloc(1, sizeof(*version));

	if (!version)
		return;
	version->at = corpus_now();
	version->key = key;
	version->before = rows[which];
	dead += rows[which] ? 1 : 0;
	rows[which] = version;
}

static int
vacuum_backoff_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		    void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	patience = corpus_vary(900, 1);
	for (size_t i = 0; i < ROWS; i++)
		row_update(i, 0);
	return 0;
}

static mtlsd_action
vacuum_backoff_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	row_update(ask.key % ROWS, ask.key);
	if (dead >= patience << vacuums) {
		(void) vacuum();
		vacuums += vacuums < DOUBLINGS ? 1 : 0;
	}
	return corpus_answer(request, &ask);
}

static uint64_t
vacuum_backoff_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return vacuum();
}

static void
vacuum_backoff_fini(void *user CORPUS_UNUSED)
{
	(void) vacuum();
	for (size_t i = 0; i < ROWS; i++)
		free(rows[i]);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("vacuum_backoff", "keeps what its rows were until a vacuum, which comes ever later"),
	.options = corpus_options,
	.init = vacuum_backoff_init,
	.request = vacuum_backoff_request,
	.evict = vacuum_backoff_evict,
	.fini = vacuum_backoff_fini,
};
