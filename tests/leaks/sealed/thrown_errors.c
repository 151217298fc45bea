/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* thrown_errors - errors are thrown, by longjmp; what the scanner had allocated when it threw is below the frame that
 * caught it, and nobody's any more. */
#include "../cache.h"

#include <setjmp.h>

static struct cache cache = {.capacity = 540, .buckets = 1024};

struct scanner {
	const char *at;
	unsigned depth, tokens;
	uint16_t state[128];
};

static jmp_buf catcher;

CORPUS_SITE static struct scanner *
scanner_new(const char *text)
{
	struct scanner *scanner = calloc(1, sizeof(*scanner));

	if (scanner)
		scanner->at = text;
	return scanner;
}

static void
scan(const struct corpus_ask *ask)
{
	struct scanner *scanner = scanner_new(ask->path);

	if (!scanner)
		longjmp(catcher, 1);
	for (; *scanner->at; scanner->at++) {
		if (*scanner->at == '/')
			scanner->depth++;
		scanner->state[scanner->tokens++ % 128] = (uint16_t) scanner->depth;
	}
	if (ask->error)
		longjmp(catcher, 2);
	free(scanner);
}

static mtlsd_action
thrown_errors_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 105);
	if (setjmp(catcher) == 0)
		scan(&ask);
	return corpus_answer(request, &ask);
}

static uint64_t
thrown_errors_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("thrown_errors", "throws its errors past what it holds"),
	.options = corpus_options,
	.init = corpus_init,
	.request = thrown_errors_request,
	.evict = thrown_errors_evict,
};
