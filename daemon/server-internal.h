/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* server-internal.h - the server's parts in one struct; shared by server.c and server-reload.c only.
 *
 * Threads: the parts belong to the main thread; phase is atomic, config is guarded by lock. Owns: every part.
 */
#include "control.h"
#include "errand.h"
#include "job.h"
#include "pressure.h"
#include "request.h"
#include "server.h"
#include "tls-keeper.h"
#include "wall.h"

#include <pthread.h>
#include <stdatomic.h>

enum server_phase { SERVER_STARTING, SERVER_RUNNING, SERVER_RELOADING, SERVER_DRAINING };

struct server {
	char *config_path;
	uint64_t started;
	_Atomic(enum server_phase) phase;
	atomic_bool untold; /* the service manager has not heard that we are ready: told again at the next tick */
	sd_event *event;
	struct supervisor *supervisor;
	struct overseer *overseer;
	struct request_service *service;
	struct accesslog *accesslog;
	struct wall *wall;
	struct endpoint *endpoint;
	struct control *control;
	struct job_queue *jobs;
	struct errands *errands;
	struct tls_keeper *keeper;
	struct pressure *pressure; /* NULL: nothing to watch */
	sd_event_source *tick, *drain_timer;
	uint64_t drain_until;
	unsigned long reserve_spent; /* of the memory reserve, up to the last tick */
	bool scarce; /* the memory reserve was not whole at the last tick */
	int exit_code;

	pthread_mutex_t reload; /* one reload at a time */
	uint64_t generation;

	pthread_mutex_t lock; /* guards config */
	struct config *config;
};

/* READY=1 or the like, with a status line. */
void server_notify(struct server *server, const char *what);
/* Each mistake of a configuration as a record. */
void server_log_mistakes(const char *mistakes);
/* SIGHUP: a reload on a thread of its own. */
int server_on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata);
