/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* crowd.h - the clients' side of a run: open connections, and the requests under way on them.
 *
 * A connection has one request at a time; answers go out when their time has come, in the meantime others begin. So
 * what requests hold while they live is there to be seen, as it is in a daemon that serves.
 *
 * Threads: one. Owns: its connections and requests.
 */
#include "stage.h"
#include "traffic.h"

struct crowd;

int crowd_new(struct stage *stage, struct traffic *traffic, struct crowd **ret);
/* Sends a request, at next->at. began: the timeline when the run began. */
void crowd_send(struct crowd *crowd, const struct traffic_next *next, uint64_t began);
/* Takes the answers that are due by now (microseconds of the timeline). */
void crowd_receive(struct crowd *crowd, uint64_t now);
/* Closes all connections. No request may be under way. */
void crowd_leave(struct crowd *crowd);
/* Requests under way. */
unsigned crowd_size(const struct crowd *crowd);
/* When the next answer is due. */
uint64_t crowd_due(const struct crowd *crowd);
