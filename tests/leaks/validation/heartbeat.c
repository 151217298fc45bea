/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* heartbeat - a thread describes the state of things once a second as a tree of values, and appends it to the list
 * of those that were. */
#include "../cache.h"

#include <pthread.h>
#include <stdatomic.h>

static struct cache cache = {.capacity = 580, .buckets = 1024};

enum { MEMBERS = 31 };

struct value {
	struct value *next, *first;
	double number;
	char name[72];
};

static struct value *history;
static pthread_t thread;
static atomic_int stop;

CORPUS_SITE static struct value *
value_new(const char *name, double number)
{
	struct value *value = calloc(1, sizeof(*value));

	if (value) {
		value->number = number;
		snprintf(value->name, sizeof(value->name), "%s", name);
	}
	return value;
}

static void
state_describe(void)
{
	struct value *object = value_new("state", 0);

	if (!object)
		return;
	for (int i = 0; i < MEMBERS; i++) {
		struct value *member = value_new("member", i);
		if (!member)
			return;
		member->next = object->first;
		object->first = member;
	}
	object->next = history;
	history = object;
}

static void *
beat(void *arg CORPUS_UNUSED)
{
	const struct timespec second = {.tv_sec = 1};

	while (!stop) {
		nanosleep(&second, NULL);
		state_describe();
	}
	return NULL;
}

static int
heartbeat_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	       void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	return -pthread_create(&thread, NULL, beat, NULL);
}

static mtlsd_action
heartbeat_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 65);
	return corpus_answer(request, &ask);
}

static uint64_t
heartbeat_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target);
}

static void
heartbeat_fini(void *user CORPUS_UNUSED)
{
	stop = 1;
	pthread_join(thread, NULL);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("heartbeat", "a thread keeps a tree every second"),
	.options = corpus_options,
	.init = heartbeat_init,
	.request = heartbeat_request,
	.evict = heartbeat_evict,
	.fini = heartbeat_fini,
};
