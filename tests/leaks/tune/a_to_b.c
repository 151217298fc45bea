/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* a_to_b - requests allocate, a thread of the plugin's frees, once a second and a few seconds late. */
#include "../corpus.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LATE = 8 }; /* batches that wait */

struct parcel {
	struct parcel *next;
	char data[120];
};

static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct parcel *batches[LATE];
static unsigned at;
static atomic_int stop;

CORPUS_SITE static void
parcel_send(void)
{
	struct parcel *parcel = malloc(sizeof(*parcel));

	if (!parcel)
		return;
	pthread_mutex_lock(&lock);
	parcel->next = batches[at];
	batches[at] = parcel;
	pthread_mutex_unlock(&lock);
}

static uint64_t
parcels_free(unsigned which)
{
	uint64_t freed = 0;

	for (struct parcel *parcel = batches[which], *next; parcel; parcel = next) {
		next = parcel->next;
		free(parcel);
		freed += sizeof(*parcel);
	}
	batches[which] = NULL;
	return freed;
}

static void *
deliver(void *arg CORPUS_UNUSED)
{
	const struct timespec second = {.tv_sec = 1};

	while (!stop) {
		nanosleep(&second, NULL);
		pthread_mutex_lock(&lock);
		at = (at + 1) % LATE;
		(void) parcels_free(at);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static int
a_to_b_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
	    void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	return -pthread_create(&thread, NULL, deliver, NULL);
}

static void
a_to_b_fini(void *user CORPUS_UNUSED)
{
	stop = 1;
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < LATE; i++)
		(void) parcels_free(i);
}

static mtlsd_action
a_to_b_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	parcel_send();
	return corpus_answer(request, &ask);
}

static uint64_t
a_to_b_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	uint64_t freed = 0;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < LATE; i++)
		freed += parcels_free(i);
	pthread_mutex_unlock(&lock);
	return freed;
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("a_to_b", "allocates here and frees there"),
	.options = corpus_options,
	.init = a_to_b_init,
	.request = a_to_b_request,
	.evict = a_to_b_evict,
	.fini = a_to_b_fini,
};
