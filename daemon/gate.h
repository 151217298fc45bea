/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* gate.h - the HTTP/1.1 framing gate: decrypted bytes in, bytes of well-framed requests out.
 *
 * It stands before the HTTP parser. A head is withheld until it is whole and valid; then the parser gets a small one in
 * its place that says how the message is framed and nothing else, always written the same way, and the head itself is
 * read from gate_take_request. Chunked bodies come out with canonical framing, without extensions and trailers. A
 * refused request is replaced by a harmless one that ends at once (or its body is ended), gate_refusal says why, and
 * all later bytes are dropped. At most one message passes a call: the next one comes out when the caller asks again.
 *
 * The bytes out and the refusal depend on the bytes in only, never on how these were cut into calls.
 *
 * Threads: one at a time. Owns: bytes it has withheld, and a head until it is taken; nothing between requests when
 * nothing was pipelined.
 */
#include "gate-reason.h"
#include "gate-request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gate;

struct gate_limits {
	size_t header_size;  /* request line and fields, with the empty line */
	size_t header_count; /* fields */
	uint64_t body_size;
};

enum gate_phase {
	GATE_IDLE, /* between messages, nothing of the next has come */
	GATE_HEAD, /* some of a head has come */
	GATE_BODY, /* the head has passed, some of the message is still to pass */
	GATE_REFUSED,
};

int gate_new(const struct gate_limits *limits, struct gate **ret);
void gate_free(struct gate **gate); /* accepts NULL */

/* How many bytes to read at most: never past a body of known length, so that they need no copy. */
size_t gate_wanted(const struct gate *gate, size_t size);
/* Takes what has come (length may be 0: only what is withheld is looked at) and writes at most size bytes that may
 * pass. in may be out itself, unless gate_pending. Returns the number written, 0 if more must come first, -ENOMEM. */
long gate_pass(struct gate *gate, const char *in, size_t length, char *out, size_t size);
/* The rest of the body that is passing is not wanted: it is made up at once, and no later message passes. */
void gate_abandon(struct gate *gate);
/* True if gate_pass may write something without new bytes. */
bool gate_pending(const struct gate *gate);

enum gate_phase gate_phase(const struct gate *gate);
enum gate_reason gate_refusal(const struct gate *gate);
/* The head of the message that is passing: the caller's to free. NULL: refused, or taken already. */
struct gate_request *gate_take_request(struct gate *gate);
/* Of the message that is passing or passed last: -1 chunked, 0 none. */
int64_t gate_content_length(const struct gate *gate);
