/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* promise_waiters - a request's work is a promise, and one in eight waits for two to four others. It holds those it
 * waits for, each of those holds who waits, and that it was kept ends neither. */
#include "../corpus.h"

enum { MOST = 4 };

struct promise {
	struct promise *waits_for[MOST], *waiter;
	uint32_t references, value;
};

CORPUS_SITE static struct promise *
promise_new(uint64_t value)
{
	struct promise *promise = calloc(1, sizeof(*promise));

	if (promise) {
		promise->references = 1;
		promise->value = (uint32_t) value;
	}
	return promise;
}

static void
promise_unref(struct promise *promise)
{
	if (!promise || --promise->references > 0)
		return;
	for (unsigned i = 0; i < MOST; i++)
		promise_unref(promise->waits_for[i]);
	promise_unref(promise->waiter);
	free(promise);
}

/* promise waits for another, which is the last to hold itself. */
static int
promise_wait(struct promise *promise, unsigned place, uint64_t value)
{
	struct promise *other = promise_new(value);

	if (!other)
		return -1;
	promise->waits_for[place] = other;
	other->waiter = promise;
	promise->references++;
	return 0;
}

static uint32_t
promise_keep(const struct promise *promise)
{
	uint32_t value = promise->value;

	for (unsigned i = 0; i < MOST && promise->waits_for[i]; i++)
		value += promise->waits_for[i]->value;
	return value;
}

static mtlsd_action
promise_waiters_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;
	char value[24];

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct promise *promise = promise_new(ask.key);
	if (!promise)
		return MTLSD_FAIL;
	if (corpus_below(8) == 0) {
		unsigned others = 2 + (unsigned) corpus_below(3);
		for (unsigned i = 0; i < others && promise_wait(promise, i, ask.key + i) == 0; i++)
			;
	}
	snprintf(value, sizeof(value), "%u", promise_keep(promise));
	promise_unref(promise);
	return host->add_header(request, "Value", value) < 0 ? MTLSD_FAIL : corpus_answer(request, &ask);
}

/* There is nothing it could do without. */
static uint64_t
promise_waiters_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0;
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("promise_waiters", "does its work by promises"),
	.options = corpus_options,
	.init = corpus_init,
	.request = promise_waiters_request,
	.evict = promise_waiters_evict,
};
