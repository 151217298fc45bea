/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* control.h - the Unix socket of the operator: connections, peer credentials, Varlink messages, replies.
 *
 * Source: varlink.org (wire format: JSON + NUL; org.varlink.service; `more`, `oneway`; SCM_RIGHTS descriptors).
 *
 * Threads: main thread. Owns: its sockets and connections.
 */
#include "config.h"
#include "error.h"

#include <systemd/sd-event.h>

struct control;
struct server;

/* Binds the sockets (group and mode before listen; a stale socket file is replaced, a live one refused). */
int control_new(sd_event *event, const struct config_control *config, struct server *server, struct control **ret,
		struct error *error);
/* Group, mode and paths of a new snapshot; -EINVAL if a path changed that needs a restart. */
int control_reload(struct control *control, const struct config_control *config, struct error *error);
/* Ends connections after their pending replies, removes the socket files. */
void control_free(struct control **control);
