/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parser_pool - a request borrows a parser, whose stack is made larger for a document that is nested deeper than any it
 * has seen; parsers are kept for the next, as many as were ever out at once. */
#include "../corpus.h"

enum { DEEPEST = 32, FRAME = 56 };

struct parser {
	struct parser *next;
	char *stack;
	size_t frames;
	char input[4096];
};

static struct parser *spare;

static void
parser_give(void *data)
{
	struct parser *parser = data;

	parser->next = spare;
	spare = parser;
}

CORPUS_SITE static struct parser *
parser_take(void)
{
	struct parser *parser = spare;

	if (parser)
		spare = parser->next;
	else
		parser = calloc(1, sizeof(*parser));
	return parser;
}

CORPUS_SITE static int
parser_deepen(struct parser *parser, size_t frames)
{
	if (frames <= parser->frames)
		return 0;
	char *stack = realloc(parser->stack, frames * FRAME);
	if (!stack)
		return -1;
	memset(stack + parser->frames * FRAME, 0, (frames - parser->frames) * FRAME);
	parser->stack = stack;
	parser->frames = frames;
	return 0;
}

/* Each level has another below it as often as not. */
static size_t
document_depth(uint64_t key)
{
	uint64_t bits = key * 0x9e3779b97f4a7c15 >> 20;
	size_t depth = 4;

	for (; depth < DEEPEST && (bits & 1); bits >>= 1)
		depth++;
	return depth;
}

static mtlsd_action
parser_pool_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct parser *parser = parser_take();
	if (!parser)
		return MTLSD_FAIL;
	if (host->set_data(request, parser, parser_give) < 0) {
		parser_give(parser);
		return MTLSD_FAIL;
	}
	if (parser_deepen(parser, document_depth(ask.key)) < 0)
		return MTLSD_FAIL;
	snprintf(parser->input, sizeof(parser->input), "%s %llu", ask.path, (unsigned long long) ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
parser_pool_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	uint64_t freed = 0;

	while (spare && freed < target) {
		struct parser *parser = spare;
		spare = parser->next;
		freed += sizeof(*parser) + parser->frames * FRAME;
		free(parser->stack);
		free(parser);
	}
	return freed;
}

static void
parser_pool_fini(void *user)
{
	(void) parser_pool_evict(user, UINT64_MAX, MTLSD_EVICT_STATE);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("parser_pool", "keeps its parsers, and their stacks as deep as they ever were"),
	.options = corpus_options,
	.init = corpus_init,
	.request = parser_pool_request,
	.evict = parser_pool_evict,
	.fini = parser_pool_fini,
};
