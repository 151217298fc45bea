/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stubborn - defers every request and ignores cancel: it keeps them until a request whose path ends in /release comes
 * to the same instance, or until the `gate` file exists. Until then the instance cannot be unloaded.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdlib.h>

struct held {
	struct held *next;
	mtlsd_request *request;
};

static const mtlsd_host *host;
static mtlsd_instance *self;
static const char *gate, *trace;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards list, stopping */
static struct held *list;
static int stopping, watching;
static pthread_t watcher;
static int holding, ignored;

static const mtlsd_option options[] = {
	{.name = "gate", .type = MTLSD_OPTION_STRING, .max = 4096, .help = "Let everything go once this file exists."},
	{.name = "trace", .type = MTLSD_OPTION_STRING, .max = 4096, .help = "File that is told of cancel, done, fini."},
	{.name = NULL},
};

static unsigned
list_release(void)
{
	struct held *held;
	unsigned count = 0;

	for (;;) {
		mtlsd_request *request;

		pthread_mutex_lock(&lock);
		held = list;
		if (held)
			list = held->next;
		pthread_mutex_unlock(&lock);
		if (!held)
			return count;
		request = held->request;
		free(held);
		host->finish(request, fixture_answer(host, request, 200, "at last\n"));
		count++;
	}
}

static void *
watcher_run(void *arg)
{
	for (;;) {
		pthread_mutex_lock(&lock);
		int stop = stopping;
		pthread_mutex_unlock(&lock);
		if (stop)
			return arg;
		if (fixture_open(gate))
			list_release();
		fixture_rest();
	}
}

static int
stubborn_init(const mtlsd_host *given, mtlsd_instance *instance, const mtlsd_config *config,
	      void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	self = instance;
	gate = host->config_string(config, "gate");
	trace = host->config_string(config, "trace");
	holding = host->counter(self, "held", "requests held");
	ignored = host->counter(self, "ignored", "cancels ignored");
	if (gate) {
		int result = pthread_create(&watcher, NULL, watcher_run, NULL);
		if (result != 0)
			return -result;
		watching = 1;
	}
	return 0;
}

static mtlsd_action
stubborn_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	struct held *held;
	char text[32];

	if (fixture_ends_with(host->path(request), "/release")) {
		snprintf(text, sizeof(text), "%u\n", list_release());
		return fixture_answer(host, request, 200, text);
	}
	held = malloc(sizeof(*held));
	if (!held)
		return MTLSD_FAIL;
	host->count(self, holding, 1);
	held->request = request;
	pthread_mutex_lock(&lock);
	held->next = list;
	list = held;
	pthread_mutex_unlock(&lock);
	return MTLSD_DEFER;
}

static void
stubborn_cancel(void *user FIXTURE_UNUSED, mtlsd_request *request FIXTURE_UNUSED, mtlsd_reason reason)
{
	host->count(self, ignored, 1);
	fixture_trace(trace, "cancel", reason);
}

static void
stubborn_done(void *user FIXTURE_UNUSED, mtlsd_request *request FIXTURE_UNUSED, mtlsd_outcome outcome)
{
	fixture_trace(trace, "done", outcome);
}

static void
stubborn_fini(void *user FIXTURE_UNUSED)
{
	if (watching) {
		pthread_mutex_lock(&lock);
		stopping = 1;
		pthread_mutex_unlock(&lock);
		pthread_join(watcher, NULL);
	}
	fixture_trace(trace, "fini", 0);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("stubborn", "1.0", "defers and ignores cancel"),
	.flags = MTLSD_CONCURRENT | MTLSD_OVERLAP,
	.options = options,
	.init = stubborn_init,
	.request = stubborn_request,
	.cancel = stubborn_cancel,
	.done = stubborn_done,
	.fini = stubborn_fini,
};
