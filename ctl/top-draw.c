/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From rows to text. */
#include "top-internal.h"

#include "cleanup.h"

#include <math.h>
#include <string.h>

enum { TOP_CELL = 48 };

static const char bold[] = "\033[1m", red[] = "\033[31m", yellow[] = "\033[33m", plain[] = "\033[0m";

/* What is no leak but has a name. */
static const struct {
	const char *word, *shown;
} top_classes[] = {
	{"cache growth", "cache"},
	{"client state", "clients"},
	{"fragmentation", "fragments"},
	{"growing buffer", "buffer"},
};

/* --- cells ----------------------------------------------------------------------------------------------- */

static void
top_print_size(char *cell, double bytes)
{
	static const char units[] = "KMGTPE";
	size_t i = 0;

	if (bytes < 1000) {
		snprintf(cell, TOP_CELL, "%.0fB", bytes);
		return;
	}
	for (bytes /= 1024; bytes >= 999.5 && units[i + 1]; i++)
		bytes /= 1024;
	snprintf(cell, TOP_CELL, bytes < 99.95 ? "%.1f%c" : "%.0f%c", bytes, units[i]);
}

static void
top_print_rate(char *cell, double rate)
{
	if (rate == 0)
		snprintf(cell, TOP_CELL, "0");
	else if (rate < 9.995)
		snprintf(cell, TOP_CELL, "%.2f", rate);
	else if (rate < 99.95)
		snprintf(cell, TOP_CELL, "%.1f", rate);
	else if (rate < 99999.5)
		snprintf(cell, TOP_CELL, "%.0f", rate);
	else if (rate < 9999499)
		snprintf(cell, TOP_CELL, "%.0fk", rate / 1e3);
	else
		snprintf(cell, TOP_CELL, "%.0fM", rate / 1e6);
}

static void
top_print_seconds(char *cell, double seconds)
{
	uint64_t s = seconds < 0 ? 0 : seconds > 1e10 ? 10000000000 : (uint64_t) seconds;

	if (s < 60)
		snprintf(cell, TOP_CELL, "%ds", (int) s);
	else if (s < 600)
		snprintf(cell, TOP_CELL, "%dm%ds", (int) (s / 60), (int) (s % 60));
	else if (s < 3600)
		snprintf(cell, TOP_CELL, "%dm", (int) (s / 60));
	else if (s < 36000)
		snprintf(cell, TOP_CELL, "%dh%dm", (int) (s / 3600), (int) (s % 3600 / 60));
	else if (s < 86400)
		snprintf(cell, TOP_CELL, "%dh", (int) (s / 3600));
	else if (s < UINT64_C(10) * 86400)
		snprintf(cell, TOP_CELL, "%dd%dh", (int) (s / 86400), (int) (s % 86400 / 3600));
	else if (s < UINT64_C(1000) * 86400)
		snprintf(cell, TOP_CELL, "%dd", (int) (s / 86400));
	else
		snprintf(cell, TOP_CELL, "years");
}

static const char *
top_word(const struct top_row *row, enum top_field field)
{
	if (field == TOP_NAME)
		return row->name;
	if (field == TOP_STATE)
		return isnan(row->value[field]) ? row->state : top_states[(size_t) row->value[field]].shown;
	for (size_t i = 0; i < ARRAY_LENGTH(top_classes); i++)
		if (strcmp(top_classes[i].word, row->class) == 0)
			return top_classes[i].shown;
	return row->verdict[0] ? row->verdict : "-";
}

static void
top_print(char *cell, const struct top_row *row, enum top_field field)
{
	double value = row->value[field];
	enum top_format format = top_fields[field].format;

	if (format == TOP_TEXT)
		snprintf(cell, TOP_CELL, "%s", top_word(row, field));
	else if (isnan(value))
		snprintf(cell, TOP_CELL, "-");
	else if (format == TOP_SIZE)
		top_print_size(cell, value);
	else if (format == TOP_RATE || format == TOP_COUNT)
		format == TOP_RATE || value > 9999 ? top_print_rate(cell, value)
						   : (void) snprintf(cell, TOP_CELL, "%.0f", value);
	else if (format == TOP_PERCENT)
		snprintf(cell, TOP_CELL, "%.0f", value > 9999 ? 9999 : value);
	else
		top_print_seconds(cell, value);
}

static const char *
top_colour(const struct top_row *row, enum top_field field)
{
	size_t rank = isnan(row->value[field]) ? SIZE_MAX : (size_t) row->value[field];

	if (field == TOP_STATE && rank < TOP_STATES)
		return top_states[rank].colour;
	if (field == TOP_VERDICT && rank < TOP_VERDICTS)
		return top_verdicts[rank].colour;
	if (field == TOP_LIMIT && rank != SIZE_MAX && rank >= 75)
		return rank >= 90 ? red : yellow;
	return NULL;
}

/* --- pictures -------------------------------------------------------------------------------------------- */

/* Which columns fit, the important ones first; what room is left widens the names. */
static size_t
top_choose(const struct top *top, const struct top_style *style, bool *chosen)
{
	size_t width = 0, longest = 0, name = top_fields[TOP_NAME].width, room;

	for (int rank = 0; rank < TOP_FIELDS; rank++) {
		for (size_t i = 0; i < TOP_FIELDS; i++) {
			if (top_fields[i].rank != rank)
				continue;
			/* The last cell of a line stays free: some terminals wrap behind it. */
			chosen[i] = width + (width > 0) + top_fields[i].width < style->columns || i == TOP_NAME;
			width += chosen[i] ? (width > 0) + top_fields[i].width : 0;
		}
	}
	for (size_t i = 0; i < top->count; i++)
		if (strlen(top->rows[i].name) > longest)
			longest = strlen(top->rows[i].name);
	room = width + 1 < style->columns ? style->columns - 1 - width : 0;
	if (longest > name)
		name += longest - name < room ? longest - name : room;
	return name;
}

/* text, cut to the screen. */
static void
top_line(FILE *out, const char *text, const char *colour, const struct top_style *style)
{
	int width = style->columns > 1 ? (int) style->columns - 1 : 0;

	fprintf(out, "%s%.*s%s\n", style->colour && colour ? colour : "", width, text,
		style->colour && colour ? plain : "");
}

/* In place of the two lines on the daemon: reason and cure come last in it, and must be seen. */
static void
top_trouble(FILE *out, const struct top_style *style)
{
	size_t length = strlen(style->trouble), room = style->columns - 1, cut = length;
	char line[400];

	if (length > room)
		for (cut = room; cut > 0 && style->trouble[cut] != ' ';)
			cut--;
	cut = cut > 0 ? cut : room;
	snprintf(line, sizeof(line), "%.*s", (int) cut, style->trouble);
	top_line(out, line, red, style);
	top_line(out, style->trouble + (cut < length ? cut + (style->trouble[cut] == ' ') : length), red, style);
}

static void
top_daemon(const struct top *top, FILE *out, const struct top_style *style)
{
	const json_t *plugins = json_object_get(top->status, "plugins");
	double requests = 0, live = 0;
	unsigned verdicts[TOP_VERDICTS] = {0};
	char line[400], version[TOP_NAME_MAX], state[TOP_NAME_MAX];
	char up[TOP_CELL], rate[TOP_CELL] = "-", handshakes[TOP_CELL] = "-", size[TOP_CELL];
	char resident[TOP_CELL];
	int length;

	for (size_t i = 0; i < top->count; i++) {
		const double *value = top->rows[i].value;

		requests += isnan(value[TOP_REQUESTS]) ? 0 : value[TOP_REQUESTS];
		live += value[TOP_LIVE] + value[TOP_FOREIGN];
		if (!isnan(value[TOP_VERDICT]))
			verdicts[(size_t) value[TOP_VERDICT]]++;
	}
	top_copy(version, sizeof(version), top->status, "version");
	top_copy(state, sizeof(state), top->status, "state");
	top_print_seconds(up, (double) top_number(top->status, "uptime"));
	if (!isnan(top->seconds))
		top_print_rate(rate, requests);
	if (!isnan(top->handshake_rate))
		top_print_rate(handshakes, top->handshake_rate);
	snprintf(line, sizeof(line), "mtlsd %s %s, up %s; %d connections, %s handshakes/s, %s requests/s", version,
		 state, up, (int) top_number(json_object_get(top->status, "connections"), "open"), handshakes, rate);
	top_line(out, line, NULL, style);
	top_print_size(size, live);
	top_print_size(resident, (double) top_number(json_object_get(top->status, "memory"), "resident_bytes"));
	length = snprintf(line, sizeof(line), "%d plugins, %d ready, %d failed; hold %s; process %s", (int) top->count,
			  (int) top_number(plugins, "ready"), (int) top_number(plugins, "failed"), size, resident);
	for (size_t i = TOP_VERDICTS; i-- > 2;)
		if (verdicts[i] > 0)
			length += snprintf(line + length, sizeof(line) - (size_t) length, "; %u %s", verdicts[i],
					   top_verdicts[i].shown);
	top_line(out, line, NULL, style);
}

static void
top_head(const struct top *top, FILE *out, const struct top_style *style)
{
	char line[120];

	if (style->trouble)
		top_trouble(out, style);
	else
		top_daemon(top, out, style);
	if (style->keys) {
		snprintf(line, sizeof(line), "sorted by %s%s   arrows or letters sort, r reverses, q quits",
			 top_fields[style->sort].word, style->reverse ? ", reversed" : "");
		top_line(out, line, NULL, style);
	}
	fputc('\n', out);
}

static void
top_cell(FILE *out, enum top_field field, const char *text, size_t width, const char *colour, bool first)
{
	int pad = (int) width, length = (int) strlen(text);

	if (!first)
		fputc(' ', out);
	if (length > pad)
		length = pad;
	if (top_fields[field].format != TOP_TEXT)
		fprintf(out, "%*s", pad - length, "");
	fprintf(out, "%s%.*s%s", colour ? colour : "", length, text, colour ? plain : "");
	if (top_fields[field].format == TOP_TEXT)
		fprintf(out, "%*s", pad - length, "");
}

void
top_draw(struct top *top, FILE *out, const struct top_style *style)
{
	bool chosen[TOP_FIELDS];
	size_t name = top_choose(top, style, chosen), shown = top->count, first = style->scroll;
	char cell[TOP_CELL];

	top_sort(top, style);
	if (style->legend) {
		top_head(top, out, style);
		for (size_t i = 0; i < TOP_FIELDS; i++)
			if (chosen[i])
				top_cell(out, (enum top_field) i, top_fields[i].title,
					 i == TOP_NAME ? name : top_fields[i].width,
					 style->colour && (int) i == style->sort ? bold : NULL, i == TOP_NAME);
		fputc('\n', out);
	}
	if (style->lines > 0)
		shown = style->lines > TOP_HEAD ? style->lines - TOP_HEAD : 1;
	if (first >= top->count)
		first = top->count > 0 ? top->count - 1 : 0;
	for (size_t r = first; r < top->count && r - first < shown; r++) {
		for (size_t i = 0; i < TOP_FIELDS; i++) {
			if (!chosen[i])
				continue;
			top_print(cell, &top->rows[r], (enum top_field) i);
			top_cell(out, (enum top_field) i, cell, i == TOP_NAME ? name : top_fields[i].width,
				 style->colour ? top_colour(&top->rows[r], (enum top_field) i) : NULL, i == TOP_NAME);
		}
		fputc('\n', out);
	}
	if (top->count == 0 && style->legend)
		top_line(out, "no plugin is configured", NULL, style);
}
