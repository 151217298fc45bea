/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "glob.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static bool
bytes_equal(char a, char b, bool fold_case)
{
	/* ASCII only: names in certificates are compared by bytes, never by locale. */
	if (fold_case && a >= 'A' && a <= 'Z')
		a = (char) (a - 'A' + 'a');
	if (fold_case && b >= 'A' && b <= 'Z')
		b = (char) (b - 'A' + 'a');
	return a == b;
}

/* The positions in the pattern that the text read so far may have come to, ascending. */
struct positions {
	size_t count;
	uint16_t at[GLOB_PATTERN_MAX + 1];
};

/* Adds a position, and behind stars what follows them, since a star may take nothing. Positions are found in ascending
 * order, but for repeats of what is there already. */
static void
position_add(struct positions *positions, const char *pattern, size_t at)
{
	size_t stars = 0;

	if (positions->count > 0 && at <= positions->at[positions->count - 1])
		return;
	positions->at[positions->count++] = (uint16_t) at;
	while (pattern[at + stars] == '*')
		stars++;
	if (stars > 0)
		positions->at[positions->count++] = (uint16_t) (at + stars);
}

static void
byte_take(const struct positions *before, const char *pattern, char byte, char separator, bool fold_case,
	  struct positions *after)
{
	bool is_separator = separator != '\0' && byte == separator;

	after->count = 0;
	for (size_t i = 0; i < before->count; i++) {
		size_t at = before->at[i];

		if (pattern[at] == '*') {
			if (!is_separator || pattern[at + 1] == '*')
				position_add(after, pattern, at);
		} else if (pattern[at] == '?' ? !is_separator : bytes_equal(pattern[at], byte, fold_case)) {
			position_add(after, pattern, at + 1);
		}
	}
}

/* All ways to match are followed at once, so that no pattern and no name can make it slow; a pattern without stars has
 * one way, others have few at a time. Source: Thompson, "Regular expression search algorithm", 1968. */
bool
glob_match(const char *pattern, const char *text, char separator, bool fold_case)
{
	struct positions lists[2], *now = &lists[0], *next = &lists[1];
	size_t length;

	/* Most rules begin with a long word and most names fail in it. */
	for (; *pattern && *pattern != '*' && *pattern != '?'; pattern++, text++)
		if (!bytes_equal(*pattern, *text, fold_case))
			return false;
	length = strnlen(pattern, GLOB_PATTERN_MAX + 1);
	if (length > GLOB_PATTERN_MAX)
		return false;
	now->count = 0;
	position_add(now, pattern, 0);
	for (; *text && now->count > 0; text++) {
		struct positions *spare = now;

		byte_take(now, pattern, *text, separator, fold_case, next);
		now = next;
		next = spare;
	}
	return now->count > 0 && now->at[now->count - 1] == length;
}
