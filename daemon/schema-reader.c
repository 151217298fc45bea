/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "schema-reader.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum {
	MISTAKES_MAX = 50, /* a file with more is another kind of file */
	PATH_MAX_TEXT = 200,
	MISTAKE_TEXT = 700,
};

struct mistake {
	int line, column;
	char *text;
};

struct schema_reader {
	char *file, *folder;
	void *context;
	struct mistake mistakes[MISTAKES_MAX];
	size_t count, dropped;
	char more[MISTAKE_TEXT];  /* the last line when some were dropped */
	char path[PATH_MAX_TEXT]; /* where the walk is: "plugins[0].memory" */
	bool out_of_memory;
};

/* Absolute: a relative name would change its meaning with the working directory. NULL when memory is short. */
static char *
folder_of(const char *file)
{
	const char *slash = strrchr(file, '/');
	char *cwd, *folder = NULL;

	if (*file == '/')
		return strndup(file, slash == file ? 1 : (size_t) (slash - file));
	cwd = getcwd(NULL, 0);
	if (!cwd || !slash)
		return cwd;
	if (asprintf(&folder, "%s/%.*s", cwd, (int) (slash - file), file) < 0)
		folder = NULL;
	free(cwd);
	return folder;
}

int
schema_reader_new(const char *file, void *context, struct schema_reader **ret)
{
	struct schema_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return -ENOMEM;
	reader->context = context;
	reader->file = strdup(file);
	reader->folder = folder_of(file);
	if (!reader->file || !reader->folder) {
		schema_reader_free(&reader);
		return -ENOMEM;
	}
	*ret = reader;
	return 0;
}

void
schema_reader_free(struct schema_reader **reader)
{
	if (!reader || !*reader)
		return;
	for (size_t i = 0; i < (*reader)->count; i++)
		free((*reader)->mistakes[i].text);
	free((*reader)->file);
	free((*reader)->folder);
	free(*reader);
	*reader = NULL;
}

void *
schema_reader_context(const struct schema_reader *reader)
{
	return reader->context;
}

/* Keeps the mistakes in the order of the file, whatever finds them. */
static void
mistake_insert(struct schema_reader *reader, const struct mistake *mistake)
{
	size_t i = reader->count++;

	for (; i > 0; i--) {
		const struct mistake *before = &reader->mistakes[i - 1];

		if (before->line < mistake->line ||
		    (before->line == mistake->line && before->column <= mistake->column))
			break;
		reader->mistakes[i] = *before;
	}
	reader->mistakes[i] = *mistake;
}

int
schema_mistake(struct schema_reader *reader, const struct yaml_node *node, const char *fmt, ...)
{
	struct mistake mistake = {.line = node ? node->line : 0, .column = node ? node->column : 0};
	char text[MISTAKE_TEXT], place[32] = "";
	va_list args;
	int n;

	if (reader->count == MISTAKES_MAX) {
		reader->dropped++;
		(void) snprintf(reader->more, sizeof(reader->more), "%.500s: and %zu more; correct these first",
				reader->file, reader->dropped);
		error_clean(reader->more);
		return -EINVAL;
	}
	va_start(args, fmt);
	(void) vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (node)
		(void) snprintf(place, sizeof(place), "%d:%d:", node->line, node->column);
	n = asprintf(&mistake.text, "%s:%s %s", reader->file, place, text);
	if (n < 0) {
		reader->out_of_memory = true;
		return -EINVAL;
	}
	error_clean(mistake.text);
	mistake_insert(reader, &mistake);
	return -EINVAL;
}

size_t
schema_mistake_count(const struct schema_reader *reader)
{
	return reader->count + (reader->dropped > 0);
}

const char *
schema_mistake_text(const struct schema_reader *reader, size_t index)
{
	if (index < reader->count)
		return reader->mistakes[index].text;
	return index == reader->count && reader->dropped > 0 ? reader->more : NULL;
}

size_t
schema_reader_enter_key(struct schema_reader *reader, const char *key)
{
	size_t length = strlen(reader->path);

	(void) snprintf(reader->path + length, sizeof(reader->path) - length, "%s%s", length ? "." : "", key);
	return length;
}

size_t
schema_reader_enter_index(struct schema_reader *reader, size_t index)
{
	size_t length = strlen(reader->path);

	(void) snprintf(reader->path + length, sizeof(reader->path) - length, "[%zu]", index);
	return length;
}

void
schema_reader_leave(struct schema_reader *reader, size_t length)
{
	reader->path[length] = '\0';
}

const char *
schema_reader_path(const struct schema_reader *reader)
{
	return reader->path;
}

const char *
schema_reader_folder(const struct schema_reader *reader)
{
	return reader->folder;
}

size_t
schema_reader_total(const struct schema_reader *reader)
{
	return reader->count + reader->dropped;
}

bool
schema_reader_is_short(const struct schema_reader *reader)
{
	return reader->out_of_memory;
}
