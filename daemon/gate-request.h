/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* gate-request.h - a request head the gate has let pass, taken apart: what everybody behind it reads.
 *
 * One block: a copy of the head, and pointers into it. Values are without the whitespace around them (RFC 9110, 5.5).
 *
 * Threads: one at a time. Owns: its copy of the head.
 */
#include "request-header.h"

#include <stddef.h>

struct gate_request {
	const char *method, *target, *version;
	const char *host; /* the value of Host; NULL: none */
	size_t header_count;
	struct request_header headers[];
};

/* head: whole, with its empty line, and judged; header_count: how many fields it has. -ENOMEM. */
int gate_request_new(const char *head, size_t length, size_t header_count, struct gate_request **ret);
void gate_request_free(struct gate_request **request); /* accepts NULL */
