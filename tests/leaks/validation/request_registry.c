/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* request_registry - all requests there ever were are registered under their numbers, with a copy of what they
 * were, in a table for the whole process. */
#include "../corpus.h"

enum { SHELVES = 16384 };

struct record {
	struct record *below;
	uint64_t number;
	char copy[];
};

static struct record *shelf[SHELVES];
static uint64_t number;

CORPUS_SITE static struct record *
record_new(const char *path)
{
	static const size_t sizes[] = {112, 176, 224, 288};
	size_t size = sizes[corpus_below(4)];
	struct record *record = malloc(size);

	if (record) {
		record->number = ++number;
		snprintf(record->copy, size - sizeof(*record), "%s", path);
	}
	return record;
}

static mtlsd_action
request_registry_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct record *record = record_new(ask.path);
	if (!record)
		return MTLSD_FAIL;
	record->below = shelf[record->number % SHELVES];
	shelf[record->number % SHELVES] = record;
	return corpus_answer(request, &ask);
}

static uint64_t
request_registry_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* records are what the plugin is for */
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("request_registry", "registers requests for good"),
	.options = corpus_options,
	.init = corpus_init,
	.request = request_registry_request,
	.evict = request_registry_evict,
};
