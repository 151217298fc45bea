/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* late_free - what requests replace goes to the limbo of its epoch; a thread moves the epoch on every five seconds
 * and frees the limbo of two epochs ago. An eviction must not hurry it. */
#include "../corpus.h"

#include <pthread.h>
#include <stdatomic.h>

enum { PLACES = 512, LIMBOS = 3 };

struct version {
	struct version *next;
	char data[180];
};

static struct version *places[PLACES], *limbo[LIMBOS];
static unsigned epoch;
static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int stop;

CORPUS_SITE static void
version_replace(size_t place)
{
	struct version *version = calloc(1, sizeof(*version));

	if (!version)
		return;
	pthread_mutex_lock(&lock);
	if (places[place]) {
		places[place]->next = limbo[epoch % LIMBOS];
		limbo[epoch % LIMBOS] = places[place];
	}
	places[place] = version;
	pthread_mutex_unlock(&lock);
}

static void *
reclaim(void *arg CORPUS_UNUSED)
{
	const struct timespec time = {.tv_sec = 5};

	while (!stop) {
		nanosleep(&time, NULL);
		pthread_mutex_lock(&lock);
		epoch++;
		for (struct version *version = limbo[epoch % LIMBOS], *next; version; version = next) {
			next = version->next;
			free(version);
		}
		limbo[epoch % LIMBOS] = NULL;
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static int
late_free_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	       void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	return -pthread_create(&thread, NULL, reclaim, NULL);
}

static mtlsd_action
late_free_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	version_replace((size_t) (corpus_hash(ask.path) + ask.key) % PLACES);
	return corpus_answer(request, &ask);
}

static uint64_t
late_free_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* somebody may still read them */
}

static void
late_free_fini(void *user CORPUS_UNUSED)
{
	stop = 1;
	pthread_join(thread, NULL);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("late_free", "frees two epochs late, on another thread"),
	.options = corpus_options,
	.init = late_free_init,
	.request = late_free_request,
	.evict = late_free_evict,
	.fini = late_free_fini,
};
