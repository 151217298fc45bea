/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* window_counts - how often each thing is asked for is counted by windows of some twenty-five thousand requests, a
 * block a thing; a window that is over is told and freed. A request in four brings a watermark in a block of its own,
 * which takes the place of the one before. */
#include "../corpus.h"

enum { CHAINS = 8192 };

struct tally {
	struct tally *next;
	uint64_t key, count, first, last;
	char name[40];
};

struct watermark {
	uint64_t window, key, at;
};

static struct tally *chains[CHAINS];
static const struct watermark *watermark;
static uint64_t window, seen, most, live;

static uint64_t
window_end(void)
{
	uint64_t freed = live * sizeof(struct tally);

	for (size_t i = 0; i < CHAINS; i++) {
		for (struct tally *tally = chains[i], *next; tally; tally = next) {
			next = tally->next;
			free(tally);
		}
		chains[i] = NULL;
	}
	window++;
	seen = live = 0;
	return freed;
}

CORPUS_SITE static struct tally *
tally_new(const struct corpus_ask *ask, uint64_t now)
{
	struct tally *tally = calloc(1, sizeof(*tally));

	if (tally) {
		tally->key = ask->key;
		tally->first = now;
		snprintf(tally->name, sizeof(tally->name), "%s", ask->path);
		live++;
	}
	return tally;
}

static void
window_count(const struct corpus_ask *ask, uint64_t now)
{
	struct tally **chain = &chains[ask->key * 0x9e3779b97f4a7c15 >> 51], *tally = *chain;

	while (tally && tally->key != ask->key)
		tally = tally->next;
	if (!tally) {
		tally = tally_new(ask, now);
		if (!tally)
			return;
		tally->next = *chain;
		*chain = tally;
	}
	tally->count++;
	tally->last = now;
	if (++seen >= most)
		(void) window_end();
}

CORPUS_SITE static const struct watermark *
watermark_new(uint64_t key, uint64_t now)
{
	struct watermark *fresh = malloc(sizeof(*fresh));

	if (fresh)
		*fresh = (struct watermark){window, key, now};
	return fresh;
}

static int
window_counts_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		   void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	most = corpus_vary(25000, 1);
	return 0;
}

static mtlsd_action
window_counts_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;
	uint64_t now = corpus_now();

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	window_count(&ask, now);
	if (corpus_below(4) == 0)
		watermark = watermark_new(ask.key, now);
	return corpus_answer(request, &ask);
}

/* A window may end early: whoever is told adds up. */
static uint64_t
window_counts_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return window_end();
}

static void
window_counts_fini(void *user CORPUS_UNUSED)
{
	(void) window_end();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("window_counts", "counts by windows of requests"),
	.options = corpus_options,
	.init = window_counts_init,
	.request = window_counts_request,
	.evict = window_counts_evict,
	.fini = window_counts_fini,
};
