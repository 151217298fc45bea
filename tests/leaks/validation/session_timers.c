/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* session_timers - each connection has a session and a timer that hold each other; the connection lets go of the
 * session, the timer of nothing. */
#include "../corpus.h"

struct session;

struct timer {
	unsigned references;
	struct session *session;
	uint64_t due;
};

struct session {
	unsigned references;
	struct timer *timer;
	char state[184];
};

CORPUS_SITE static struct timer *
timer_new(void)
{
	struct timer *timer = calloc(1, sizeof(*timer));

	if (timer)
		timer->references = 1;
	return timer;
}

CORPUS_SITE static struct session *
session_new(void)
{
	struct session *session = calloc(1, sizeof(*session));
	struct timer *timer = timer_new();

	if (!session || !timer) {
		free(session);
		free(timer);
		return NULL;
	}
	timer->session = session;
	session->timer = timer;
	session->references = 2; /* the timer's, the connection's */
	return session;
}

static void
session_release(void *data)
{
	struct session *session = data;

	if (--session->references > 0)
		return;
	if (--session->timer->references == 0)
		free(session->timer);
	free(session);
}

static mtlsd_action
session_timers_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	struct session *session = host->connection_data(request);
	if (!session) {
		session = session_new();
		if (!session || host->set_connection_data(request, session, session_release) < 0)
			return MTLSD_FAIL;
	}
	session->timer->due = corpus_now();
	return corpus_answer(request, &ask);
}

static uint64_t
session_timers_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* open sessions are in use */
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("session_timers", "sessions and timers hold each other"),
	.options = corpus_options,
	.init = corpus_init,
	.request = session_timers_request,
	.evict = session_timers_evict,
};
