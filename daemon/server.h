/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* server.h - the daemon as a whole: its parts in order, its event loop, reload and drain.
 *
 * Threads: created and run on the main thread; server_reload may be called from a job thread.
 * Owns: every subsystem.
 */
#include "accesslog.h"
#include "config.h"
#include "endpoint.h"
#include "error.h"
#include "overseer.h"
#include "supervisor.h"
#include "tls-keeper.h"

#include <systemd/sd-event.h>

struct server;

int server_new(const char *config_path, struct server **ret, struct error *error);
/* Runs until told to stop; returns the process's exit code. */
int server_run(struct server *server);
void server_free(struct server **server);

/* Reads the file again; on failure the old snapshot stays and the error says why (all mistakes, one a line, in
 * *ret_mistakes if not NULL). Blocks until old instances are drained: call it from a job thread. */
int server_reload(struct server *server, char **ret_mistakes, struct error *error);

/* The credential files alone: those that changed come into force for new connections, or would (rehearse). On a job
 * thread too. server: a struct server, untyped for tls_keeper_new. */
int server_reload_tls(void *server, bool rehearse, struct tls_keeper_report *ret, struct error *error);

/* For commands. */
struct supervisor *server_supervisor(struct server *server);
struct overseer *server_overseer(struct server *server);
struct endpoint *server_endpoint(struct server *server);
struct config *server_config(struct server *server); /* a new reference */
sd_event *server_event(struct server *server);
/* The route of a number that escapes are booked under; NULL: none. */
const char *server_route(struct server *server, unsigned number);
void server_access_log(const struct server *server, struct accesslog_counts *ret);
uint64_t server_started(const struct server *server); /* CLOCK_REALTIME seconds */
const char *server_state(const struct server *server); /* "running", "reloading", "draining" */
