/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* flight.h - the messages of a handshake that belong together leave in one write.
 *
 * GnuTLS writes its first flight in two: a write more, a packet more, and the peer wakes up for the half of it. Between
 * flight_begin and flight_end a thread's writes are collected; what the socket does not take at the end is kept, and
 * goes before anything else.
 *
 * Threads: any; begin and end on the same, one connection at a time. Owns: the bytes that did not leave.
 */
#include <stddef.h>
#include <sys/uio.h>

enum { FLIGHT_ROOM = 8192 }; /* what is longer leaves in parts */

struct flight; /* what did not leave; NULL: all did */

void flight_begin(void);
/* 0: all has left. -EAGAIN: the socket is full; flight_continue once it is not. Other errors: it is broken. */
int flight_end(int fd, struct flight **rest);
int flight_continue(int fd, struct flight **rest);
/* Like sendmsg: how much was taken, or -1 and errno. */
ssize_t flight_write(int fd, struct flight **rest, const struct iovec *parts, size_t count);
void flight_free(struct flight **rest); /* accepts NULL */
