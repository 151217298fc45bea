/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "schema-value.h"
#include "schema.h"

#include <string.h>

enum { WIDTH = 78, INDENT = 4 };

/* Words of text, broken at WIDTH. */
static void
print_wrapped(const char *text, FILE *out)
{
	size_t column = 0;

	for (const char *p = text; *p;) {
		size_t n = strcspn(p, " ");

		if (column == 0 || column + 1 + n > WIDTH) {
			(void) fprintf(out, "%s%*s", column ? "\n" : "", INDENT, "");
			column = INDENT;
		} else {
			(void) fputc(' ', out);
			column++;
		}
		(void) fprintf(out, "%.*s", (int) n, p);
		column += n;
		p += n;
		p += strspn(p, " ");
	}
	(void) fputc('\n', out);
}

/* A set as the file would write it. */
static const char *
default_words(const struct schema_row *row, char *text, size_t size)
{
	size_t used = 0;

	if (!row->fallback || row->type != SCHEMA_FLAGS)
		return row->fallback ? row->fallback : "";
	for (const char *p = row->fallback; *p && used + 3 < size; p++) {
		text[used++] = *p == '|' ? ',' : *p;
		if (*p == '|')
			text[used++] = ' ';
	}
	text[used] = '\0';
	return text;
}

static void
print_row(const struct schema_row *row, const char *name, FILE *out)
{
	char what[500], words[100], facts[700];

	schema_value_describe(row, what, sizeof(what));
	(void) snprintf(facts, sizeof(facts), "%s%s%s%s%s%s.", what, row->unit ? ", " : "", row->unit ? row->unit : "",
			row->fallback ? "; default " : "", default_words(row, words, sizeof(words)),
			row->required ? "; required" : "");
	(void) fprintf(out, "%s\n", name);
	print_wrapped(facts, out);
	if (row->help)
		print_wrapped(row->help, out);
	(void) fputc('\n', out);
}

void
schema_print_reference(const struct schema_row *rows, const char *prefix, FILE *out)
{
	char name[200];

	for (; rows->key; rows++) {
		(void) snprintf(name, sizeof(name), "%s%s%s", prefix ? prefix : "", prefix && *prefix ? "." : "",
				rows->key);
		print_row(rows, name, out);
		if (rows->type == SCHEMA_LIST)
			(void) strncat(name, "[]", sizeof(name) - strlen(name) - 1);
		if (rows->rows)
			schema_print_reference(rows->rows, name, out);
	}
}
