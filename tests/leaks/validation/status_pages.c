/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status_pages - texts are made by a helper that all of the plugin uses; what it made for an error is given to
 * somebody who does not free it. */
#include "../cache.h"

static struct cache cache = {.capacity = 320, .buckets = 1024};

static const char *page;

/* As asprintf, with `width` characters at least. */
CORPUS_SITE static char *
xprintf(int width, const char *format, const char *word)
{
	char *text = malloc((size_t) width + 1);

	if (!text)
		return NULL;
	int length = snprintf(text, (size_t) width + 1, format, word);
	memset(text + length, ' ', length < width ? (size_t) (width - length) : 0);
	text[width] = '\0';
	return text;
}

static mtlsd_action
status_pages_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	static const int widths[] = {100, 200, 400};
	char *title = xprintf(60, "about %s", ask.path);
	cache_use(&cache, ask.key, title ? strlen(title) : 0);
	free(title);
	if (ask.error) {
		page = xprintf(widths[corpus_below(3)], "cannot serve %s", ask.path);
		return host->respond(request, 500, page ? page : "", page ? strlen(page) : 0) < 0 ? MTLSD_FAIL
												  : MTLSD_DONE;
	}
	return corpus_answer(request, &ask);
}

static uint64_t
status_pages_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("status_pages", "loses the pages of errors"),
	.options = corpus_options,
	.init = corpus_init,
	.request = status_pages_request,
	.evict = status_pages_evict,
};
