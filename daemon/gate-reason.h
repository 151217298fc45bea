/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* gate-reason.h - every reason for which the framing gate refuses a request, with its status and its sentence.
 *
 * Threads: any; constants. Owns: nothing.
 */

/* The names say what was found. The rows of gate-reason.c name the section of RFC 9112, 9110 or 3986 behind each. */
enum gate_reason {
	GATE_ACCEPTED,
	GATE_BARE_LF,
	GATE_BARE_CR,
	GATE_NUL,
	GATE_CONTROL,
	GATE_EMPTY_LINES,
	GATE_REQUEST_LINE,
	GATE_METHOD,
	GATE_METHOD_REFUSED,
	GATE_TARGET_FORM,
	GATE_TARGET_CHARACTER,
	GATE_TARGET_PERCENT,
	GATE_TARGET_ENCODED,
	GATE_TARGET_UTF8,
	GATE_TARGET_EMPTY_SEGMENT,
	GATE_TARGET_DOT_SEGMENT,
	GATE_TARGET_LONG,
	GATE_VERSION_SYNTAX,
	GATE_VERSION,
	GATE_FIELD_FOLDED,
	GATE_FIELD_NAME,
	GATE_FIELD_SPACE_BEFORE_COLON,
	GATE_FIELD_COUNT,
	GATE_HEAD_LARGE,
	GATE_HOST_MISSING,
	GATE_HOST_REPEATED,
	GATE_HOST_SYNTAX,
	GATE_LENGTH_REPEATED,
	GATE_LENGTH_SYNTAX,
	GATE_LENGTH_WITH_CODING,
	GATE_CODING,
	GATE_CODING_REPEATED,
	GATE_CODING_IN_1_0,
	GATE_EXPECT,
	GATE_UPGRADE,
	GATE_BODY_LARGE,
	GATE_CHUNK_SIZE,
	GATE_CHUNK_EXTENSION,
	GATE_CHUNK_END,
	GATE_TRAILER_FRAMING,
	GATE_REASON_COUNT
};

int gate_reason_status(enum gate_reason reason); /* 400, 413, ... */
/* A short name for logs ("bare-lf"), and the sentence for the client's page. */
const char *gate_reason_name(enum gate_reason reason);
const char *gate_reason_text(enum gate_reason reason);
