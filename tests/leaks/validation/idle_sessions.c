/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* idle_sessions - a session outlives its connection by half a minute or so, in case the client comes back; there
 * are as many as the day is busy. */
#include "../corpus.h"

struct session {
	struct session *next;
	int open;
	uint64_t left; /* microseconds; when its connection ended */
	char state[486];
};

static struct session *sessions;
static uint64_t swept, patience;

CORPUS_SITE static struct session *
session_new(void)
{
	struct session *session = calloc(1, sizeof(*session));

	if (session) {
		session->open = 1;
		session->next = sessions;
		sessions = session;
	}
	return session;
}

static void
session_leave(void *data)
{
	struct session *session = data;

	session->open = 0;
	session->left = corpus_now();
}

static void
sessions_sweep(uint64_t now)
{
	struct session **place = &sessions, *session;

	while ((session = *place)) {
		if (session->open || now - session->left < patience) {
			place = &session->next;
			continue;
		}
		*place = session->next;
		free(session);
	}
	swept = now;
}

static int
idle_sessions_init(const mtlsd_host *given, mtlsd_instance *self CORPUS_UNUSED, const mtlsd_config *config,
		   void **user CORPUS_UNUSED, char *error CORPUS_UNUSED, size_t error_size CORPUS_UNUSED)
{
	corpus_start(given, config);
	patience = corpus_vary(30, 1) * 1000000;
	return 0;
}

static mtlsd_action
idle_sessions_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	if (corpus_now() - swept >= UINT64_C(5000000))
		sessions_sweep(corpus_now());
	if (!host->connection_data(request)) {
		struct session *session = session_new();
		if (!session || host->set_connection_data(request, session, session_leave) < 0)
			return MTLSD_FAIL;
	}
	return corpus_answer(request, &ask);
}

static uint64_t
idle_sessions_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return 0; /* who comes back in time is promised to be known */
}

static void
idle_sessions_fini(void *user CORPUS_UNUSED)
{
	for (struct session *session = sessions, *next; session; session = next) {
		next = session->next;
		free(session);
	}
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("idle_sessions", "sessions that end when they have been idle"),
	.options = corpus_options,
	.init = idle_sessions_init,
	.request = idle_sessions_request,
	.evict = idle_sessions_evict,
	.fini = idle_sessions_fini,
};
