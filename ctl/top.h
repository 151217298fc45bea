/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* top.h - what the plugins do between two readings of the daemon, as a sorted table that fits a screen.
 *
 * Knows neither terminal nor socket: readings come in as the replies of Status and List, pictures go out as text.
 *
 * Threads: a top belongs to its caller. Owns: the last reading.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct top;

enum { TOP_MIN_COLUMNS = 20, TOP_HEAD = 5 /* lines above the plugins */ };

struct top_style {
	bool colour, legend;
	size_t columns, lines; /* of the screen; lines 0: as many as there are plugins */
	int sort;              /* a column, as top_column gives it */
	bool reverse;
	size_t scroll;       /* plugins left out at the beginning */
	bool keys;           /* somebody can press them */
	const char *trouble; /* why the picture is old; NULL: it is not */
};

int top_new(struct top **ret);
void top_free(struct top **top); /* accepts NULL */
/* Takes a reading in; rates are those since the one before, unknown for the first one of a daemon's life. */
void top_feed(struct top *top, const json_t *status, const json_t *list);
size_t top_count(const struct top *top);
/* Lines end with "\n"; none is longer than the screen is wide. */
void top_draw(struct top *top, FILE *out, const struct top_style *style);
/* The same as one JSON object; what is not known is left out. */
json_t *top_json(struct top *top, const struct top_style *style);

/* The column of a sort word ("live") or of a key ('l'); -1: none. */
int top_column(const char *word);
int top_column_of_key(int key);
/* The next column to the right (1) or left (-1), around the ends. */
int top_column_beside(int column, int step);
/* "name|state|verdict|...": the words, for help and checks. */
extern const char top_columns[];
