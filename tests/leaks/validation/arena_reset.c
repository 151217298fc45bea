/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* arena_reset - small things of each request lie in an arena of chunks that is reset every thirty thousand
 * requests or so, to its first chunk. */
#include "../corpus.h"

enum { CHUNK = 32768 };

struct chunk {
	struct chunk *before;
	size_t used;
	unsigned char bytes[CHUNK - 2 * sizeof(void *)];
};

static struct chunk *arena;
static uint64_t served, period;

CORPUS_SITE static struct chunk *
chunk_add(void)
{
	struct chunk *chunk = malloc(sizeof(*chunk));

	if (!chunk)
		return NULL;
	chunk->before = arena;
	chunk->used = 0;
	return arena = chunk;
}

static void *
arena_take(size_t bytes)
{
	struct chunk *chunk = arena;

	if ((!chunk || chunk->used + bytes > sizeof(chunk->bytes)) && !(chunk = chunk_add()))
		return NULL;
	chunk->used += bytes;
	return chunk->bytes + chunk->used - bytes;
}

static uint64_t
arena_reset(void)
{
	uint64_t freed = 0;

	while (arena && arena->before) {
		struct chunk *chunk = arena;
		arena = chunk->before;
		free(chunk);
		freed += CHUNK;
	}
	if (arena)
		arena->used = 0;
	return freed;
}

static int
arena_reset_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	period = corpus_vary(30000, 1);
	return 0;
}

static mtlsd_action
arena_reset_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	char *thing = arena_take(60 + corpus_below(140));
	if (thing)
		snprintf(thing, 60, "%s", ask.path);
	if (++served % period == 0)
		(void) arena_reset();
	return corpus_answer(request, &ask);
}

static uint64_t
arena_reset_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return arena_reset(); /* no request is inside while this runs, and none keeps anything */
}

static void
arena_reset_fini(void *user CORPUS_UNUSED)
{
	(void) arena_reset();
	free(arena);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("arena_reset", "an arena that is reset now and then"),
	.options = corpus_options,
	.init = arena_reset_init,
	.request = arena_reset_request,
	.evict = arena_reset_evict,
	.fini = arena_reset_fini,
};
