/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* step.h - one plugin's part in one request, and the request behind it; shared by request.c, step.c and host.c only.
 *
 * A step's phases:
 *
 *   NEW -> CALLING -> READY -> OVER -> CLOSED
 *           ^  \-> HELD -/ \
 *           |               \
 *           +---- UPLOAD <---+
 *
 * CALLING: a callback runs, or is queued on the plugin's pool. HELD: deferred; the plugin has it until it calls finish.
 * READY: an action waits for the transport's thread. UPLOAD: it said MTLSD_MORE and the next piece is not here yet.
 * OVER: nothing more will be asked of the plugin but `done`.
 * CLOSED: `done` was called, or will be by the thread that set this phase; nobody else touches the step then.
 *
 * Threads: request.lock guards phase, action, cancelled, suspended, ended and the stream's flags of all steps.
 * Owns: an entered step keeps its request alive until it is closed.
 */
#include "deadline.h"
#include "plugin.h"
#include "request.h"
#include "snapshot.h"

#include <pthread.h>
#include <stdatomic.h>

enum step_phase { STEP_NEW, STEP_CALLING, STEP_HELD, STEP_READY, STEP_UPLOAD, STEP_OVER, STEP_CLOSED };

/* What a plugin sees as mtlsd_request. */
struct step {
	struct plugin_visit visit; /* visit.instance: which */
	struct request *request;
	const struct config_plugin *config;
	enum step_phase phase;
	mtlsd_action action; /* READY */
	bool finished;       /* finish was called before the callback returned MTLSD_DEFER */
	bool cancelling;     /* its cancel callback is to run or runs */
	bool early;          /* close without waiting for the transport */
	bool trial;          /* its end decides about the plugin's breaker */
	bool called;         /* request was called: done is owed */
	bool queued_body;    /* the queued call is body, not request */
	uint64_t until;      /* deadline, microseconds of the wheel's clock */
	struct scope_booking *booking;
	struct scope_arena *arena;
	void *data;
	void (*release)(void *);
	struct pool_job job;        /* a callback or the close, on the plugin's pool */
	struct pool_job cancel_job; /* on the late pool, or the plugin's */
};

struct attribute {
	struct attribute *next;
	char *value;
	char name[];
};

struct request {
	atomic_uint refs; /* the transport's, one an entered step, passing ones */
	pthread_mutex_t lock;
	struct request_service *service;
	struct snapshot *snapshot;
	struct connection *connection;
	const struct request_transport *ops;
	void *transport;
	const struct config_route *route;
	uint64_t began; /* CLOCK_MONOTONIC microseconds; 0: no access log was on then */

	struct request_head head; /* points into words */
	struct attribute *attributes;
	size_t attribute_count;

	char *body;
	size_t body_length, body_capacity, body_limit;
	const void *piece; /* body callback: what it is called with */
	size_t piece_length;
	bool piece_copied; /* piece is our own copy */
	bool streaming;    /* the handler wants the body piece by piece */
	bool uploaded;     /* the transport has no more body to hand over */
	bool body_ended;   /* body was called with its end */

	struct response response;
	bool answered; /* response is what the transport sends */

	mtlsd_stream stream;
	void *stream_context;
	struct step *stream_step; /* whose stream it is */
	uint64_t streamed;        /* bytes it gave so far */
	bool stream_ready, stream_waiting, stream_broken;

	bool suspended; /* a resume is owed to the transport */
	bool ended;
	enum request_outcome outcome;
	mtlsd_reason cancelled; /* 0: no */

	struct deadline deadline; /* of the step under way */
	bool armed;

	size_t current, step_count;
	struct step *steps;
	char words[]; /* the head's strings and tables */
};

struct request_service {
	struct supervisor *supervisor;
	struct snapshot_store *snapshots;
	struct deadline_wheel *wheel;
	struct pool *late; /* cancel and late done callbacks */
	struct accesslog *log; /* NULL: none */
	atomic_bool draining;
};

static inline struct step *
request_step(struct request *request)
{
	return &request->steps[request->current];
}

void request_unref(struct request *request);
/* request-log.c: its record, while its steps still stand. */
void request_log(const struct request *request, enum request_outcome outcome);
/* The handler's or the daemon's answer to a cancelled or failed request. */
void request_page(struct request *request, int status, const char *line);
/* 503 with Retry-After. wait: microseconds. */
void request_refuse(struct request *request, uint64_t wait, const char *line);

/* Enters the current instance of the step's plugin. False: the 503 page is set. */
bool step_enter(struct step *step);
/* Calls `request` (or `body` with the request's piece). True: its action is READY, or the request was cancelled; false:
 * suspended, resume comes. */
bool step_call(struct step *step, bool body);
/* On the transport's thread: takes a READY action. */
mtlsd_action step_take(struct step *step);
/* From host.finish. */
int step_finish(struct step *step, mtlsd_action action);
/* Ends the wait for a step's plugin; deadline, drain, client gone. */
void step_cancel(struct step *step, mtlsd_reason reason);
/* The transport is done with the request (request.ended is set): closes what can be closed now. */
void step_end(struct step *step);
/* Forgets the stream of a step: runs its release hook. */
void step_drop_stream(struct request *request);
