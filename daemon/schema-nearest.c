/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "schema.h"

#include <string.h>

enum { WORD_MAX = 48, DISTANCE_MAX = 3 };

static char
fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Optimal string alignment: insert, delete, replace, swap of neighbours each cost 1. Both at most WORD_MAX long. */
static size_t
distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1], n = strlen(b);
	size_t *previous = rows[0], *current = rows[1], *older = rows[2];

	for (size_t k = 0; k <= n; k++)
		current[k] = k;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t *spare = older;

		older = previous;
		previous = current;
		current = spare;
		current[0] = i;
		for (size_t k = 1; k <= n; k++) {
			bool same = fold(a[i - 1]) == fold(b[k - 1]);

			current[k] = least(least(previous[k], current[k - 1]) + 1, previous[k - 1] + !same);
			if (i > 1 && k > 1 && fold(a[i - 1]) == fold(b[k - 2]) && fold(a[i - 2]) == fold(b[k - 1]))
				current[k] = least(current[k], older[k - 2] + 1);
		}
	}
	return current[n];
}

const char *
schema_nearest(const char *word, const char *const *names)
{
	size_t length = strlen(word), best = DISTANCE_MAX + 1;
	const char *nearest = NULL;

	if (length == 0 || length > WORD_MAX)
		return NULL;
	/* Half of a short word changed is another word. */
	best = least(best, length / 2 + 1);
	for (; *names; names++) {
		size_t d = strlen(*names) <= WORD_MAX ? distance(word, *names) : best;

		if (d < best) {
			best = d;
			nearest = *names;
		}
	}
	return nearest;
}
