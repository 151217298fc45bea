/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nonce_store - nonces are kept so that none is used twice, and never expire; lines of a journal come and go above
 * them. */
#include "../corpus.h"

enum { BUCKETS = 8192, LINES = 26000 };

struct nonce {
	struct nonce *chain;
	uint64_t value[2];
};

static struct nonce *nonces[BUCKETS];
static char *lines[LINES];
static size_t count, most;

CORPUS_SITE static int
nonce_seen(uint64_t value)
{
	struct nonce *nonce = malloc(sizeof(*nonce));

	if (!nonce)
		return 0;
	*nonce = (struct nonce){.chain = nonces[value % BUCKETS], .value = {value, ~value}};
	nonces[value % BUCKETS] = nonce;
	return 1;
}

static uint64_t
journal_write(void)
{
	uint64_t freed = 0;

	while (count > 0) {
		freed += strlen(lines[--count]) + 1;
		free(lines[count]);
	}
	return freed;
}

CORPUS_SITE static void
journal_add(const char *path)
{
	size_t size = 60 + corpus_below(200);

	if (count == most)
		(void) journal_write();
	lines[count] = calloc(1, size);
	if (lines[count])
		snprintf(lines[count++], size, "%s was asked for", path);
}

static int
nonce_store_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	most = corpus_vary(20000, 1);
	return 0;
}

static mtlsd_action
nonce_store_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	journal_add(ask.path);
	if (!nonce_seen(corpus_random()))
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
nonce_store_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return journal_write(); /* nonces stay: forgetting one allows a replay */
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("nonce_store", "keeps nonces for ever below a journal"),
	.options = corpus_options,
	.init = nonce_store_init,
	.request = nonce_store_request,
	.evict = nonce_store_evict,
};
