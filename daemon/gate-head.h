/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* gate-head.h - judges the lines of one request head and says how its body is framed.
 *
 * Lines come without their CRLF and without NUL and control bytes but HTAB (the gate has seen to that).
 *
 * Threads: pure. Owns: nothing.
 */
#include "gate-reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gate_head {
	bool version_1_0;
	bool has_host, has_length, has_coding, has_expect;
	bool close, keep_alive; /* among the options of Connection */
	int64_t content_length; /* -1: chunked */
	size_t fields;
};

enum gate_reason gate_head_request_line(struct gate_head *head, const char *line, size_t length);
enum gate_reason gate_head_field(struct gate_head *head, const char *line, size_t length);
/* What can be said only when the head is whole. */
enum gate_reason gate_head_end(const struct gate_head *head, uint64_t body_size);
/* What the parser gets in its place: how the message is framed, and nothing else. Every line stands for one the client
 * sent that is no shorter, so that it is never longer than what came in. Returns its length. */
enum { GATE_HEAD_SMALL = 192 };
size_t gate_head_write(const struct gate_head *head, const char *method, const char *version,
		       char text[static GATE_HEAD_SMALL]);
/* Trailers are dropped; those that would matter if they were not are refused. */
enum gate_reason gate_head_trailer(const char *line, size_t length);
