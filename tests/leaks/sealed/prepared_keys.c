/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* prepared_keys - a thread makes keys ahead, and requests use them up: a key to each, and a few more for some. There
 * are up to four thousand; once a second the thread makes up for what went. Without one a request makes its own. */
#include "../corpus.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MOST = 5200 };

struct key {
	uint64_t number;
	unsigned char *private; /* of 160 bytes */
	unsigned char public[40];
};

static struct key *stack[MOST];
static size_t ready, enough;
static uint64_t made;
static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int stop;

static void
key_free(struct key *key)
{
	if (!key)
		return;
	explicit_bzero(key->private, 160);
	free(key->private);
	free(key);
}

CORPUS_SITE static struct key *
key_make(uint64_t number)
{
	struct key *key = calloc(1, sizeof(*key));

	if (!key)
		return NULL;
	key->private = calloc(1, 160);
	if (!key->private) {
		free(key);
		return NULL;
	}
	key->number = number;
	memcpy(key->private, &number, sizeof(number));
	memcpy(key->public, &number, sizeof(number));
	return key;
}

static struct key *
key_take(void)
{
	pthread_mutex_lock(&lock);
	struct key *key = ready > 0 ? stack[--ready] : NULL;
	uint64_t number = key ? key->number : ++made;
	pthread_mutex_unlock(&lock);
	return key ? key : key_make(number);
}

static void *
maker(void *arg CORPUS_UNUSED)
{
	const struct timespec time = {.tv_sec = 1};

	while (!stop) {
		pthread_mutex_lock(&lock);
		while (ready < enough && (stack[ready] = key_make(++made)))
			ready++;
		pthread_mutex_unlock(&lock);
		nanosleep(&time, NULL);
	}
	return NULL;
}

static int
prepared_keys_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		   void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	enough = corpus_vary(4000, 1);
	return -pthread_create(&thread, NULL, maker, NULL);
}

static mtlsd_action
prepared_keys_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	for (uint64_t i = 0; i <= ask.key % 5; i++)
		key_free(key_take());
	return corpus_answer(request, &ask);
}

static uint64_t
prepared_keys_evict(void *user CORPUS_UNUSED, uint64_t target, mtlsd_level level CORPUS_UNUSED)
{
	uint64_t freed = 0;

	pthread_mutex_lock(&lock);
	for (; ready > 0 && freed < target; freed += sizeof(struct key) + 160)
		key_free(stack[--ready]);
	pthread_mutex_unlock(&lock);
	return freed;
}

static void
prepared_keys_fini(void *user)
{
	stop = 1;
	pthread_join(thread, NULL);
	(void) prepared_keys_evict(user, UINT64_MAX, MTLSD_EVICT_STATE);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("prepared_keys", "has a thread make keys that requests use up"),
	.options = corpus_options,
	.init = prepared_keys_init,
	.request = prepared_keys_request,
	.evict = prepared_keys_evict,
	.fini = prepared_keys_fini,
};
