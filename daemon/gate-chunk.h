/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* gate-chunk.h - judges the size lines of one chunked body.
 *
 * Threads: pure. Owns: nothing.
 */
#include "gate-reason.h"

#include <stddef.h>
#include <stdint.h>

enum { GATE_CHUNK_LINE = 128 /* bytes of one line with its extensions and CRLF */ };

struct gate_chunks {
	uint64_t body;     /* bytes announced so far */
	size_t extensions; /* bytes of extensions so far */
};

/* line: without its CRLF. *ret_size: 0 is the last chunk; added to chunks->body. */
enum gate_reason gate_chunk_line(struct gate_chunks *chunks, const char *line, size_t length, uint64_t body_size,
				 uint64_t *ret_size);
