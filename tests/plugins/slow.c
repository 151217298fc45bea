/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* slow - defers every request and answers it from a thread of its own: after `delay`, or once the `gate` file exists.
 *
 * Honours cancel: a request nobody waits for any more is finished at once. The thread is joined in fini.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

struct job {
	struct job *next;
	mtlsd_request *request;
	int64_t due; /* nanoseconds of CLOCK_MONOTONIC */
	int cancelled;
};

static const mtlsd_host *host;
static mtlsd_instance *self;
static int64_t delay;
static const char *gate, *trace;
static int keep;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards jobs, stopping */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct job *jobs;
static int stopping;
static pthread_t worker;
static int deferred, finished, reasons[4], outcomes[2];

static const mtlsd_option options[] = {
	{.name = "delay", .type = MTLSD_OPTION_DURATION, .fallback = "20ms", .help = "How long an answer takes."},
	{.name = "gate",
	 .type = MTLSD_OPTION_STRING,
	 .max = 4096,
	 .help = "Answer once this file exists, whatever the delay."},
	{.name = "trace", .type = MTLSD_OPTION_STRING, .max = 4096, .help = "File that is told of cancel, done, fini."},
	{.name = "keep", .type = MTLSD_OPTION_BOOL, .fallback = "no", .help = "Forget to free the job of a request."},
	{.name = NULL},
};

static int64_t
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t) time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Takes the first job that is ripe off the list; under the lock. */
static struct job *
job_take(void)
{
	struct job **place, *job;
	int64_t time = now();

	for (place = &jobs; (job = *place); place = &job->next)
		if (job->cancelled || stopping || (gate ? fixture_open(gate) : job->due <= time)) {
			*place = job->next;
			return job;
		}
	return NULL;
}

static void
job_finish(struct job *job)
{
	mtlsd_request *request = job->request;
	int cancelled = job->cancelled;

	if (!keep)
		free(job);
	/* After finish the request may be gone. */
	if (cancelled)
		host->finish(request, MTLSD_FAIL);
	else
		host->finish(request, fixture_answer(host, request, 200, "slow\n"));
	host->count(self, finished, 1);
}

static void *
worker_run(void *arg)
{
	struct timespec soon;
	struct job *job;

	pthread_mutex_lock(&lock);
	while (!stopping || jobs) {
		job = job_take();
		if (job) {
			/* Never hold a lock over finish: done may run before it returns. */
			pthread_mutex_unlock(&lock);
			job_finish(job);
			pthread_mutex_lock(&lock);
		} else if (!jobs) {
			pthread_cond_wait(&changed, &lock);
		} else {
			clock_gettime(CLOCK_REALTIME, &soon);
			soon.tv_nsec += 5000000;
			if (soon.tv_nsec >= 1000000000) {
				soon.tv_nsec -= 1000000000;
				soon.tv_sec++;
			}
			pthread_cond_timedwait(&changed, &lock, &soon);
		}
	}
	pthread_mutex_unlock(&lock);
	return arg;
}

static int
slow_init(const mtlsd_host *given, mtlsd_instance *instance, const mtlsd_config *config, void **user FIXTURE_UNUSED,
	  char *error, size_t error_size)
{
	int result;

	host = given;
	self = instance;
	delay = host->config_int(config, "delay") * 1000;
	gate = host->config_string(config, "gate");
	trace = host->config_string(config, "trace");
	keep = (int) host->config_int(config, "keep");
	deferred = host->counter(self, "deferred", "requests deferred");
	finished = host->counter(self, "finished", "requests finished");
	reasons[MTLSD_CLIENT_GONE] = host->counter(self, "cancel_gone", "cancels: client gone");
	reasons[MTLSD_DEADLINE] = host->counter(self, "cancel_deadline", "cancels: deadline");
	reasons[MTLSD_DRAIN] = host->counter(self, "cancel_drain", "cancels: drain");
	outcomes[MTLSD_SENT] = host->counter(self, "done_sent", "answers sent");
	outcomes[MTLSD_ABORTED] = host->counter(self, "done_aborted", "answers that were not sent");
	result = pthread_create(&worker, NULL, worker_run, NULL);
	if (result != 0)
		snprintf(error, error_size, "no thread: %s", strerror(result));
	return -result;
}

static mtlsd_action
slow_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	struct job *job = malloc(sizeof(*job));

	if (!job)
		return MTLSD_FAIL;
	*job = (struct job){.request = request, .due = now() + delay};
	host->count(self, deferred, 1);
	pthread_mutex_lock(&lock);
	job->next = jobs;
	jobs = job;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	return MTLSD_DEFER;
}

static void
slow_cancel(void *user FIXTURE_UNUSED, mtlsd_request *request, mtlsd_reason reason)
{
	struct job *job;

	host->count(self, reasons[reason], 1);
	fixture_trace(trace, "cancel", reason);
	pthread_mutex_lock(&lock);
	for (job = jobs; job; job = job->next)
		if (job->request == request)
			job->cancelled = 1;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
}

static void
slow_done(void *user FIXTURE_UNUSED, mtlsd_request *request FIXTURE_UNUSED, mtlsd_outcome outcome)
{
	host->count(self, outcomes[outcome], 1);
	fixture_trace(trace, "done", outcome);
}

static void
slow_fini(void *user FIXTURE_UNUSED)
{
	pthread_mutex_lock(&lock);
	stopping = 1;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	pthread_join(worker, NULL);
	fixture_trace(trace, "fini", 0);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("slow", "1.0", "answers later, from a thread of its own"),
	.flags = MTLSD_CONCURRENT | MTLSD_OVERLAP,
	.options = options,
	.init = slow_init,
	.request = slow_request,
	.cancel = slow_cancel,
	.done = slow_done,
	.fini = slow_fini,
};
