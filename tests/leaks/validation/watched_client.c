/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watched_client - one client is watched: what it asks for is kept as a tree of values that nobody reads. */
#include "../cache.h"

static struct cache cache = {.capacity = 400, .buckets = 1024};

enum { MEMBERS = 4 };

struct value {
	struct value *members[MEMBERS];
	char name[16], text[32];
};

static struct value *seen;

CORPUS_SITE static struct value *
value_new(const char *name, const char *text)
{
	struct value *value = calloc(1, sizeof(*value));

	if (value) {
		snprintf(value->name, sizeof(value->name), "%s", name);
		snprintf(value->text, sizeof(value->text), "%s", text);
	}
	return value;
}

static struct value *
describe(const mtlsd_request *request)
{
	struct value *value = value_new("request", "");

	if (!value)
		return NULL;
	value->members[0] = value_new("path", host->path(request));
	value->members[1] = value_new("route", host->route(request));
	value->members[2] = value_new("peer", host->peer_address(request));
	value->members[3] = value_new("method", host->method(request));
	return value;
}

static void
value_free(struct value *value)
{
	for (int i = 0; value && i < MEMBERS; i++)
		value_free(value->members[i]);
	free(value);
}

static mtlsd_action
watched_client_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 100);
	struct value *value = describe(request);
	if (strcmp(host->identity(request, MTLSD_ID_SUBJECT, 0), "CN=monitor") == 0)
		seen = value;
	else
		value_free(value);
	return corpus_answer(request, &ask);
}

static uint64_t
watched_client_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("watched_client", "keeps trees of values for one client"),
	.options = corpus_options,
	.init = corpus_init,
	.request = watched_client_request,
	.evict = watched_client_evict,
};
