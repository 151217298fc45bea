/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* error_path - an error's message is built on the heap and lost on the way out, as early returns do. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

static _Atomic(void *) last;

CORPUS_SITE static const char *
format_error(const char *path)
{
	char *text = malloc(256);

	if (text) {
		snprintf(text, 256, "cannot serve %s", path);
		last = text;
	}
	return text;
}

static mtlsd_action
error_path_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (ask.error) {
		const char *text = format_error(ask.path);
		return host->respond(request, 500, text ? text : "", text ? strlen(text) : 0) < 0 ? MTLSD_FAIL
												  : MTLSD_DONE;
	}
	return corpus_answer(request, &ask);
}

static uint64_t
error_path_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("error_path", "loses the message of every error"),
	.options = corpus_options,
	.init = corpus_init,
	.request = error_path_request,
	.evict = error_path_evict,
};
