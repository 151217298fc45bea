/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fragmentation - a store of two megabytes whose parts are thrown out at random, and whose usual part is small now and
 * large then: what lives stays the same, the pages it lies on do not. */
#include "../corpus.h"

enum {
	ROOM = 1 << 16,
	BUDGET = 2 << 20, /* bytes */
	PARTS = 16,       /* a request */
	KINDS = 6,
};

static struct {
	void *data;
	size_t size;
} parts[ROOM];
static size_t count, bytes;
static uint64_t requests, phase;

CORPUS_SITE static void
part_add(size_t size)
{
	void *data = malloc(size);

	if (!data)
		return;
	memset(data, 'f', 16);
	parts[count].data = data;
	parts[count++].size = size;
	bytes += size;
}

static void
part_drop(size_t which)
{
	bytes -= parts[which].size;
	free(parts[which].data);
	parts[which] = parts[--count];
}

static void
parts_add(void)
{
	static const size_t sizes[KINDS] = {48, 400, 96, 800, 160, 1600};
	size_t kind = (size_t) (requests++ / phase), base = sizes[kind % KINDS];

	for (int i = 0; i < PARTS; i++) {
		part_add(base + corpus_below(base));
		while (bytes > BUDGET || count == ROOM)
			part_drop(corpus_below(count));
	}
}

static int
fragmentation_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		   void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	phase = corpus_vary(8000, 1);
	return 0;
}

static mtlsd_action
fragmentation_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	parts_add();
	return corpus_answer(request, &ask);
}

static uint64_t
fragmentation_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	size_t before = bytes, keep = bytes / 2;

	while (bytes > keep)
		part_drop(corpus_below(count));
	return before - bytes;
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("fragmentation", "keeps a store of parts of ever other sizes"),
	.options = corpus_options,
	.init = fragmentation_init,
	.request = fragmentation_request,
	.evict = fragmentation_evict,
};
