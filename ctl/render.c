/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "render.h"

#include "cleanup.h"
#include "units.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

enum { RENDER_COLUMNS_MAX = 32, RENDER_BAR = 24, RENDER_DEPTH_MAX = 8, RENDER_NAME_MAX = 48 };

static const char bold[] = "\033[1m", red[] = "\033[31m", green[] = "\033[32m", yellow[] = "\033[33m",
		  plain[] = "\033[0m";

static const struct {
	const char *state, *colour;
} render_states[] = {
	{"ready", green},     {"running", green},   {"done", green},       {"failed", red},     {"disabled", yellow},
	{"draining", yellow}, {"starting", yellow}, {"reloading", yellow}, {"ok", green},       {"suspect", yellow},
	{"likely", yellow},   {"confirmed", red},   {"bad", red},          {"warning", yellow},
};

/* --- words ----------------------------------------------------------------------------------------------- */

/* Length of one character that may be shown as it is, 0 for one that may not. JSON strings are valid UTF-8; C1 controls
 * (U+0080 to U+009F) move a terminal's cursor as well as escape does. */
static size_t
render_character(const unsigned char *p)
{
	if (*p < 0x80)
		return *p >= 0x20 && *p != 0x7f;
	if (p[0] == 0xc2 && p[1] < 0xa0)
		return 0;
	return *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
}

/* Strips in place, which never makes a text longer. Returns the number of characters. */
static size_t
render_clean(char *text)
{
	unsigned char *from = (unsigned char *) text, *to = from;
	size_t count = 0;

	while (*from) {
		size_t length = render_character(from);

		count++;
		if (length == 0) {
			from += *from == 0xc2 ? 2 : 1;
			*to++ = '?';
			continue;
		}
		while (length-- > 0 && *from)
			*to++ = *from++;
	}
	*to = '\0';
	return count;
}

void
render_text(FILE *out, const char *text)
{
	CLEANUP_FREE char *copy = strdup(text);

	if (!copy)
		return;
	render_clean(copy);
	fputs(copy, out);
}

/* --- values ---------------------------------------------------------------------------------------------- */

static const json_t *
render_get(const json_t *object, const char *path)
{
	char key[64];

	while (*path && object) {
		size_t length = strcspn(path, ".");

		if (length >= sizeof(key))
			return NULL;
		memcpy(key, path, length);
		key[length] = '\0';
		object = json_object_get(object, key);
		path += length + (path[length] == '.');
	}
	return object;
}

static bool
render_is_number(const char *format)
{
	static const char *const numbers[] = {"count",   "size",  "limit", "duration",
					      "seconds", "since", "real",  "number"};

	for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++)
		if (strcmp(format, numbers[i]) == 0)
			return true;
	return false;
}

static void
render_size(FILE *out, int64_t bytes)
{
	char buffer[32];

	/* Differences may be negative: a heap that grew while it was evicted. */
	fprintf(out, "%s%s", bytes < 0 ? "-" : "",
		units_format_size(bytes < 0 ? 0 - (uint64_t) bytes : (uint64_t) bytes, buffer, sizeof(buffer)));
}

static void
render_seconds(FILE *out, int64_t seconds)
{
	char buffer[32];

	if (seconds < 0)
		seconds = 0;
	if (seconds < 60)
		fprintf(out, "%" PRIi64 "s", seconds);
	else
		fputs(units_format_duration((uint64_t) seconds * 1000000, buffer, sizeof(buffer)), out);
}

static void
render_integer(FILE *out, int64_t value, const char *format, const struct render_style *style)
{
	char buffer[64];
	time_t when = (time_t) value;
	struct tm local;

	if (strcmp(format, "size") == 0)
		render_size(out, value);
	else if (strcmp(format, "limit") == 0 && value == 0)
		fputs("none", out);
	else if (strcmp(format, "limit") == 0)
		render_size(out, value);
	else if (strcmp(format, "duration") == 0)
		fputs(units_format_duration(value < 0 ? 0 : (uint64_t) value, buffer, sizeof(buffer)), out);
	else if (strcmp(format, "seconds") == 0)
		render_seconds(out, value);
	else if (strcmp(format, "since") == 0 && value == 0)
		fputs("-", out);
	else if (strcmp(format, "since") == 0)
		render_seconds(out, style->now - value);
	else if (strcmp(format, "time") == 0 && localtime_r(&when, &local) &&
		 strftime(buffer, sizeof(buffer), "%Y-%m-%d %H:%M:%S", &local) > 0)
		fputs(buffer, out);
	else
		fprintf(out, "%" PRIi64, value);
}

static void
render_value(FILE *out, const json_t *value, const char *format, const struct render_style *style)
{
	const json_t *item;
	size_t i;

	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		fputs(*json_string_value(value) ? json_string_value(value) : "-", out);
		break;
	case JSON_INTEGER:
		render_integer(out, json_integer_value(value), format, style);
		break;
	case JSON_REAL:
		/* Three digits that say something, and no exponent before it must be. */
		fprintf(out, fabs(json_real_value(value)) >= 1000 ? "%.0f" : "%.3g", json_real_value(value));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		fputs(json_is_true(value) ? "yes" : "no", out);
		break;
	case JSON_ARRAY:
		json_array_foreach(value, i, item) {
			fputs(i ? ", " : "", out);
			render_value(out, item, "text", style);
		}
		if (json_array_size(value) == 0)
			fputs(strcmp(format, "any") == 0 ? "any" : "-", out);
		break;
	default:
		fputs("-", out);
	}
}

/* Cuts clean text behind so many characters. */
static size_t
render_shorten(char *text, size_t width, size_t max)
{
	char *p = text;

	if (width <= max)
		return width;
	for (size_t i = 0; i + 2 < max; i++)
		p += render_character((const unsigned char *) p);
	memcpy(p, "..", sizeof(".."));
	return max;
}

/* The value as clean text, to be freed; *ret_width: its characters. */
static char *
render_cell(const json_t *value, const char *format, const struct render_style *style, size_t *ret_width)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	render_value(out, value, format, style);
	if (fclose(out) != 0 || !text) {
		free(text);
		return NULL;
	}
	*ret_width = render_clean(text);
	if (strcmp(format, "name") == 0)
		*ret_width = render_shorten(text, *ret_width, RENDER_NAME_MAX);
	return text;
}

static const char *
render_colour(const char *text, const char *format, const struct render_style *style)
{
	if (style->colour && strcmp(format, "state") == 0)
		for (size_t i = 0; i < ARRAY_LENGTH(render_states); i++)
			if (strcmp(text, render_states[i].state) == 0)
				return render_states[i].colour;
	return NULL;
}

static void
render_coloured(FILE *out, const char *text, const char *colour)
{
	fprintf(out, "%s%s%s", colour ? colour : "", text, colour ? plain : "");
}

static void
render_pad(FILE *out, size_t count)
{
	while (count-- > 0)
		fputc(' ', out);
}

/* --- blocks ---------------------------------------------------------------------------------------------- */

struct render_column {
	const char *title, *key, *format;
	size_t width;
	int64_t greatest; /* for bars */
	bool number, bar;
};

/* The columns of a description; rows that are not what they should be are left out. */
static size_t
render_read_columns(const json_t *block, struct render_column *ret)
{
	const json_t *row;
	size_t i, count = 0;

	json_array_foreach(json_object_get(block, "columns"), i, row) {
		struct render_column column = {
			.title = json_string_value(json_object_get(row, "title")),
			.key = json_string_value(json_object_get(row, "key")),
			.format = json_string_value(json_object_get(row, "format")),
		};

		if (!column.title || !column.key || !column.format || count == RENDER_COLUMNS_MAX)
			continue;
		column.number = render_is_number(column.format);
		column.bar = strcmp(column.format, "bar") == 0;
		ret[count++] = column;
	}
	return count;
}

static void
render_fields(FILE *out, const json_t *block, const json_t *object, const struct render_style *style)
{
	struct render_column columns[RENDER_COLUMNS_MAX];
	size_t count = render_read_columns(block, columns), title_width = 0, width;

	for (size_t i = 0; i < count; i++)
		if (render_get(object, columns[i].key) && strlen(columns[i].title) > title_width)
			title_width = strlen(columns[i].title);
	for (size_t i = 0; i < count; i++) {
		const json_t *value = render_get(object, columns[i].key);
		CLEANUP_FREE char *text = value ? render_cell(value, columns[i].format, style, &width) : NULL;

		if (!text)
			continue;
		fprintf(out, "%-*s  ", (int) title_width, columns[i].title);
		render_coloured(out, text, render_colour(text, columns[i].format, style));
		fputc('\n', out);
	}
}

static void
render_bar(FILE *out, int64_t value, int64_t greatest)
{
	int64_t marks = greatest > 0 && value > 0 ? (int64_t) ((double) value / (double) greatest * RENDER_BAR) : 0;

	/* Something is never shown as nothing. */
	for (int64_t i = value > 0 && marks == 0 ? -1 : 0; i < marks; i++)
		fputc('#', out);
}

/* One cell; the last column of a line is not padded. */
static void
render_table_cell(FILE *out, const struct render_column *column, const char *text, size_t width, const char *colour,
		  bool last)
{
	size_t pad = column->width > width ? column->width - width : 0;

	if (column->number)
		render_pad(out, pad);
	render_coloured(out, text, colour);
	if (!column->number && !last)
		render_pad(out, pad);
	fputs(last ? "\n" : "  ", out);
}

static void
render_measure(const json_t *rows, struct render_column *columns, size_t count, const struct render_style *style)
{
	const json_t *row;
	size_t i, width = 0;

	for (size_t c = 0; c < count; c++) {
		columns[c].width = style->legend ? strlen(columns[c].title) : 0;
		json_array_foreach(rows, i, row) {
			const json_t *value = render_get(row, columns[c].key);
			CLEANUP_FREE char *text = NULL;

			if (columns[c].bar && json_integer_value(value) > columns[c].greatest)
				columns[c].greatest = json_integer_value(value);
			if (columns[c].bar)
				continue;
			text = render_cell(value, columns[c].format, style, &width);
			if (text && width > columns[c].width)
				columns[c].width = width;
		}
	}
}

static void
render_table(FILE *out, const json_t *block, const json_t *rows, const struct render_style *style)
{
	struct render_column columns[RENDER_COLUMNS_MAX];
	const char *empty = json_string_value(json_object_get(block, "empty"));
	size_t count = render_read_columns(block, columns), i, width = 0;
	const json_t *row;

	if (json_array_size(rows) == 0) {
		if (empty && style->legend)
			fprintf(out, "%s\n", empty);
		return;
	}
	render_measure(rows, columns, count, style);
	for (size_t c = 0; style->legend && c < count; c++)
		render_table_cell(out, &columns[c], columns[c].title, strlen(columns[c].title),
				  style->colour ? bold : NULL, c + 1 == count);
	json_array_foreach(rows, i, row) {
		for (size_t c = 0; c < count; c++) {
			const json_t *value = render_get(row, columns[c].key);
			CLEANUP_FREE char *text = NULL;

			if (columns[c].bar) {
				render_bar(out, json_integer_value(value), columns[c].greatest);
				fputs(c + 1 == count ? "\n" : "  ", out);
				continue;
			}
			text = render_cell(value, columns[c].format, style, &width);
			render_table_cell(out, &columns[c], text ? text : "", text ? width : 0,
					  text ? render_colour(text, columns[c].format, style) : NULL, c + 1 == count);
		}
	}
}

/* "name" or "outer.name", to be freed. */
static char *
render_map_name(const char *prefix, const char *key)
{
	char *name = NULL;

	if (asprintf(&name, "%s%s%s", prefix, *prefix ? "." : "", key) < 0)
		return NULL;
	render_clean(name);
	return name;
}

static size_t
render_map_width(const json_t *object, size_t prefix, int depth)
{
	size_t widest = 0, width;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *) object, key, value) {
		width = prefix + strlen(key);
		if (json_is_object(value) && depth < RENDER_DEPTH_MAX)
			width = render_map_width(value, width + 1, depth + 1);
		if (width > widest)
			widest = width;
	}
	return widest;
}

static void
render_map(FILE *out, const json_t *object, const char *prefix, size_t width, int depth,
	   const struct render_style *style)
{
	const char *key;
	json_t *value;
	size_t ignored;

	json_object_foreach((json_t *) object, key, value) {
		CLEANUP_FREE char *name = render_map_name(prefix, key);
		CLEANUP_FREE char *text = NULL;

		if (name && json_is_object(value) && depth < RENDER_DEPTH_MAX) {
			render_map(out, value, name, width, depth + 1, style);
			continue;
		}
		text = render_cell(value, "text", style, &ignored);
		if (name && text)
			fprintf(out, "%-*s  %s\n", (int) width, name, text);
	}
}

/* A line that begins with the word of a state gets its colour up to there. */
static void
render_line(FILE *out, const json_t *line, const struct render_style *style)
{
	CLEANUP_FREE char *text = strdup(json_string_value(line)), *word = NULL;
	const char *colour;
	size_t head;

	if (!text)
		return;
	render_clean(text);
	head = strcspn(text, " ");
	word = strndup(text, head);
	colour = word ? render_colour(word, "state", style) : NULL;
	if (colour) {
		render_coloured(out, word, colour);
		fprintf(out, "%s\n", text + head);
	} else {
		fprintf(out, "%s\n", text);
	}
}

static void
render_lines(FILE *out, const json_t *value, const struct render_style *style)
{
	const json_t *line;
	size_t i;

	if (json_is_string(value))
		render_line(out, value, style);
	json_array_foreach(value, i, line) {
		if (json_is_string(line))
			render_line(out, line, style);
	}
}

static bool
render_has_content(const char *kind, const json_t *block, const json_t *value)
{
	if (strcmp(kind, "table") == 0)
		return json_is_array(value) && (json_array_size(value) > 0 || json_object_get(block, "empty"));
	if (strcmp(kind, "lines") == 0)
		return json_is_string(value) || json_array_size(value) > 0;
	return json_is_object(value) && json_object_size(value) > 0;
}

/* Returns true if anything was shown. */
static bool
render_block(FILE *out, const json_t *block, const json_t *reply, bool first, const struct render_style *style)
{
	const char *kind = json_string_value(json_object_get(block, "kind"));
	const char *key = json_string_value(json_object_get(block, "key"));
	const char *title = json_string_value(json_object_get(block, "title"));
	const json_t *value = key ? render_get(reply, key) : NULL;

	if (!kind || !value || !render_has_content(kind, block, value))
		return false;
	if (style->legend && !first)
		fputc('\n', out);
	if (style->legend && title)
		fprintf(out, "%s%s%s\n", style->colour ? bold : "", title, style->colour ? plain : "");
	if (strcmp(kind, "fields") == 0)
		render_fields(out, block, value, style);
	else if (strcmp(kind, "table") == 0)
		render_table(out, block, value, style);
	else if (strcmp(kind, "map") == 0)
		render_map(out, value, "", render_map_width(value, 0, 0), 0, style);
	else if (strcmp(kind, "lines") == 0)
		render_lines(out, value, style);
	return true;
}

void
render_reply(FILE *out, const json_t *blocks, const json_t *reply, const struct render_style *style)
{
	const json_t *block;
	bool first = true;
	size_t i;

	json_array_foreach(blocks, i, block) {
		if (render_block(out, block, reply, first, style))
			first = false;
	}
}
