/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* filter - sets one attribute and one header and passes; answers 401 itself when the query says so.
 *
 * The query: deny (answer 401 here), later (pass from another thread), broken (return MTLSD_FAIL).
 */
#include "fixture.h"

#include <pthread.h>
#include <stdlib.h>

struct turn {
	struct turn *next;
	mtlsd_request *request;
};

static const mtlsd_host *host;
static mtlsd_instance *self;
static const char *name, *value, *header;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards turns, stopping */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct turn *turns;
static int stopping;
static pthread_t worker;
static int seen, denied, over;

static const mtlsd_option options[] = {
	{.name = "name", .type = MTLSD_OPTION_STRING, .min = 1, .max = 64, .fallback = "filter",
	 .help = "Name of the attribute."},
	{.name = "value", .type = MTLSD_OPTION_STRING, .min = 1, .max = 200, .fallback = "passed",
	 .help = "Value of the attribute and the header."},
	{.name = "header", .type = MTLSD_OPTION_STRING, .min = 1, .max = 64, .fallback = "X-Filter",
	 .help = "Header added to the answer."},
	{.name = NULL},
};

static void *
worker_run(void *arg)
{
	pthread_mutex_lock(&lock);
	for (;;) {
		struct turn *turn = turns;
		mtlsd_request *request;

		if (!turn && stopping)
			break;
		if (!turn) {
			pthread_cond_wait(&changed, &lock);
			continue;
		}
		turns = turn->next;
		pthread_mutex_unlock(&lock);
		request = turn->request;
		free(turn);
		host->finish(request, MTLSD_PASS);
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
	return arg;
}

static int
filter_init(const mtlsd_host *given, mtlsd_instance *instance, const mtlsd_config *config, void **user FIXTURE_UNUSED,
	    char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	self = instance;
	name = host->config_string(config, "name");
	value = host->config_string(config, "value");
	header = host->config_string(config, "header");
	seen = host->counter(self, "seen", "requests seen");
	denied = host->counter(self, "denied", "requests answered here");
	over = host->counter(self, "done", "requests that ended");
	return -pthread_create(&worker, NULL, worker_run, NULL);
}

static mtlsd_action
filter_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	const char *query = host->query(request);
	struct turn *turn;

	host->count(self, seen, 1);
	if (query && strstr(query, "deny")) {
		host->count(self, denied, 1);
		if (host->add_header(request, "WWW-Authenticate", "Fixture realm=\"filter\"") < 0)
			return MTLSD_FAIL;
		return fixture_answer(host, request, 401, "denied\n");
	}
	if (query && strstr(query, "broken"))
		return MTLSD_FAIL;
	if (host->set_attribute(request, name, value) < 0 || host->add_header(request, header, value) < 0)
		return MTLSD_FAIL;
	if (!query || !strstr(query, "later"))
		return MTLSD_PASS;
	turn = malloc(sizeof(*turn));
	if (!turn)
		return MTLSD_FAIL;
	turn->request = request;
	pthread_mutex_lock(&lock);
	turn->next = turns;
	turns = turn;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	return MTLSD_DEFER;
}

static void
filter_done(void *user FIXTURE_UNUSED, mtlsd_request *request FIXTURE_UNUSED, mtlsd_outcome outcome FIXTURE_UNUSED)
{
	host->count(self, over, 1);
}

static void
filter_fini(void *user FIXTURE_UNUSED)
{
	pthread_mutex_lock(&lock);
	stopping = 1;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	pthread_join(worker, NULL);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("filter", "1.0", "marks requests and passes them on, or denies"),
	.flags = MTLSD_CONCURRENT | MTLSD_FILTER | MTLSD_OVERLAP,
	.options = options,
	.init = filter_init,
	.request = filter_request,
	.done = filter_done,
	.fini = filter_fini,
};
