/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* wire.h - Varlink messages on a stream socket: framing, descriptors, calls and replies.
 *
 * A message is a JSON object followed by one NUL byte. Source: varlink.org, "Method Call" and "Transport".
 * Everything is bounded: one incoming message, the output that waits, descriptors that nobody has taken.
 *
 * Threads: a wire belongs to its caller. Owns: its buffers, descriptors received and not yet taken; not the socket.
 */
#include "error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
	WIRE_CALL_MAX = 1024 * 1024,       /* one call */
	WIRE_REPLY_MAX = 16 * 1024 * 1024, /* one reply, and all output that waits for a slow reader */
	WIRE_DESCRIPTORS_MAX = 4,
};

struct wire;

/* input_max, output_max: bytes of one incoming message, of all waiting output. */
int wire_new(size_t input_max, size_t output_max, struct wire **ret);
void wire_free(struct wire **wire);

/* One recvmsg. > 0: bytes; 0: end of stream; -EAGAIN; -EMSGSIZE: the message is longer than input_max; -ENOBUFS: take
 * the complete messages first; -EMFILE: more descriptors than anyone needs; else the socket's error. */
ssize_t wire_receive(struct wire *wire, int fd);
/* The same from memory. Takes all of data or nothing. */
int wire_feed(struct wire *wire, const void *data, size_t length);
/* 1 and the next complete message, NUL-terminated, valid until the wire is next read or fed; 0: none is complete. */
int wire_next(struct wire *wire, const char **ret, size_t *ret_length);
/* True while bytes without their NUL, or messages nobody took, are buffered. */
bool wire_buffered(const struct wire *wire);

/* The oldest descriptor that was received and not taken, now the caller's; -1: none. */
int wire_take_descriptor(struct wire *wire);
void wire_drop_descriptors(struct wire *wire);

/* Appends a message. -ENOBUFS past output_max, and then nothing was appended. */
int wire_queue(struct wire *wire, const json_t *message);
/* The same of a message that is text of that length already, with its NUL. Takes text, also when it fails. */
int wire_queue_written(struct wire *wire, char *text, size_t length);
/* A short message that is text already, whatever output_max says. */
int wire_queue_text(struct wire *wire, const char *text);
/* The same with a descriptor passed beside its first byte; only on an empty output, so that it cannot be misplaced. */
int wire_send_with_descriptor(struct wire *wire, int fd, const json_t *message, int descriptor);
size_t wire_pending(const struct wire *wire);
/* Writes what it can. 0: nothing is left; -EAGAIN: some is; else the socket's error. */
int wire_flush(struct wire *wire, int fd);

/* One method call. */
struct wire_call {
	char *method;       /* "io.mtlsd.Control.List" */
	json_t *parameters; /* an object, never NULL */
	bool more, oneway;
};
/* Strict where it protects us: one object, no duplicate keys, no NUL inside strings, a bounded number of containers and
 * members (a megabyte of "[]" would become fifty of memory). -EBADMSG with a sentence. */
int wire_call_parse(const char *text, size_t length, struct wire_call *ret, struct error *error);
void wire_call_clear(struct wire_call *call);

/* New messages; parameters are stolen, NULL means none. NULL when out of memory. */
json_t *wire_reply(json_t *parameters, bool continues);
json_t *wire_error(const char *name, json_t *parameters);
json_t *wire_request(const char *method, json_t *parameters, bool more);
/* A JSON string of text that may be no UTF-8; then what is not ASCII becomes "?". NULL: out of memory. */
json_t *wire_text(const char *text);
