/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* client.h - mtlsctl's end of the control socket: connect, call, wait for the reply.
 *
 * Threads: a client belongs to its caller. Owns: its socket.
 */
#include "error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct client;

/* -ENOENT, -ECONNREFUSED, -EACCES, …: the errno of connect. */
int client_connect(const char *path, uint64_t timeout, struct client **ret);
void client_free(struct client **client);

/* What such a failure, or one of client_call, means and what to do about it; returns code. */
int client_explain(const char *path, int code, struct error *error);

struct client_reply {
	char *error;        /* name of the error; NULL: a good reply */
	json_t *parameters; /* an object */
	int64_t job;        /* number of the daemon's job, if it told one on the way; 0: none */
};

/* parameters are stolen. more: intermediate replies are welcome. descriptor: passed with the call, -1: none. timeout:
 * microseconds until the last reply, 0: for ever. -ETIMEDOUT leaves ret->job set; -ECONNRESET: the daemon went away;
 * -EBADMSG: it is no mtlsd. */
int client_call(struct client *client, const char *method, json_t *parameters, bool more, int descriptor,
		uint64_t timeout, struct client_reply *ret);
void client_reply_clear(struct client_reply *reply);
