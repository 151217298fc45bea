/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pool - buffers are taken from a pool and put back when the request is over; the pool gives none back but to an
 * eviction. */
#include "../corpus.h"

struct buffer {
	struct buffer *next;
	char data[8192 - sizeof(void *)];
};

static struct buffer *spare;

CORPUS_SITE static struct buffer *
buffer_new(void)
{
	struct buffer *buffer = calloc(1, sizeof(*buffer));

	if (buffer)
		buffer->data[0] = 0;
	return buffer;
}

static struct buffer *
buffer_take(void)
{
	struct buffer *buffer = spare;

	if (!buffer)
		return buffer_new();
	spare = buffer->next;
	return buffer;
}

static void
buffer_give(void *data)
{
	struct buffer *buffer = data;

	buffer->next = spare;
	spare = buffer;
}

static uint64_t
buffers_free(void)
{
	uint64_t freed = 0;

	for (struct buffer *buffer = spare, *next; buffer; buffer = next) {
		next = buffer->next;
		free(buffer);
		freed += sizeof(*buffer);
	}
	spare = NULL;
	return freed;
}

static mtlsd_action
pool_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	/* The litter goes with its hook, which gives way to the buffer's. */
	struct buffer *buffer = buffer_take();
	if (!buffer || host->set_data(request, buffer, buffer_give) < 0)
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
pool_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return buffers_free();
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("pool", "a pool that stays as large as it ever had to be"),
	.options = corpus_options,
	.init = corpus_init,
	.request = pool_request,
	.evict = pool_evict,
};
