/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* after_reload - healthy until a reload turns its history on; the history has no end. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

static int history;
static _Atomic(void *) last;

static const mtlsd_option options[] = {
	CORPUS_OPTION_SEED,
	{.name = "history", .type = MTLSD_OPTION_BOOL, .fallback = "no", .help = "Keeps a line of every request."},
	{.name = NULL},
};

CORPUS_SITE static void
append_history(uint64_t key)
{
	uint64_t *line = malloc(32);

	if (line) {
		*line = key;
		last = line;
	}
}

static int
after_reload_reconfigure(void *user CORPUS_UNUSED, const mtlsd_config *config, char *error CORPUS_UNUSED,
			 size_t error_size CORPUS_UNUSED)
{
	history = host->config_int(config, "history") != 0;
	return 0;
}

static mtlsd_action
after_reload_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 150);
	if (history)
		append_history(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
after_reload_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("after_reload", "begins to leak with new settings"),
	.options = options,
	.init = corpus_init,
	.request = after_reload_request,
	.evict = after_reload_evict,
	.reconfigure = after_reload_reconfigure,
};
