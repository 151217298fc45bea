/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* job.h - one long change at a time on a thread of its own, its end told to the main loop.
 *
 * Threads: job_queue_* on the main thread; work runs on the job's thread, done on the main thread.
 * Owns: threads; arg belongs to the caller, who frees it in done.
 */
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct job_queue;

struct job_info {
	uint64_t id;
	char what[96];    /* "restart leak" */
	uint64_t started; /* CLOCK_REALTIME seconds */
	uint64_t ended;   /* the same; 0: it runs */
	int result;       /* 0 or a negative errno, as job_set_result said */
	char text[160];   /* what came of it, as job_set_result said */
};

int job_queue_new(sd_event *event, struct job_queue **ret);
/* Starts a thread at once (at most 16; -EAGAIN beyond). done: on the main thread when work is over; may be NULL. */
int job_start(struct job_queue *queue, const char *what, void (*work)(void *arg), void (*done)(void *arg), void *arg,
	      uint64_t *ret_id);
/* From done: keeps the outcome for job_list. The last 32 jobs with an outcome are remembered, others are forgotten. */
void job_set_result(struct job_queue *queue, uint64_t id, int result, const char *text);
/* Running jobs and remembered ones, oldest first; returns how many there are, fills at most size. */
size_t job_list(const struct job_queue *queue, struct job_info *ret, size_t size);
/* Waits for the running ones and calls their done. Accepts NULL. */
void job_queue_free(struct job_queue **queue);
