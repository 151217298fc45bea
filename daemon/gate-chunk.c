/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gate-chunk.h"

#include <string.h>

enum {
	EXTENSIONS = 4096, /* bytes in one message: RFC 9112, 7.1.1 asks for a limit of the total */
	DIGITS = 16
};

static int
digit_value(char c)
{
	static const char digits[] = "0123456789abcdef";
	char lower = (char) (c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c);
	const char *digit = lower ? strchr(digits, lower) : NULL;
	return digit ? (int) (digit - digits) : -1;
}

/* What follows the size: nothing, or extensions that start with ';'. They are not passed on. */
static enum gate_reason
judge_extensions(struct gate_chunks *chunks, const char *rest, size_t length)
{
	chunks->extensions += length;
	if (length == 0)
		return GATE_ACCEPTED;
	return rest[0] == ';' && chunks->extensions <= EXTENSIONS ? GATE_ACCEPTED : GATE_CHUNK_EXTENSION;
}

enum gate_reason
gate_chunk_line(struct gate_chunks *chunks, const char *line, size_t length, uint64_t body_size, uint64_t *ret_size)
{
	uint64_t size = 0;
	size_t i = 0;
	for (; i < length && digit_value(line[i]) >= 0; i++) {
		if (size > UINT64_MAX >> 4)
			return GATE_BODY_LARGE;
		size = size << 4 | (uint64_t) digit_value(line[i]);
	}
	if (i == 0 || i > DIGITS || (i < length && line[i] != ';'))
		return GATE_CHUNK_SIZE;
	if (size > body_size - chunks->body)
		return GATE_BODY_LARGE;
	enum gate_reason reason = judge_extensions(chunks, line + i, length - i);
	if (reason)
		return reason;
	chunks->body += size;
	*ret_size = size;
	return GATE_ACCEPTED;
}
