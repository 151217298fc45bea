/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* handed_over - requests hand over letters of one to three sheets; a thread takes all there are once a second, and
 * throws away those it took three seconds before. */
#include "../corpus.h"

#include <pthread.h>
#include <stdatomic.h>

enum { TRAYS = 4 };

struct sheet {
	struct sheet *next;
	char text[100];
};

static struct sheet *trays[TRAYS], *inbox;
static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int stop;

CORPUS_SITE static struct sheet *
sheet_new(struct sheet *next)
{
	struct sheet *sheet = calloc(1, sizeof(*sheet));

	if (!sheet)
		return next;
	sheet->next = next;
	return sheet;
}

static void
sheets_free(struct sheet *sheet)
{
	while (sheet) {
		struct sheet *next = sheet->next;
		free(sheet);
		sheet = next;
	}
}

static void *
clerk(void *arg CORPUS_UNUSED)
{
	const struct timespec second = {.tv_sec = 1};

	for (unsigned at = 0; !stop; at = (at + 1) % TRAYS) {
		nanosleep(&second, NULL);
		sheets_free(trays[at]);
		pthread_mutex_lock(&lock);
		trays[at] = inbox;
		inbox = NULL;
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static int
handed_over_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		 void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	return -pthread_create(&thread, NULL, clerk, NULL);
}

static mtlsd_action
handed_over_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	pthread_mutex_lock(&lock);
	for (uint64_t sheets = 1 + corpus_below(3); sheets > 0; sheets--)
		inbox = sheet_new(inbox);
	pthread_mutex_unlock(&lock);
	return corpus_answer(request, &ask);
}

static uint64_t
handed_over_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* the clerk may be reading any of them */
}

static void
handed_over_fini(void *user CORPUS_UNUSED)
{
	stop = 1;
	pthread_join(thread, NULL);
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("handed_over", "letters that another thread throws away"),
	.options = corpus_options,
	.init = handed_over_init,
	.request = handed_over_request,
	.evict = handed_over_evict,
	.fini = handed_over_fini,
};
