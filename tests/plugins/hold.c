/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hold - keeps a given number of blocks from its start to its end; each request takes a few more and frees them.
 *
 * For what must hold beside a large heap: walks, dumps, restarts.
 */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

enum { PASSING = 8 };

static const mtlsd_host *host;
static size_t largest;

static const mtlsd_option options[] = {
	{.name = "blocks", .type = MTLSD_OPTION_INT, .max = 1 << 30, .fallback = "1000", .help = "Blocks kept."},
	{.name = "largest", .type = MTLSD_OPTION_SIZE, .min = 16, .max = 1 << 24, .fallback = "128",
	 .help = "Sizes go from 16 bytes to this."},
	{.name = NULL},
};

/* The blocks kept, each pointing to the one before: a store the compiler must keep. */
static void *_Atomic last;

__attribute__((noinline)) static int
hold_keep(int64_t blocks)
{
	for (int64_t i = 0; i < blocks; i++) {
		void **block = malloc(16 + (size_t) i * 16 % (largest - 15));

		if (!block)
			return -ENOMEM;
		*block = last;
		last = block;
	}
	return 0;
}

static int
hold_init(const mtlsd_host *given, mtlsd_instance *self FIXTURE_UNUSED, const mtlsd_config *config,
	  void **user FIXTURE_UNUSED, char *error, size_t error_size)
{
	int result;

	host = given;
	largest = (size_t) host->config_int(config, "largest");
	result = hold_keep(host->config_int(config, "blocks"));
	if (result < 0)
		snprintf(error, error_size, "the blocks do not fit below the memory limit");
	return result;
}

static mtlsd_action
hold_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	char *blocks[PASSING];
	size_t i, refused = 0;

	for (i = 0; i < PASSING; i++) {
		blocks[i] = malloc(16 + i * 100);
		if (blocks[i])
			memset(blocks[i], 'h', 16 + i * 100);
		else
			refused++;
	}
	for (i = 0; i < PASSING; i++)
		free(blocks[i]);
	return refused ? fixture_answer(host, request, 507, "no memory\n") : fixture_answer(host, request, 200, "ok\n");
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("hold", "1.0", "keeps many blocks"),
	.flags = MTLSD_CONCURRENT | MTLSD_OVERLAP,
	.options = options,
	.init = hold_init,
	.request = hold_request,
};
