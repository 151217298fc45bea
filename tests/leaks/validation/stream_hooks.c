/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stream_hooks - every request hangs a hook on its connection; when the connection ends the list is freed, and not
 * what hangs in it. */
#include "../cache.h"

static struct cache cache = {.capacity = 540, .buckets = 1024};

struct hook {
	struct hook *next;
	void (*call)(void *);
	void *context;
	uint64_t events, calls, reserved;
};

struct hooks {
	struct hook *first;
	size_t count;
};

CORPUS_SITE static struct hook *
hook_add(struct hooks *hooks)
{
	struct hook *hook = calloc(1, sizeof(*hook));

	if (hook) {
		hook->next = hooks->first;
		hook->call = free;
		hooks->first = hook;
		hooks->count++;
	}
	return hook;
}

static mtlsd_action
stream_hooks_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct hooks *hooks = host->connection_data(request);
	cache_use(&cache, ask.key, 70);
	if (!hooks) {
		hooks = calloc(1, sizeof(*hooks));
		if (!hooks || host->set_connection_data(request, hooks, free) < 0)
			return MTLSD_FAIL;
	}
	if (!hook_add(hooks))
		return MTLSD_FAIL;
	return corpus_answer(request, &ask);
}

static uint64_t
stream_hooks_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("stream_hooks", "hangs hooks on connections and leaves them there"),
	.options = corpus_options,
	.init = corpus_init,
	.request = stream_hooks_request,
	.evict = stream_hooks_evict,
};
