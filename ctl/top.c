/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "top-internal.h"

#include "cleanup.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

const struct top_column top_fields[TOP_FIELDS] = {
	[TOP_NAME] = {"name", "NAME", "name", 13, TOP_TEXT, true, 0, 'n'},
	[TOP_STATE] = {"state", "STATE", "state", 5, TOP_TEXT, false, 3, 's'},
	[TOP_VERDICT] = {"verdict", "VERDICT", "verdict", 9, TOP_TEXT, false, 1, 'v'},
	[TOP_LIVE] = {"live", "LIVE", "live_bytes", 5, TOP_SIZE, false, 2, 'l'},
	[TOP_FOREIGN] = {"foreign", "FOREIGN", "foreign_bytes", 7, TOP_SIZE, false, 9, 'f'},
	[TOP_LIMIT] = {"limit", "LIM%", "limit_percent", 4, TOP_PERCENT, false, 4, 'p'},
	[TOP_REQUESTS] = {"requests", "REQ/S", "requests_per_second", 6, TOP_RATE, false, 5, 't'},
	[TOP_BYTES] = {"bytes", "B/REQ", "escaped_bytes_per_request", 6, TOP_RATE, false, 6, 'b'},
	[TOP_INFLIGHT] = {"inflight", "INFL", "inflight", 4, TOP_COUNT, false, 10, 'i'},
	[TOP_ERRORS] = {"errors", "ERR/S", "errors_per_second", 5, TOP_RATE, false, 8, 'e'},
	[TOP_LEFT] = {"left", "LEFT", "seconds_to_limit", 5, TOP_SECONDS, true, 7, 'x'},
	[TOP_RESIDENT] = {"rss", "RSS", "resident_bytes", 5, TOP_SIZE, false, 11, 'm'},
	[TOP_RESTARTS] = {"restarts", "RSTRT", "restarts", 5, TOP_COUNT, false, 12, 'a'},
};

const char top_columns[] = "name|state|verdict|live|foreign|limit|requests|bytes|inflight|errors|left|rss|restarts";

const struct top_word top_states[TOP_STATES] = {
	{"ready", "ready", "\033[32m"},  {"starting", "start", "\033[33m"}, {"draining", "drain", "\033[33m"},
	{"disabled", "off", "\033[33m"}, {"failed", "fail", "\033[31m"},
};
const struct top_word top_verdicts[TOP_VERDICTS] = {
	{"warming", "warming", NULL},           {"ok", "ok", "\033[32m"},
	{"suspect", "suspect", "\033[33m"},     {"likely", "likely", "\033[33m"},
	{"confirmed", "confirmed", "\033[31m"},
};

/* --- readings -------------------------------------------------------------------------------------------- */

int64_t
top_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static double
top_value(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : (double) NAN;
}

/* The daemon vouches for most words; still nothing but plain text reaches a terminal. */
void
top_copy(char *to, size_t size, const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	size_t i = 0;

	for (; text && text[i] && i + 1 < size; i++)
		to[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	to[i] = '\0';
}

int
top_new(struct top **ret)
{
	struct top *top = calloc(1, sizeof(*top));

	if (!top)
		return -ENOMEM;
	top->seconds = top->handshake_rate = (double) NAN;
	*ret = top;
	return 0;
}

void
top_free(struct top **top)
{
	if (!*top)
		return;
	json_decref((*top)->status);
	free((*top)->rows);
	free((*top)->readings);
	free(STEAL(*top));
}

size_t
top_count(const struct top *top)
{
	return top->count;
}

static const struct top_reading *
top_find(const struct top_reading *readings, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(readings[i].name, name) == 0)
			return &readings[i];
	return NULL;
}

/* A counter that went back belongs to another life of the daemon. */
static double
top_rate(int64_t now, int64_t before, double per)
{
	return now >= before && per > 0 ? (double) (now - before) / per : (double) NAN;
}

static double
top_rank(const struct top_word *words, size_t count, const char *word)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(words[i].word, word) == 0)
			return (double) i;
	return (double) NAN;
}

static void
top_read(const json_t *plugin, const struct top_reading *before, double seconds, struct top_row *row,
	 struct top_reading *reading)
{
	double limit = top_value(plugin, "hard_limit"), *value = row->value;

	top_copy(row->name, sizeof(row->name), plugin, "name");
	top_copy(row->state, sizeof(row->state), plugin, "state");
	top_copy(row->verdict, sizeof(row->verdict), plugin, "verdict");
	top_copy(row->class, sizeof(row->class), plugin, "class");
	*reading = (struct top_reading){
		.instance = top_number(plugin, "instance"),
		.requests = top_number(plugin, "requests"),
		.errors = top_number(plugin, "errors"),
		.escaped = top_number(plugin, "escaped_bytes"),
	};
	memcpy(reading->name, row->name, sizeof(reading->name));
	for (size_t i = 0; i < TOP_FIELDS; i++)
		value[i] = (double) NAN;
	value[TOP_STATE] = top_rank(top_states, TOP_STATES, row->state);
	value[TOP_VERDICT] = top_rank(top_verdicts, TOP_VERDICTS, row->verdict);
	value[TOP_LIVE] = top_value(plugin, "live_bytes");
	value[TOP_FOREIGN] = top_value(plugin, "foreign_bytes");
	value[TOP_RESIDENT] = top_value(plugin, "resident_bytes");
	value[TOP_INFLIGHT] = top_value(plugin, "inflight");
	value[TOP_RESTARTS] = top_value(plugin, "restarts");
	value[TOP_LEFT] = top_value(plugin, "seconds_to_limit");
	if (limit > 0)
		value[TOP_LIMIT] = value[TOP_LIVE] / limit * 100;
	if (!before)
		return;
	value[TOP_REQUESTS] = top_rate(reading->requests, before->requests, seconds);
	value[TOP_ERRORS] = top_rate(reading->errors, before->errors, seconds);
	/* Escapes are the instance's. */
	if (before->instance == reading->instance)
		value[TOP_BYTES] =
			top_rate(reading->escaped, before->escaped, (double) (reading->requests - before->requests));
}

void
top_feed(struct top *top, const json_t *status, const json_t *list)
{
	const json_t *plugins = json_object_get(list, "plugins"), *plugin;
	size_t count = json_array_size(plugins), i;
	struct top_row *rows = calloc(count + 1, sizeof(*rows));
	struct top_reading *readings = calloc(count + 1, sizeof(*readings));
	int64_t clock = top_number(list, "clock"), started = top_number(status, "started");
	int64_t handshakes = top_number(json_object_get(status, "handshakes"), "full");
	bool same = top->clock > 0 && clock > top->clock && started == top->started;

	if (!rows || !readings) {
		free(rows);
		free(readings);
		return;
	}
	top->seconds = same ? (double) (clock - top->clock) / 1e6 : (double) NAN;
	top->handshake_rate = same ? top_rate(handshakes, top->handshakes, top->seconds) : (double) NAN;
	json_array_foreach(plugins, i, plugin) {
		const char *name = json_string_value(json_object_get(plugin, "name"));

		top_read(plugin, same && name ? top_find(top->readings, top->count, name) : NULL, top->seconds,
			 &rows[i], &readings[i]);
	}
	free(top->rows);
	free(top->readings);
	json_decref(top->status);
	top->rows = rows;
	top->readings = readings;
	top->count = count;
	top->clock = clock;
	top->started = started;
	top->handshakes = handshakes;
	top->status = json_incref((json_t *) status);
}

/* --- order ----------------------------------------------------------------------------------------------- */

static int
top_compare(const void *left, const void *right, void *userdata)
{
	const struct top_style *style = userdata;
	const struct top_row *a = left, *b = right;
	double x = a->value[style->sort], y = b->value[style->sort];
	bool ascending = top_fields[style->sort].ascending != style->reverse;

	/* What is not known comes last, whichever way. */
	if (style->sort != TOP_NAME && isnan(x) != isnan(y))
		return isnan(x) ? 1 : -1;
	if (style->sort != TOP_NAME && !isnan(x) && x != y)
		return (x < y) == ascending ? -1 : 1;
	if (style->sort != TOP_NAME && a->value[TOP_LIVE] != b->value[TOP_LIVE])
		return a->value[TOP_LIVE] > b->value[TOP_LIVE] ? -1 : 1;
	return style->sort == TOP_NAME && style->reverse ? strcmp(b->name, a->name) : strcmp(a->name, b->name);
}

/* The readings stay in the daemon's order: they are found by name. */
void
top_sort(struct top *top, const struct top_style *style)
{
	qsort_r(top->rows, top->count, sizeof(*top->rows), top_compare, (void *) style);
}

int
top_column(const char *word)
{
	for (int i = 0; i < TOP_FIELDS; i++)
		if (strcmp(top_fields[i].word, word) == 0)
			return i;
	return -1;
}

int
top_column_of_key(int key)
{
	for (int i = 0; i < TOP_FIELDS; i++)
		if (top_fields[i].key == key)
			return i;
	return -1;
}

int
top_column_beside(int column, int step)
{
	return (column + step + TOP_FIELDS) % TOP_FIELDS;
}

/* --- for programs ---------------------------------------------------------------------------------------- */

json_t *
top_json(struct top *top, const struct top_style *style)
{
	json_t *plugins = json_array(), *object = json_object();

	top_sort(top, style);
	for (size_t r = 0; r < top->count; r++) {
		const struct top_row *row = &top->rows[r];
		json_t *plugin = json_pack("{s:s, s:s}", "name", row->name, "state", row->state);

		if (row->verdict[0])
			json_object_set_new(plugin, "verdict", json_string(row->verdict));
		if (row->class[0])
			json_object_set_new(plugin, "class", json_string(row->class));
		for (size_t i = TOP_LIVE; i < TOP_FIELDS; i++)
			if (!isnan(row->value[i]))
				json_object_set_new(plugin, top_fields[i].json, json_real(row->value[i]));
		json_array_append_new(plugins, plugin);
	}
	if (!isnan(top->seconds))
		json_object_set_new(object, "seconds", json_real(top->seconds));
	json_object_set_new(object, "plugins", plugins);
	return object;
}
