/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* debug_pages - the last six thousand requests are described in a ring, each in a place that is made to fit by
 * realloc. */
#include "../corpus.h"

enum { PLACES = 7800 };

static char *places[PLACES];
static size_t at, room;

CORPUS_SITE static void
describe(const char *path)
{
	size_t length = strlen(path) + 12 + corpus_below(180);
	char *fitting = realloc(places[at], length);

	if (!fitting)
		return;
	snprintf(fitting, length, "served %s", path);
	places[at] = fitting;
	at = (at + 1) % room;
}

static int
debug_pages_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	room = corpus_vary(6000, 1);
	return 0;
}

static mtlsd_action
debug_pages_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	describe(ask.path);
	return corpus_answer(request, &ask);
}

static uint64_t
debug_pages_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* it is kept for the case that something happens */
}

static void
debug_pages_fini(void *user CORPUS_UNUSED)
{
	for (size_t i = 0; i < room; i++)
		free(places[i]);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("debug_pages", "a ring of descriptions that are made to fit"),
	.options = corpus_options,
	.init = debug_pages_init,
	.request = debug_pages_request,
	.evict = debug_pages_evict,
	.fini = debug_pages_fini,
};
