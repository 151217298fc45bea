/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rebuilt_index - an index of six hundred leaves is made anew every twenty thousand requests or so: the new one grows
 * beside the old, a leaf every few requests, and the old one goes when it is complete. */
#include "../corpus.h"

#include <errno.h>

enum { LEAVES = 600, ENTRIES = 240, PACE = 9 };

struct index {
	size_t leaves;
	unsigned *leaf[LEAVES];
};

static struct index *current, *next;
static uint64_t requests, period;

static uint64_t
index_free(struct index *index)
{
	uint64_t freed = 0;

	if (!index)
		return 0;
	for (size_t i = 0; i < index->leaves; i++) {
		free(index->leaf[i]);
		freed += ENTRIES * sizeof(unsigned);
	}
	free(index);
	return freed + sizeof(*index);
}

CORPUS_SITE static int
index_extend(struct index *index)
{
	unsigned *leaf = calloc(ENTRIES, sizeof(*leaf));

	if (!leaf)
		return -1;
	for (size_t i = 0; i < ENTRIES; i++)
		leaf[i] = (unsigned) (requests + i * index->leaves);
	index->leaf[index->leaves++] = leaf;
	return 0;
}

static void
index_work(void)
{
	requests++;
	if (!next && requests % period == 0)
		next = calloc(1, sizeof(*next));
	if (!next || requests % PACE != 0 || index_extend(next) < 0 || next->leaves < LEAVES)
		return;
	(void) index_free(current);
	current = next;
	next = NULL;
}

static int
rebuilt_index_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		   void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	period = corpus_vary(20000, 1);
	current = calloc(1, sizeof(*current));
	while (current && current->leaves < LEAVES && index_extend(current) == 0)
		continue;
	if (current && current->leaves == LEAVES)
		return 0;
	(void) index_free(current);
	return -ENOMEM;
}

static mtlsd_action
rebuilt_index_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	index_work();
	return corpus_answer(request, &ask);
}

/* The one being made is given up until its next turn; the other is in use. */
static uint64_t
rebuilt_index_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	uint64_t freed = index_free(next);

	next = NULL;
	return freed;
}

static void
rebuilt_index_fini(void *user CORPUS_UNUSED)
{
	(void) index_free(current);
	(void) index_free(next);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("rebuilt_index", "makes its index anew now and then, beside the old one"),
	.options = corpus_options,
	.init = rebuilt_index_init,
	.request = rebuilt_index_request,
	.evict = rebuilt_index_evict,
	.fini = rebuilt_index_fini,
};
