/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* overlimit - allocates until the plugin's limit says no, tells how far it came and with which errno, frees it all.
 *
 * The query's `with=` chooses how: malloc (default), calloc, realloc, memalign or arena (the request's). The answer is
 * one JSON object. A ceiling stops it where no limit does, so that it never eats the machine.
 */
#include "fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static const mtlsd_host *host;
static size_t chunk;
static uint64_t ceiling;

static const mtlsd_option options[] = {
	{.name = "chunk", .type = MTLSD_OPTION_SIZE, .min = 16, .max = 1 << 28, .fallback = "64KiB",
	 .help = "Bytes of one allocation."},
	{.name = "ceiling", .type = MTLSD_OPTION_SIZE, .min = 16, .max = INT64_C(1) << 40, .fallback = "256MiB",
	 .help = "Stop here if nothing else stops it."},
	{.name = NULL},
};

/* The head of each block taken; the blocks are their own list. */
struct taken {
	struct taken *next;
};

static int
overlimit_init(const mtlsd_host *given, mtlsd_instance *self FIXTURE_UNUSED, const mtlsd_config *config,
	       void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	chunk = (size_t) host->config_int(config, "chunk");
	ceiling = (uint64_t) host->config_int(config, "ceiling");
	return 0;
}

static void *
take_malloc(mtlsd_request *request FIXTURE_UNUSED)
{
	return malloc(chunk);
}

static void *
take_calloc(mtlsd_request *request FIXTURE_UNUSED)
{
	return calloc(1, chunk);
}

static void *
take_realloc(mtlsd_request *request FIXTURE_UNUSED)
{
	void *half = malloc(chunk / 2), *whole;

	if (!half)
		return NULL;
	whole = realloc(half, chunk);
	if (!whole) {
		int keep = errno;
		free(half); /* a realloc that failed left it as it was */
		errno = keep;
	}
	return whole;
}

static void *
take_memalign(mtlsd_request *request FIXTURE_UNUSED)
{
	void *block;
	int result = posix_memalign(&block, 4096, chunk);

	if (result != 0) {
		errno = result; /* posix_memalign returns it and leaves errno alone */
		return NULL;
	}
	return block;
}

static void *
take_arena(mtlsd_request *request)
{
	return host->alloc(request, chunk);
}

static const struct {
	const char *name;
	void *(*take)(mtlsd_request *request);
	int give_back; /* by free; an arena ends by itself */
} ways[] = {
	{"malloc", take_malloc, 1},     {"calloc", take_calloc, 1}, {"realloc", take_realloc, 1},
	{"memalign", take_memalign, 1}, {"arena", take_arena, 0},
};

static mtlsd_action
overlimit_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	const char *query = host->query(request), *word = query ? strstr(query, "with=") : NULL;
	struct taken *list = NULL, *block;
	uint64_t got = 0;
	size_t i, way = 0;
	int reason = 0;
	char text[160];

	for (i = 0; word && i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strncmp(word + 5, ways[i].name, strlen(ways[i].name)) == 0)
			way = i;
	while (got < ceiling) {
		errno = 0;
		block = ways[way].take(request);
		if (!block) {
			reason = errno;
			break;
		}
		block->next = list;
		list = block;
		got += chunk;
	}
	while (list && ways[way].give_back) {
		block = list->next;
		free(list);
		list = block;
	}
	snprintf(text, sizeof(text), "{\"with\": \"%s\", \"got\": %" PRIu64 ", \"errno\": \"%s\"}\n", ways[way].name,
		 got, reason == ENOMEM ? "ENOMEM" : reason ? "other" : "none");
	return fixture_answer(host, request, 200, text);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("overlimit", "1.0", "allocates until it is refused"),
	.flags = MTLSD_CONCURRENT,
	.options = options,
	.init = overlimit_init,
	.request = overlimit_request,
};
