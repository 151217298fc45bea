/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* caller.h - one connected client of the control socket: reads its calls, runs commands, queues their replies.
 *
 * Calls of one connection are answered in order, one at a time: while a job runs for it, or a reply waits to be read,
 * nothing more is read from it. A message that stays incomplete for 30 s, or a reply that
 * nobody reads for 10 s, ends it.
 *
 * Threads: main thread. Owns: the socket, its buffers, the credentials. A job outlives the caller that began it.
 */
#include "command.h"
#include "peer.h"

#include <systemd/sd-event.h>

struct caller;

/* What all callers share; belongs to control.c. */
struct caller_service {
	sd_event *event;
	struct command_context context;
	struct peer_rules *rules;
	unsigned reading_jobs; /* jobs that change nothing: limited, so that readers cannot keep changes out */
	struct caller *callers;
	bool stopping;                 /* answers are sent, but no further call is begun */
	unsigned count, foreign_count; /* connections; those not of root or the daemon's own user */
};

/* Takes fd and what is in peer, also on failure. */
int caller_new(struct caller_service *service, int fd, struct peer *peer, bool read_only);
/* Writes what is queued as far as the socket takes it. */
void caller_flush(struct caller *caller);
struct caller *caller_next(const struct caller *caller);
/* Accepts NULL. */
void caller_free(struct caller **caller);
