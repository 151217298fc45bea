/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* thread - starts a thread at init and, unless `stop` is on, leaves it running at fini: such an instance must stay
 * loaded, as a zombie, or the thread would run on unmapped pages. With `gate` the thread left behind ends once that
 * file exists, and the zombie can be buried.
 */
#include "fixture.h"

#include <pthread.h>

static const mtlsd_host *host;
static const char *gate;
static int stop, stopping;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards stopping */
static pthread_t background;

static const mtlsd_option options[] = {
	{.name = "stop", .type = MTLSD_OPTION_BOOL, .fallback = "no", .help = "Join the thread in fini."},
	{.name = "gate", .type = MTLSD_OPTION_STRING, .max = 4096, .help = "The thread ends once this file exists."},
	{.name = NULL},
};

static void *
background_run(void *arg)
{
	int over = 0;

	while (!over) {
		fixture_rest();
		pthread_mutex_lock(&lock);
		over = stopping;
		pthread_mutex_unlock(&lock);
		if (gate && fixture_open(gate))
			over = 1;
	}
	return arg;
}

static int
thread_init(const mtlsd_host *given, mtlsd_instance *self FIXTURE_UNUSED, const mtlsd_config *config,
	    void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	stop = host->config_int(config, "stop") != 0;
	gate = host->config_string(config, "gate");
	return -pthread_create(&background, NULL, background_run, NULL);
}

static mtlsd_action
thread_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	return fixture_answer(host, request, 200, "thread\n");
}

static void
thread_fini(void *user FIXTURE_UNUSED)
{
	if (!stop) {
		pthread_detach(background);
		return;
	}
	pthread_mutex_lock(&lock);
	stopping = 1;
	pthread_mutex_unlock(&lock);
	pthread_join(background, NULL);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("thread", "1.0", "leaves a thread running"),
	.flags = MTLSD_CONCURRENT | MTLSD_OVERLAP,
	.options = options,
	.init = thread_init,
	.request = thread_request,
	.fini = thread_fini,
};
