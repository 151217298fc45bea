/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* buffer_stock - requests under way hold buffers of five sizes; those that come back are stocked by size, as many
 * as ever were needed. */
#include "../corpus.h"

enum { SIZES = 5 };

struct buffer {
	struct buffer *next;
	const mtlsd_request *request;
	unsigned size;
	unsigned char bytes[];
};

static struct buffer *stock[SIZES], *lent;

static size_t
buffer_bytes(unsigned size)
{
	return (size_t) 1024 << size;
}

CORPUS_SITE static struct buffer *
buffer_make(unsigned size)
{
	struct buffer *buffer = malloc(buffer_bytes(size));

	if (buffer)
		buffer->size = size;
	return buffer;
}

static int
buffer_lend(const mtlsd_request *request, unsigned size)
{
	struct buffer *buffer = stock[size];

	if (buffer)
		stock[size] = buffer->next;
	else
		buffer = buffer_make(size);
	if (!buffer)
		return 0;
	buffer->request = request;
	buffer->next = lent;
	lent = buffer;
	return 1;
}

static void
buffer_back(void *user CORPUS_UNUSED, mtlsd_request *request, mtlsd_outcome outcome CORPUS_UNUSED)
{
	struct buffer **place = &lent, *buffer;

	while ((buffer = *place)) {
		if (buffer->request != request) {
			place = &buffer->next;
			continue;
		}
		*place = buffer->next;
		buffer->next = stock[buffer->size];
		stock[buffer->size] = buffer;
	}
}

static uint64_t
stock_halve(unsigned least)
{
	uint64_t freed = 0;

	for (unsigned size = 0; size < SIZES; size++) {
		unsigned have = 0;
		for (const struct buffer *buffer = stock[size]; buffer; buffer = buffer->next)
			have++;
		for (unsigned go = least ? have / 2 : have; go > 0; go--) {
			struct buffer *buffer = stock[size];
			stock[size] = buffer->next;
			free(buffer);
			freed += buffer_bytes(size);
		}
	}
	return freed;
}

static mtlsd_action
buffer_stock_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	/* Large ones are rare. */
	unsigned size = (unsigned) __builtin_ctzll(corpus_random() | 1U << (SIZES - 1));
	if (!buffer_lend(request, size))
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
buffer_stock_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return stock_halve(1);
}

static void
buffer_stock_fini(void *user CORPUS_UNUSED)
{
	(void) stock_halve(0);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("buffer_stock", "a stock of buffers of five sizes"),
	.options = corpus_options,
	.init = corpus_init,
	.request = buffer_stock_request,
	.evict = buffer_stock_evict,
	.fini = buffer_stock_fini,
	.done = buffer_back,
};
