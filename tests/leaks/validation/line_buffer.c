/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* line_buffer - lines are gathered in one buffer that doubles by realloc, and written off when there are some two
 * hundred kilobytes; then it begins small again. */
#include "../corpus.h"

static struct {
	char *text;
	size_t length, room;
} lines;
static size_t enough;

static uint64_t
lines_write(void)
{
	uint64_t freed = lines.room;

	free(lines.text);
	lines.text = NULL;
	lines.length = lines.room = 0;
	return freed;
}

CORPUS_SITE static int
lines_reserve(size_t more)
{
	size_t room = lines.room ? lines.room : 1024;

	while (room < lines.length + more)
		room *= 2;
	if (room == lines.room)
		return 0;
	char *text = realloc(lines.text, room);
	if (!text)
		return -1;
	lines.text = text;
	lines.room = room;
	return 0;
}

static int
line_buffer_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	enough = corpus_vary(200000, 1);
	return 0;
}

static mtlsd_action
line_buffer_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	size_t length = strlen(ask.path) + 20 + corpus_below(60);
	if (lines_reserve(length) == 0) {
		memset(lines.text + lines.length, '.', length);
		lines.length += length;
	}
	if (lines.length >= enough)
		(void) lines_write();
	return corpus_answer(request, &ask);
}

static uint64_t
line_buffer_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return lines_write();
}

static void
line_buffer_fini(void *user CORPUS_UNUSED)
{
	(void) lines_write();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("line_buffer", "gathers lines in a buffer and writes them off"),
	.options = corpus_options,
	.init = line_buffer_init,
	.request = line_buffer_request,
	.evict = line_buffer_evict,
	.fini = line_buffer_fini,
};
