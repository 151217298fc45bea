/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* job.h - one long change at a time on a thread of its own, its end told to the main loop.
 *
 * Threads: job_queue_* on the main thread; work runs on the job's thread, done on the main thread.
 * Owns: threads; arg belongs to the caller, who frees it in done.
 */
#include <stdint.h>
#include <systemd/sd-event.h>

struct job_queue;

struct job_info {
	uint64_t id;
	char what[96];    /* "restart leak" */
	uint64_t started; /* CLOCK_REALTIME seconds */
};

int job_queue_new(sd_event *event, struct job_queue **ret);
/* Starts a thread at once (at most 16; -EAGAIN beyond). */
int job_start(struct job_queue *queue, const char *what, void (*work)(void *arg), void (*done)(void *arg), void *arg,
	      uint64_t *ret_id);
size_t job_list(const struct job_queue *queue, struct job_info *ret, size_t size);
/* Waits for the running ones and calls their done. Accepts NULL. */
void job_queue_free(struct job_queue **queue);
