/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* tls-keeper.h - keeps credentials current while the daemon serves: files that change are taken or refused, secrets of
 * tickets renewed, ends told in time, connections looked at again when the policy has changed.
 *
 * Threads: the event loop's, but tls_keeper_reload and tls_keeper_look, which belong on a job's thread.
 * Owns: the watch of files.
 */
#include "endpoint.h"
#include "errand.h"
#include "job.h"

#include <systemd/sd-event.h>

struct tls_keeper;

struct tls_keeper_report {
	size_t sets, replaced; /* sets there are; sets whose files differ from what was in force */
	int policies;          /* whose epoch rose */
	struct endpoint_look look;
};

/* reload: called on a job's thread when files have changed; calls tls_keeper_reload with the configuration in force,
 * which nobody may change meanwhile. */
int tls_keeper_new(sd_event *event, struct endpoint *endpoint, struct errands *errands, struct job_queue *jobs,
		   int (*reload)(void *arg, bool rehearse, struct tls_keeper_report *ret, struct error *error),
		   void *arg, struct tls_keeper **ret, struct error *error);
void tls_keeper_free(struct tls_keeper **keeper);
/* Watches the files of this configuration from now on. */
void tls_keeper_watch(struct tls_keeper *keeper, const struct config *config);
/* Once a second. */
void tls_keeper_tick(struct tls_keeper *keeper, const struct config *config);

/* Reads the files of the configuration in force again. On failure the old sets stay. rehearse: they stay anyway. */
int tls_keeper_reload(struct tls_keeper *keeper, struct config *config, bool rehearse, struct tls_keeper_report *ret,
		      struct error *error);
/* After a change of policy: looks at open connections, and tells what was closed. */
void tls_keeper_look(struct tls_keeper *keeper, const struct config *config, struct endpoint_look *ret);
