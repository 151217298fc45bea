/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* closure_ring - a context holds a closure, the closure a callback and the callback the context; a third of the
 * requests make such a ring. */
#include "../cache.h"

static struct cache cache = {.capacity = 520, .buckets = 1024};

struct object {
	int references;
	struct object *held;
	uint64_t captured[6];
};

CORPUS_SITE static struct object *
object_new(uint64_t captured)
{
	struct object *object = malloc(sizeof(*object));

	if (object)
		*object = (struct object){.references = 1, .captured = {captured}};
	return object;
}

static void
object_hold(struct object *object, struct object *held)
{
	if (!object || !held)
		return;
	object->held = held;
	held->references++;
}

static void
object_unref(struct object *object)
{
	while (object && --object->references == 0) {
		struct object *held = object->held;
		free(object);
		object = held;
	}
}

static void
ring_make(uint64_t key, int closed)
{
	struct object *context = object_new(key), *closure = object_new(key), *callback = object_new(key);

	object_hold(context, closure);
	object_hold(closure, callback);
	if (closed)
		object_hold(callback, context);
	object_unref(callback);
	object_unref(closure);
	object_unref(context);
}

static mtlsd_action
closure_ring_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 85);
	ring_make(ask.key, corpus_below(3) == 0);
	return corpus_answer(request, &ask);
}

static uint64_t
closure_ring_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("closure_ring", "counts references in a ring of three"),
	.options = corpus_options,
	.init = corpus_init,
	.request = closure_ring_request,
	.evict = closure_ring_evict,
};
