/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mixed_sizes - three megabytes of parts, there from the beginning; each request replaces the oldest parts by as
 * many bytes, in parts of sizes that change with the hour: what lives stays the same, the pages it lies on do not. */
#include "../corpus.h"

enum { PARTS = 65536, BUDGET = 3 << 20, SHARE = 4096 /* bytes a request */ };

static struct part {
	void *data;
	size_t bytes;
} parts[PARTS]; /* a ring */
static size_t first, count, live;
static uint64_t served, phase;

static void
part_drop(void)
{
	struct part *part = &parts[first];

	free(part->data);
	live -= part->bytes;
	first = (first + 1) % PARTS;
	count--;
}

CORPUS_SITE static size_t
part_add(size_t bytes)
{
	while (count == PARTS || live + bytes > BUDGET)
		part_drop();
	struct part *part = &parts[(first + count) % PARTS];
	*part = (struct part){.data = malloc(bytes), .bytes = bytes};
	if (part->data)
		memset(part->data, 'p', 16);
	live += bytes;
	count++;
	return bytes;
}

static void
parts_replace(size_t share)
{
	/* All of them class sizes: what is asked for is what it costs. */
	static const size_t sizes[][3] = {{64, 96, 128}, {1024, 1536, 2048}, {160, 320, 448}, {3072, 4096, 640}};
	const size_t *now = sizes[served / phase % 4];

	for (size_t done = 0; done < share;)
		done += part_add(now[corpus_below(3)]);
}

static int
mixed_sizes_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	phase = corpus_vary(6000, 1);
	parts_replace(BUDGET);
	return 0;
}

static mtlsd_action
mixed_sizes_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	served++;
	parts_replace(SHARE);
	return corpus_answer(request, &ask);
}

static uint64_t
mixed_sizes_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	size_t before = live;
	while (live > before / 2)
		part_drop();
	return before - live;
}

static void
mixed_sizes_fini(void *user CORPUS_UNUSED)
{
	while (count > 0)
		part_drop();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("mixed_sizes", "replaces parts by parts of other sizes"),
	.options = corpus_options,
	.init = mixed_sizes_init,
	.request = mixed_sizes_request,
	.evict = mixed_sizes_evict,
	.fini = mixed_sizes_fini,
};
