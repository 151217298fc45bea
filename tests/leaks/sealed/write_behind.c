/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write_behind - what changed is written by a thread, two hundred items a second; an item that changes again before its
 * turn is written once. Where requests come faster, up to six thousand items wait; beyond that they are written at
 * once.
 */
#include "../corpus.h"

#include <pthread.h>
#include <stdatomic.h>

enum { BUCKETS = 2048, A_SECOND = 200 };

struct item {
	struct item *chain, *next;
	uint64_t key, changes;
	char content[208];
};

static struct item *bucket[BUCKETS], *first, **last = &first;
static size_t waiting, most;
static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int stop;

/* Writes the one that waits longest. */
static void
item_write(void)
{
	struct item *item = first, **place = &bucket[item->key % BUCKETS];

	while (*place != item)
		place = &(*place)->chain;
	*place = item->chain;
	first = item->next;
	if (!first)
		last = &first;
	free(item);
	waiting--;
}

static uint64_t
items_write(uint64_t count)
{
	uint64_t freed = 0;

	pthread_mutex_lock(&lock);
	for (; first && count > 0; count--) {
		item_write();
		freed += sizeof(struct item);
	}
	pthread_mutex_unlock(&lock);
	return freed;
}

static void *
writer(void *arg CORPUS_UNUSED)
{
	const struct timespec time = {.tv_sec = 1};

	while (!stop) {
		nanosleep(&time, NULL);
		(void) items_write(A_SECOND);
	}
	return NULL;
}

CORPUS_SITE static void
item_wait(uint64_t key)
{
	struct item *item = calloc(1, sizeof(*item));

	if (!item)
		return; /* as if it were written at once */
	item->key = key;
	item->changes = 1;
	item->chain = bucket[key % BUCKETS];
	bucket[key % BUCKETS] = item;
	*last = item;
	last = &item->next;
	waiting++;
}

static void
item_change(uint64_t key)
{
	struct item *item;

	pthread_mutex_lock(&lock);
	item = bucket[key % BUCKETS];
	while (item && item->key != key)
		item = item->chain;
	if (item)
		item->changes++;
	else if (waiting < most)
		item_wait(key);
	pthread_mutex_unlock(&lock);
}

static int
write_behind_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		  void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	most = corpus_vary(6000, 1);
	return -pthread_create(&thread, NULL, writer, NULL);
}

static mtlsd_action
write_behind_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	item_change(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
write_behind_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	return items_write(target / sizeof(struct item) + 1);
}

static void
write_behind_fini(void *user CORPUS_UNUSED)
{
	stop = 1;
	pthread_join(thread, NULL);
	(void) items_write(UINT64_MAX);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("write_behind", "has a thread write what changed"),
	.options = corpus_options,
	.init = write_behind_init,
	.request = write_behind_request,
	.evict = write_behind_evict,
	.fini = write_behind_fini,
};
