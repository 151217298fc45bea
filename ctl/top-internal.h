/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* top-internal.h - what top.c (readings, order) and top-draw.c (pictures) share.
 *
 * Threads: as top.h. Owns: nothing.
 */
#include "top.h"

#include <stdint.h>

enum top_field {
	TOP_NAME,
	TOP_STATE,
	TOP_VERDICT,
	TOP_LIVE,
	TOP_FOREIGN,
	TOP_LIMIT,
	TOP_REQUESTS,
	TOP_BYTES,
	TOP_INFLIGHT,
	TOP_ERRORS,
	TOP_LEFT,
	TOP_RESIDENT,
	TOP_RESTARTS,
	TOP_FIELDS,
};

enum top_format { TOP_TEXT, TOP_SIZE, TOP_RATE, TOP_COUNT, TOP_PERCENT, TOP_SECONDS };

/* A column. rank: the greatest go first when the screen is narrow. json: the key of --json. */
struct top_column {
	const char *word, *title, *json;
	size_t width;
	enum top_format format;
	bool ascending; /* what comes first when nobody reverses */
	int rank;
	char key;
};
extern const struct top_column top_fields[TOP_FIELDS];

/* A word of the daemon's, as the table shows it. The place in its list is its rank: the worst last. */
struct top_word {
	const char *word, *shown, *colour;
};
enum { TOP_STATES = 5, TOP_VERDICTS = 5 };
extern const struct top_word top_states[TOP_STATES], top_verdicts[TOP_VERDICTS];

enum { TOP_NAME_MAX = 32 };

struct top_row {
	char name[TOP_NAME_MAX], state[TOP_NAME_MAX], verdict[TOP_NAME_MAX], class[TOP_NAME_MAX];
	double value[TOP_FIELDS]; /* NAN: not known */
};

/* The counters of a reading that rates come from. */
struct top_reading {
	char name[TOP_NAME_MAX];
	int64_t instance, requests, errors, escaped;
};

struct top {
	struct top_row *rows;
	struct top_reading *readings;
	size_t count;
	int64_t clock, started, handshakes;
	double seconds; /* between the last two readings; NAN: there were no two */
	double handshake_rate;
	json_t *status;
};

/* 0 if absent. */
int64_t top_number(const json_t *object, const char *key);
/* A word of the daemon's without anything that would move a cursor. */
void top_copy(char *to, size_t size, const json_t *object, const char *key);
void top_sort(struct top *top, const struct top_style *style);
