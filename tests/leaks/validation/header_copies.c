/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* header_copies - one route copies the headers of each of its requests for whoever comes after; nobody does. */
#include "../cache.h"

static struct cache cache = {.capacity = 600, .buckets = 1024};

struct copies {
	size_t count;
	char text[12][32];
};

static const struct copies *latest;

CORPUS_SITE static struct copies *
headers_copy(const mtlsd_request *request)
{
	struct copies *copies = malloc(sizeof(*copies));
	const char *name, *value;

	if (!copies)
		return NULL;
	copies->count = 0;
	while (copies->count < 12 && host->header_at(request, copies->count, &name, &value)) {
		snprintf(copies->text[copies->count], sizeof(copies->text[0]), "%s: %s", name, value);
		copies->count++;
	}
	return copies;
}

static mtlsd_action
header_copies_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	if (strcmp(host->route(request), "special") == 0)
		latest = headers_copy(request);
	struct copies *passing = headers_copy(request);
	cache_use(&cache, ask.key, passing ? 20 + 32 * passing->count : 20);
	free(passing);
	return corpus_answer(request, &ask);
}

static uint64_t
header_copies_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("header_copies", "one route keeps copies of headers"),
	.options = corpus_options,
	.init = corpus_init,
	.request = header_copies_request,
	.evict = header_copies_evict,
};
