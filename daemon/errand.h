/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* errand.h - work that a job's thread wants done on the main thread, while it waits.
 *
 * Threads: errand_run from any thread but the main one, one at a time; the rest on the main thread.
 * Owns: its event source and descriptor.
 */
#include "error.h"

#include <systemd/sd-event.h>

struct errands;

int errands_new(sd_event *event, struct errands **ret);
/* Runs work(arg, error) in the event loop and returns what it returned. -ESHUTDOWN once the loop is over. */
int errand_run(struct errands *errands, int (*work)(void *arg, struct error *error), void *arg, struct error *error);
/* The loop is over: whoever waits is told, and whoever comes. */
void errands_end(struct errands *errands);
/* Nobody may wait or come any more; accepts NULL. */
void errands_free(struct errands **errands);
