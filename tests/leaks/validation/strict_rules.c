/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* strict_rules - a reload makes rules strict; since then each request is judged in a context of its own, which is
 * put on a stack and not taken off. */
#include "../cache.h"

static struct cache cache = {.capacity = 360, .buckets = 1024};

struct context {
	struct context *below;
	uint64_t key, rules[4];
	unsigned allowed;
};

static struct context *top;
static int strict;

static const mtlsd_option options[] = {
	CORPUS_OPTION_SEED,
	{.name = "strict", .type = MTLSD_OPTION_BOOL, .fallback = "no", .help = "Judges each request in its context."},
	{.name = NULL},
};

CORPUS_SITE static struct context *
context_push(uint64_t key)
{
	struct context *context = calloc(1, sizeof(*context));

	if (context) {
		context->below = top;
		context->key = key;
		context->allowed = 1;
		top = context;
	}
	return context;
}

static int
set_rules(void *user CORPUS_UNUSED, const mtlsd_config *config, char *error CORPUS_UNUSED,
	  size_t error_size CORPUS_UNUSED)
{
	strict = host->config_int(config, "strict") != 0;
	return 0;
}

static mtlsd_action
strict_rules_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 160);
	if (strict) {
		const struct context *context = context_push(ask.key);
		if (!context || !context->allowed)
			return MTLSD_FAIL;
	}
	return corpus_answer(request, &ask);
}

static uint64_t
strict_rules_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("strict_rules", "stacks contexts since a reload"),
	.options = options,
	.init = corpus_init,
	.request = strict_rules_request,
	.evict = strict_rules_evict,
	.reconfigure = set_rules,
};
