/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* quotas - a client has a quota in a table of chains; there are some hundred and fifty, fewer than clients, and a
 * new one takes the place of any. */
#include "../corpus.h"

enum { MOST = 195, BUCKETS = 128 };

struct quota {
	struct quota *chain;
	uint64_t client, left;
	uint64_t hours[24];
	char name[40];
};

static struct quota *bucket[BUCKETS], *all[MOST];
static size_t count, room;

static void
quota_unlink(const struct quota *quota)
{
	struct quota **place = &bucket[quota->client % BUCKETS];

	while (*place != quota)
		place = &(*place)->chain;
	*place = quota->chain;
}

CORPUS_SITE static struct quota *
quota_grant(uint64_t client, const char *name)
{
	size_t at = count < room ? count : (size_t) corpus_below(room);
	struct quota *quota = malloc(sizeof(*quota));

	if (!quota)
		return NULL;
	if (at == count) {
		count++;
	} else {
		quota_unlink(all[at]);
		free(all[at]);
	}
	*quota = (struct quota){.chain = bucket[client % BUCKETS], .client = client, .left = 1000000};
	snprintf(quota->name, sizeof(quota->name), "%s", name);
	bucket[client % BUCKETS] = quota;
	return all[at] = quota;
}

static struct quota *
quota_of(uint64_t client, const char *name)
{
	struct quota *quota = bucket[client % BUCKETS];

	while (quota && quota->client != client)
		quota = quota->chain;
	return quota ? quota : quota_grant(client, name);
}

static int
quotas_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	    void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	room = corpus_vary(150, 1);
	return 0;
}

static mtlsd_action
quotas_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	const char *name = host->identity(request, MTLSD_ID_SUBJECT, 0);
	struct quota *quota = quota_of(corpus_hash(name), name);
	if (!quota || quota->left == 0)
		return MTLSD_FAIL;
	quota->hours[corpus_now() / UINT64_C(3600000000) % 24]++;
	return corpus_answer(request, &ask);
}

static uint64_t
quotas_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* a quota that is forgotten is a quota that is full again */
}

static void
quotas_fini(void *user CORPUS_UNUSED)
{
	for (size_t i = 0; i < count; i++)
		free(all[i]);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("quotas", "keeps the quotas of a bounded number of clients"),
	.options = corpus_options,
	.init = quotas_init,
	.request = quotas_request,
	.evict = quotas_evict,
	.fini = quotas_fini,
};
