/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stream - a streamed answer of a known pattern: byte i is 'a' + i % 23, so any piece can be checked by its place.
 *
 * Chosen by the query: bytes=N (length), known=1 (say it beforehand), pause=1 (every other read has nothing and a
 * thread says stream_ready), break=N (broken at position N).
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

struct flow {
	mtlsd_request *request;
	uint64_t total, broken_at;
	int pause, paused;
	struct flow *next_waiting;
	int waiting; /* in the list of waiting flows */
};

static const mtlsd_host *host;
static mtlsd_instance *self;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards waiting, stopping */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct flow *waiting;
static int stopping;
static pthread_t waker;
static int opened, released, wakes, outcomes[2];

/* stream_ready is called under the lock: release takes it too, so the request cannot end under the call. */
static void *
waker_run(void *arg)
{
	pthread_mutex_lock(&lock);
	while (!stopping) {
		struct flow *flow = waiting;

		if (!flow) {
			pthread_cond_wait(&changed, &lock);
			continue;
		}
		waiting = flow->next_waiting;
		flow->waiting = 0;
		host->stream_ready(flow->request);
		host->count(self, wakes, 1);
	}
	pthread_mutex_unlock(&lock);
	return arg;
}

static ssize_t
flow_read(void *context, uint64_t position, char *buffer, size_t room)
{
	struct flow *flow = context;
	uint64_t left = flow->total - position;
	size_t i, count = left < room ? (size_t) left : room;

	if (position >= flow->broken_at)
		return -EIO;
	if (position + count > flow->broken_at)
		count = (size_t) (flow->broken_at - position);
	if (count == 0)
		return 0;
	if (flow->pause && !flow->paused) {
		flow->paused = 1;
		pthread_mutex_lock(&lock);
		if (!flow->waiting) {
			flow->waiting = 1;
			flow->next_waiting = waiting;
			waiting = flow;
			pthread_cond_signal(&changed);
		}
		pthread_mutex_unlock(&lock);
		return -EAGAIN;
	}
	flow->paused = 0;
	if (flow->pause && count > 1000)
		count = 1000; /* small pieces: many turns */
	for (i = 0; i < count; i++)
		buffer[i] = (char) ('a' + (position + i) % 23);
	return (ssize_t) count;
}

static void
flow_release(void *context)
{
	struct flow *flow = context, **place;

	pthread_mutex_lock(&lock);
	for (place = &waiting; *place; place = &(*place)->next_waiting)
		if (*place == flow) {
			*place = flow->next_waiting;
			break;
		}
	pthread_mutex_unlock(&lock);
	host->count(self, released, 1);
	free(flow);
}

static const mtlsd_stream flow_stream = {
	.size = sizeof(mtlsd_stream),
	.read = flow_read,
	.release = flow_release,
};

static uint64_t
query_number(const char *query, const char *name, uint64_t fallback)
{
	const char *place = query ? strstr(query, name) : NULL;

	return place ? strtoull(place + strlen(name), NULL, 10) : fallback;
}

static int
stream_init(const mtlsd_host *given, mtlsd_instance *instance, const mtlsd_config *config FIXTURE_UNUSED,
	    void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	self = instance;
	opened = host->counter(self, "opened", "streams begun");
	released = host->counter(self, "released", "streams released");
	wakes = host->counter(self, "wakes", "times stream_ready was called");
	outcomes[MTLSD_SENT] = host->counter(self, "done_sent", "answers sent");
	outcomes[MTLSD_ABORTED] = host->counter(self, "done_aborted", "answers that were not sent");
	return -pthread_create(&waker, NULL, waker_run, NULL);
}

static mtlsd_action
stream_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	const char *query = host->query(request);
	struct flow *flow = malloc(sizeof(*flow));

	if (!flow)
		return MTLSD_FAIL;
	*flow = (struct flow){
		.request = request,
		.total = query_number(query, "bytes=", 100000),
		.broken_at = query_number(query, "break=", UINT64_MAX),
		.pause = query_number(query, "pause=", 0) != 0,
	};
	host->count(self, opened, 1);
	if (host->respond_stream(request, 200, query_number(query, "known=", 0) ? (int64_t) flow->total : -1,
				 &flow_stream, flow) < 0) {
		host->count(self, released, 1);
		free(flow); /* a stream that was not taken stays ours */
		return MTLSD_FAIL;
	}
	return MTLSD_DONE;
}

static void
stream_done(void *user FIXTURE_UNUSED, mtlsd_request *request FIXTURE_UNUSED, mtlsd_outcome outcome)
{
	host->count(self, outcomes[outcome], 1);
}

static void
stream_fini(void *user FIXTURE_UNUSED)
{
	pthread_mutex_lock(&lock);
	stopping = 1;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	pthread_join(waker, NULL);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("stream", "1.0", "streams a pattern"),
	.flags = MTLSD_CONCURRENT | MTLSD_OVERLAP,
	.init = stream_init,
	.request = stream_request,
	.done = stream_done,
	.fini = stream_fini,
};
