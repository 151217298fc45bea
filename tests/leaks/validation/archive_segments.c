/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* archive_segments - what is to be archived goes to segments of 64 KiB; some hundred and thirty of them, eight
 * megabytes, are shipped as one. */
#include "../corpus.h"

enum { SEGMENT = 65536 };

struct segment {
	struct segment *next;
	size_t used;
	unsigned char bytes[SEGMENT - 2 * sizeof(void *)];
};

static struct segment *segments;
static size_t count, most;

CORPUS_SITE static struct segment *
segment_open(void)
{
	struct segment *segment = malloc(sizeof(*segment));

	if (!segment)
		return NULL;
	segment->next = segments;
	segment->used = 0;
	segments = segment;
	count++;
	return segment;
}

static uint64_t
segments_ship(void)
{
	uint64_t freed = count * sizeof(struct segment);

	while (segments) {
		struct segment *segment = segments;
		segments = segment->next;
		free(segment);
	}
	count = 0;
	return freed;
}

static void
archive(const char *path, size_t length)
{
	struct segment *segment = segments;

	if (!segment || segment->used + length > sizeof(segment->bytes)) {
		if (count == most)
			(void) segments_ship();
		segment = segment_open();
	}
	if (!segment)
		return;
	memset(segment->bytes + segment->used, path[0], length);
	segment->used += length;
}

static int
archive_segments_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		      void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	most = corpus_vary(130, 1);
	return 0;
}

static mtlsd_action
archive_segments_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	archive(ask.path, 40 + corpus_below(130));
	return corpus_answer(request, &ask);
}

static uint64_t
archive_segments_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return segments_ship();
}

static void
archive_segments_fini(void *user CORPUS_UNUSED)
{
	(void) segments_ship();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("archive_segments", "fills segments and ships them"),
	.options = corpus_options,
	.init = archive_segments_init,
	.request = archive_segments_request,
	.evict = archive_segments_evict,
	.fini = archive_segments_fini,
};
