/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daily_visitors - who came in the last half minute is counted in sixteen buckets of two seconds, a visit a block;
 * there are as many as the day is busy, and bursts show. */
#include "../corpus.h"

enum { BUCKETS = 16 };

struct visit {
	struct visit *next;
	uint64_t client, items[10];
};

static struct visit *visits[BUCKETS];
static uint64_t now_bucket, width;

CORPUS_SITE static void
visit_add(uint64_t client, uint64_t key)
{
	struct visit *visit = calloc(1, sizeof(*visit)), **place = &visits[now_bucket % BUCKETS];

	if (!visit)
		return;
	*visit = (struct visit){.next = *place, .client = client, .items = {key}};
	*place = visit;
}

static void
bucket_empty(struct visit **place)
{
	for (struct visit *visit = *place, *next; visit; visit = next) {
		next = visit->next;
		free(visit);
	}
	*place = NULL;
}

static void
buckets_turn(uint64_t to)
{
	for (int i = 0; i < BUCKETS && now_bucket < to; i++)
		bucket_empty(&visits[++now_bucket % BUCKETS]);
	now_bucket = to;
}

static int
daily_visitors_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		    void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	width = corpus_vary(2000000, 1);
	now_bucket = corpus_now() / width;
	return 0;
}

static mtlsd_action
daily_visitors_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	buckets_turn(corpus_now() / width);
	visit_add(corpus_hash(host->identity(request, MTLSD_ID_SUBJECT, 0)), ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
daily_visitors_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* the count would be wrong */
}

static void
daily_visitors_fini(void *user CORPUS_UNUSED)
{
	for (int i = 0; i < BUCKETS; i++)
		bucket_empty(&visits[i]);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("daily_visitors", "counts the visitors of the last half minute"),
	.options = corpus_options,
	.init = daily_visitors_init,
	.request = daily_visitors_request,
	.evict = daily_visitors_evict,
	.fini = daily_visitors_fini,
};
