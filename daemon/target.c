/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool
path_character(unsigned char c)
{
	return c > 0x20 && c < 0x7f && !strchr("\"#<>\\^`{|}", c);
}

/* Browsers leave '^', '{', '|' and '}' raw in queries (URL Standard, query percent-encode set). */
static bool
query_character(unsigned char c)
{
	return c > 0x20 && c < 0x7f && !strchr("\"#<>\\`", c);
}

/* RFC 3629, 4: no overlong forms, no surrogates, nothing past U+10FFFF. */
static bool
is_utf8(const unsigned char *s, size_t length)
{
	size_t i = 0;
	while (i < length) {
		unsigned char c = s[i++];
		if (c < 0x80)
			continue;
		unsigned more = c >= 0xc2 && c <= 0xdf   ? 1
				: c >= 0xe0 && c <= 0xef ? 2
				: c >= 0xf0 && c <= 0xf4 ? 3
							 : 0;
		if (!more || length - i < more)
			return false;
		unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
		unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
		for (; more; more--, i++, low = 0x80, high = 0xbf)
			if (s[i] < low || s[i] > high)
				return false;
	}
	return true;
}

/* Path parameters are looked behind: "..;x" is a dot segment to some. */
static bool
is_dot_segment(const unsigned char *segment, size_t length)
{
	const unsigned char *semicolon = memchr(segment, ';', length);
	size_t n = semicolon ? (size_t) (semicolon - segment) : length;
	return (n == 1 && segment[0] == '.') || (n == 2 && segment[0] == '.' && segment[1] == '.');
}

static enum gate_reason
check_query(const char *query, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (!query_character((unsigned char) query[i]))
			return GATE_TARGET_CHARACTER;
		if (query[i] == '%' && (length - i < 3 || hex_value(query[i + 1]) < 0 || hex_value(query[i + 2]) < 0))
			return GATE_TARGET_PERCENT;
	}
	return GATE_ACCEPTED;
}

/* A segment is checked decoded and piecewise, so that no buffer of the path's size is needed. UTF-8 sequences cannot
 * span segments, because '/' never is part of one; dot segments are at most 2 bytes before ';'. */
static enum gate_reason
check_segment(const char *raw, size_t length, bool last)
{
	unsigned char decoded[64];
	size_t n = 0;
	bool whole = true; /* decoded[] still begins with the segment's first byte */

	if (length == 0)
		return last ? GATE_ACCEPTED : GATE_TARGET_EMPTY_SEGMENT;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char) raw[i];
		if (!path_character(c))
			return GATE_TARGET_CHARACTER;
		if (c == '%') {
			if (length - i < 3 || hex_value(raw[i + 1]) < 0 || hex_value(raw[i + 2]) < 0)
				return GATE_TARGET_PERCENT;
			c = (unsigned char) (hex_value(raw[i + 1]) << 4 | hex_value(raw[i + 2]));
			i += 2;
			if (c < 0x20 || c == 0x7f || c == '/' || c == '\\')
				return GATE_TARGET_ENCODED;
		}
		/* Flush before a byte that starts a character, so that none is cut in two. */
		if (n >= sizeof(decoded) - 4 && (c & 0xc0) != 0x80) {
			if (!is_utf8(decoded, n) || (whole && is_dot_segment(decoded, n)))
				return !is_utf8(decoded, n) ? GATE_TARGET_UTF8 : GATE_TARGET_DOT_SEGMENT;
			whole = false;
			n = 0;
		}
		if (n == sizeof(decoded))
			return GATE_TARGET_UTF8; /* a run of continuation bytes */
		decoded[n++] = c;
	}
	if (!is_utf8(decoded, n))
		return GATE_TARGET_UTF8;
	return whole && is_dot_segment(decoded, n) ? GATE_TARGET_DOT_SEGMENT : GATE_ACCEPTED;
}

enum gate_reason
target_check(const char *target, size_t length)
{
	if (length == 0 || target[0] != '/')
		return GATE_TARGET_FORM;
	const char *mark = memchr(target, '?', length);
	const char *end = mark ? mark : target + length;
	for (const char *segment = target + 1;;) {
		const char *slash = memchr(segment, '/', (size_t) (end - segment));
		enum gate_reason reason =
			check_segment(segment, (size_t) ((slash ? slash : end) - segment), slash == NULL);
		if (reason)
			return reason;
		if (!slash)
			break;
		segment = slash + 1;
	}
	return mark ? check_query(mark + 1, (size_t) (target + length - mark - 1)) : GATE_ACCEPTED;
}

size_t
target_decode(const char *target, size_t length, char *path, const char **ret_query)
{
	size_t n = 0, i = 0;
	for (; i < length && target[i] != '?'; i++) {
		if (target[i] == '%' && length - i >= 3) {
			path[n++] = (char) (hex_value(target[i + 1]) << 4 | hex_value(target[i + 2]));
			i += 2;
		} else {
			path[n++] = target[i];
		}
	}
	path[n] = '\0';
	*ret_query = i < length ? target + i + 1 : NULL;
	return n;
}
