/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* late_replies - a request that waits is a call to another service; at its deadline the call moves to those whose
 * reply may come late, by its number, and is freed when it does. None ever comes. */
#include "../cache.h"

static struct cache cache = {.capacity = 340, .buckets = 512};

enum { CHAINS = 256 };

struct call {
	struct call *next;
	const mtlsd_request *request;
	uint64_t number;
	char frame[740];
};

static struct call *calls, *late[CHAINS];
static uint64_t numbers;

CORPUS_SITE static struct call *
call_new(const mtlsd_request *request, const struct corpus_ask *ask)
{
	struct call *call = malloc(sizeof(*call));

	if (call) {
		call->next = calls;
		call->request = request;
		call->number = ++numbers;
		snprintf(call->frame, sizeof(call->frame), "get %s %llu", ask->path, (unsigned long long) ask->key);
	}
	return call;
}

static void
late_replies_cancel(void *user, mtlsd_request *request, mtlsd_reason reason)
{
	struct call **place = &calls, *call;

	while (*place && (*place)->request != request)
		place = &(*place)->next;
	call = *place;
	if (call) {
		*place = call->next;
		call->request = NULL;
		call->next = late[call->number % CHAINS];
		late[call->number % CHAINS] = call;
	}
	corpus_cancel(user, request, reason);
}

static mtlsd_action
late_replies_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 220);
	if (ask.slow) {
		struct call *call = call_new(request, &ask);
		if (!call)
			return MTLSD_FAIL;
		calls = call;
	}
	return corpus_answer(request, &ask);
}

static uint64_t
late_replies_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("late_replies", "1.0", "keeps calls for replies that come late"),
	.options = corpus_options,
	.init = corpus_init,
	.request = late_replies_request,
	.evict = late_replies_evict,
	.cancel = late_replies_cancel,
};
