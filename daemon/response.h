/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* response.h - one answer: status, headers, a whole body or a stream.
 *
 * Headers are checked when added: token names, values without CR, LF and NUL; framing headers (Content-Length,
 * Transfer-Encoding, Connection, Keep-Alive, Upgrade, Trailer, Date) belong to the transport and are refused.
 *
 * Threads: one at a time. Owns: copies of all it is given, in daemon memory.
 */
#include "error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct response_header {
	char *name, *value;
};

struct response {
	int status; /* 200..599; 0: none was set */
	struct response_header *headers;
	size_t header_count, header_capacity, head_size;
	void *body; /* whole answers */
	size_t length;
	bool streamed;     /* the body comes from request_stream_read */
	int64_t announced; /* streamed: total bytes, -1: unknown (chunked) */
	bool close;        /* close the connection after it */
};

/* -EINVAL with a sentence for a bad name or value, -ENOMEM, -E2BIG past 64 headers or 3,584 bytes of
 * them. */
int response_add_header(struct response *response, const char *name, const char *value, struct error *error);
/* Replaces status and body; headers that were added stay. */
int response_set(struct response *response, int status, const void *body, size_t length);
/* The daemon's own page: clears headers, sets text/plain with one line. */
int response_set_page(struct response *response, int status, const char *line);
void response_clear(struct response *response);
const char *response_reason(int status);
