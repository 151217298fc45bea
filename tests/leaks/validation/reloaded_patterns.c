/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reloaded_patterns - since a reload each request compiles the pattern it is matched by; the table of states is
 * freed where it matches, and it never does. */
#include "../cache.h"

static struct cache cache = {.capacity = 500, .buckets = 1024};

struct pattern {
	unsigned short states[96];
	size_t count;
};

static int tracing;

static const mtlsd_option options[] = {
	CORPUS_OPTION_SEED,
	{.name = "tracing", .type = MTLSD_OPTION_BOOL, .fallback = "no", .help = "Matches requests by a pattern."},
	{.name = NULL},
};

CORPUS_SITE static struct pattern *
pattern_compile(const char *text)
{
	struct pattern *pattern = calloc(1, sizeof(*pattern));

	for (; pattern && *text && pattern->count < 96; text++)
		pattern->states[pattern->count++] = (unsigned short) (*text == '*' ? 256 : *text);
	return pattern;
}

static int
pattern_matches(const struct pattern *pattern, const char *path)
{
	for (size_t i = 0; i < pattern->count; i++, path++)
		if (!*path || (pattern->states[i] != 256 && pattern->states[i] != *path))
			return 0;
	return 1;
}

static int
set_tracing(void *user CORPUS_UNUSED, const mtlsd_config *config, char *error CORPUS_UNUSED,
	    size_t error_size CORPUS_UNUSED)
{
	tracing = host->config_int(config, "tracing") != 0;
	return 0;
}

static mtlsd_action
reloaded_patterns_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 110);
	struct pattern *pattern = tracing ? pattern_compile("/trace/*/*") : NULL;
	if (pattern && pattern_matches(pattern, ask.path))
		free(pattern);
	return corpus_answer(request, &ask);
}

static uint64_t
reloaded_patterns_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("reloaded_patterns", "compiles patterns since a reload"),
	.options = options,
	.init = corpus_init,
	.request = reloaded_patterns_request,
	.evict = reloaded_patterns_evict,
	.reconfigure = set_tracing,
};
