/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tally_flush - tallies of what was asked for, in a tree by name; after some eighteen hundred requests they are
 * reported and the tree is cut down. */
#include "../corpus.h"

struct tally {
	struct tally *left, *right;
	uint64_t requests, errors;
	char name[];
};

static struct tally *root;
static uint64_t period, requests;

static uint64_t
tallies_cut(struct tally *tally)
{
	if (!tally)
		return 0;
	uint64_t freed = sizeof(*tally) + strlen(tally->name) + 1;
	freed += tallies_cut(tally->left) + tallies_cut(tally->right);
	free(tally);
	return freed;
}

CORPUS_SITE static struct tally *
tally_new(const char *name)
{
	size_t length = strlen(name);
	struct tally *tally = calloc(1, sizeof(*tally) + length + 1);

	if (tally)
		memcpy(tally->name, name, length);
	return tally;
}

static struct tally *
tally_of(const char *name)
{
	struct tally **place = &root;

	while (*place) {
		int order = strcmp(name, (*place)->name);
		if (order == 0)
			return *place;
		place = order < 0 ? &(*place)->left : &(*place)->right;
	}
	return *place = tally_new(name);
}

static uint64_t
tallies_report(void)
{
	uint64_t freed = tallies_cut(root);

	root = NULL;
	requests = 0;
	return freed;
}

static int
tally_flush_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	period = corpus_vary(1800, 1);
	return 0;
}

static mtlsd_action
tally_flush_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;
	char name[100];

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	snprintf(name, sizeof(name), "/collections/%016llx/items/%llu/latest",
		 (unsigned long long) (ask.key * 0x9e3779b97f4a7c15), (unsigned long long) ask.key);
	struct tally *tally = tally_of(name);
	if (tally) {
		tally->requests++;
		tally->errors += ask.error ? 1 : 0;
	}
	if (++requests >= period)
		(void) tallies_report();
	return corpus_answer(request, &ask);
}

static uint64_t
tally_flush_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return tallies_report();
}

static void
tally_flush_fini(void *user CORPUS_UNUSED)
{
	(void) tallies_report();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("tally_flush", "tallies that are reported and begun anew"),
	.options = corpus_options,
	.init = tally_flush_init,
	.request = tally_flush_request,
	.evict = tally_flush_evict,
	.fini = tally_flush_fini,
};
