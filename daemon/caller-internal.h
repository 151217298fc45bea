/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* caller-internal.h - what caller.c (the connection), caller-call.c (its calls) and caller-job.c (commands under way)
 * share. For them only.
 *
 * Threads: main thread, but for the run of a slow command. Owns: see caller.h.
 */
#include "caller.h"
#include "wire.h"

struct caller_job;

struct caller {
	struct caller_service *service;
	struct caller *next, **link;
	struct peer peer;
	struct wire *wire;
	struct caller_job *job; /* whose reply is waited for; NULL: none */
	sd_event_source *io, *timer, *again;
	uint64_t incomplete_since; /* when the message under way was first seen incomplete; 0: none is */
	uint64_t stalled_since;    /* when the output last got shorter */
	size_t stalled_at;         /* its length then */
	bool read_only;
	bool ended;   /* nothing more will come; calls that came whole are still answered */
	bool closing; /* nothing more is answered; what is queued is still sent */
	bool denied;  /* one refusal was logged: a loop of them must not fill the journal */
	int fd;
};

/* A command that runs, or ran, for somebody. */
struct caller_job {
	struct caller_service *service;
	struct caller *caller; /* NULL: nobody waits for the reply */
	struct command_call call;
	uid_t uid;
	pid_t pid;
	uint64_t id; /* 0: it was quick and no job */
	bool oneway;
	int result;
	json_t *reply;
	struct error error;
	/* Of a reading job its thread makes the message as well; `reply` is gone then. */
	bool written;
	int text_result;
	char *text;
	size_t text_length;
};

/* caller.c: answers what can be answered now. May free the caller. */
void caller_turn(struct caller *caller);

/* caller-call.c */
void caller_handle(struct caller *caller, const char *text, size_t length);
/* Steals message. A reply that does not fit is replaced by the reason; if not even that fits, the caller is closed. */
void caller_send(struct caller *caller, json_t *message);
/* The same of a message that is text already, or of the reason why it is none. Steals text. */
void caller_send_text(struct caller *caller, int result, char *text, size_t length);
/* The wire's name of a negative errno. */
const char *caller_error_name(int code);

/* caller-job.c: runs the command now, or starts its job. Takes arguments and output. */
void caller_run(struct caller *caller, const struct wire_call *call, const struct command *command, json_t *arguments,
		int output);
