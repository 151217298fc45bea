/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "schema.h"

#include "schema-reader.h"
#include "schema-value.h"

#include <errno.h>
#include <string.h>

/* what: a predicate of the key the walk looks at ("is a list; ..."), or begins with the value in quotes. */
static int
row_mistake(struct schema_reader *reader, const struct schema_row *row, const struct yaml_node *node, const char *what)
{
	return schema_mistake(reader, node, "%s%s%s%s %s", schema_reader_path(reader),
			      *schema_reader_path(reader) ? "." : "", row->key, *what == '"' ? ":" : "", what);
}

static int
value_mistake(struct schema_reader *reader, const struct schema_row *row, const struct yaml_node *node,
	      const char *text, int code)
{
	char want[300], what[500];

	schema_value_describe(row, want, sizeof(want));
	(void) snprintf(what, sizeof(what),
			code == -ERANGE ? "\"%.60s\" is out of range; write %s" : "\"%.60s\" is not %s", text, want);
	return row_mistake(reader, row, node, what);
}

static int
string_store(const char *text, char **ret)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*ret);
	*ret = copy;
	return 0;
}

static bool
has_scheme(const char *text, const char *schemes)
{
	size_t n;

	for (const char *p = schemes; p && *p; p += n + (p[n] == '|')) {
		n = strcspn(p, "|");
		if (strncmp(text, p, n) == 0)
			return true;
	}
	return false;
}

static int
path_store(const struct schema_reader *reader, const struct schema_row *row, const char *text, char **ret)
{
	char *path;

	if (*text == '/' || *text == '\0' || has_scheme(text, row->choices))
		return string_store(text, ret);
	if (asprintf(&path, "%s/%s", strcmp(schema_reader_folder(reader), "/") == 0 ? "" : schema_reader_folder(reader),
		     text) < 0)
		return -ENOMEM;
	free(*ret);
	*ret = path;
	return 0;
}

static int
number_check(const struct schema_row *row, int64_t value)
{
	bool is_bound = row->min != 0 || row->max != 0;

	return is_bound && (value < row->min || value > row->max) ? -ERANGE : 0;
}

static int
length_read(struct schema_reader *reader, const struct schema_row *row, const struct yaml_node *node, const char *text)
{
	int64_t length = (int64_t) strlen(text);
	char what[200];

	if (number_check(row, length) == 0)
		return 0;
	if (length == 0)
		return row_mistake(reader, row, node, "is empty; write a value or leave the key out");
	(void) snprintf(what, sizeof(what), "has %lld bytes; write %lld to %lld", (long long) length,
			(long long) row->min, (long long) row->max);
	return row_mistake(reader, row, node, what);
}

static int
choice_mistake(struct schema_reader *reader, const struct schema_row *row, const struct yaml_node *node,
	       const char *text)
{
	CLEANUP_FREE char *words = strdup(row->choices);
	const char *list[64] = {NULL}, *nearest;
	char want[300], what[500];
	size_t count = 0;

	if (!words)
		return -ENOMEM;
	for (char *save = NULL, *p = strtok_r(words, "|", &save); p && count < ARRAY_LENGTH(list) - 1;
	     p = strtok_r(NULL, "|", &save))
		list[count++] = p;
	nearest = schema_nearest(text, list);
	schema_value_choices(row->choices, want, sizeof(want));
	if (nearest)
		(void) snprintf(what, sizeof(what), "\"%.60s\" is unknown; did you mean \"%s\"? (one of %s)", text,
				nearest, want);
	else
		(void) snprintf(what, sizeof(what), "\"%.60s\" is unknown; write one of %s", text, want);
	return row_mistake(reader, row, node, what);
}

static int
decimal_read(const struct schema_row *row, const char *text, double *ret)
{
	double value;
	int r = schema_value_decimal(text, &value);

	if (r == 0 && (row->min != 0 || row->max != 0) &&
	    (value * 1000 < (double) row->min || value * 1000 > (double) row->max))
		r = -ERANGE;
	if (r == 0)
		*ret = value;
	return r;
}

/* One scalar, from the file or from the row's default; node is where a mistake is shown. */
static int
scalar_read(struct schema_reader *reader, const struct schema_row *row, const struct yaml_node *node, const char *text,
	    void *field)
{
	int64_t number;
	int r;

	switch (row->type) {
	case SCHEMA_BOOL:
		r = schema_value_bool(text, field);
		break;
	case SCHEMA_INT:
	case SCHEMA_SIZE:
	case SCHEMA_DURATION:
		r = row->type == SCHEMA_INT    ? schema_value_int(text, &number)
		    : row->type == SCHEMA_SIZE ? schema_value_size(text, &number)
					       : schema_value_duration(text, &number);
		if (r == 0)
			r = number_check(row, number);
		if (r == 0)
			memcpy(field, &number, sizeof(number)); /* int64_t or uint64_t, never negative there */
		break;
	case SCHEMA_MODE:
		r = schema_value_mode(text, field);
		break;
	case SCHEMA_DECIMAL:
		r = decimal_read(row, text, field);
		break;
	case SCHEMA_CHOICE:
		r = schema_value_choice(text, row->choices);
		if (r < 0)
			return choice_mistake(reader, row, node, text);
		*(int *) field = r;
		return 0;
	case SCHEMA_STRING:
	case SCHEMA_PATH:
		r = length_read(reader, row, node, text);
		if (r < 0)
			return r;
		return row->type == SCHEMA_STRING ? string_store(text, field) : path_store(reader, row, text, field);
	default:
		r = -EINVAL;
		break;
	}
	return r < 0 ? value_mistake(reader, row, node, text, r) : 0;
}

static void
strings_clear(struct schema_strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
	*strings = (struct schema_strings){NULL, 0};
}

static int
strings_add(struct schema_reader *reader, const struct schema_row *row, const struct yaml_node *node, const char *text,
	    struct schema_strings *strings)
{
	int r = length_read(reader, row, node, text);

	if (r < 0)
		return r;
	if (row->choices && schema_value_choice(text, row->choices) < 0)
		return choice_mistake(reader, row, node, text);
	strings->items[strings->count] = strdup(text);
	if (!strings->items[strings->count])
		return -ENOMEM;
	strings->count++;
	return 0;
}

static int
strings_read(struct schema_reader *reader, const struct schema_row *row, const struct yaml_node *node,
	     struct schema_strings *strings)
{
	size_t count = node->kind == YAML_SCALAR ? 1 : node->count;
	int r = 0;

	if (node->kind == YAML_MAP)
		return row_mistake(reader, row, node, "is a mapping; write a word or a list of them");
	strings_clear(strings);
	strings->items = calloc(count + 1, sizeof(*strings->items));
	if (!strings->items)
		return -ENOMEM;
	for (size_t i = 0; i < count && r != -ENOMEM; i++) {
		const struct yaml_node *item = node->kind == YAML_SCALAR ? node : node->values[i];

		if (item->kind != YAML_SCALAR)
			r = row_mistake(reader, row, item, "holds a list or mapping; every item must be a word");
		else
			r = strings_add(reader, row, item, item->text, strings);
	}
	return r;
}

static int
flags_read(struct schema_reader *reader, const struct schema_row *row, const struct yaml_node *node, unsigned *ret)
{
	size_t count = node->kind == YAML_SCALAR ? 1 : node->count;
	unsigned flags = 0;

	if (node->kind == YAML_MAP)
		return row_mistake(reader, row, node, "is a mapping; write a word or a list of them");
	for (size_t i = 0; i < count; i++) {
		const struct yaml_node *item = node->kind == YAML_SCALAR ? node : node->values[i];

		if (item->kind != YAML_SCALAR)
			return row_mistake(reader, row, item, "holds a list or mapping; every item must be a word");
		int bit = schema_value_choice(item->text, row->choices);
		if (bit < 0)
			return choice_mistake(reader, row, item, item->text);
		flags |= 1U << (unsigned) bit;
	}
	*ret = flags;
	return 0;
}

static int
list_read(struct schema_reader *reader, const struct schema_row *row, const struct yaml_node *node, void *base)
{
	size_t key_end, item_end;
	int r = 0;

	if (node->kind != YAML_LIST)
		return row_mistake(reader, row, node, "must be a list; begin each item with \"- \"");
	key_end = schema_reader_enter_key(reader, row->key);
	for (size_t i = 0; i < node->count && r != -ENOMEM; i++) {
		item_end = schema_reader_enter_index(reader, i);
		r = row->item(reader, base, node->values[i]);
		schema_reader_leave(reader, item_end);
	}
	schema_reader_leave(reader, key_end);
	return r;
}

/* A key without value, "~" or "null". */
static bool
is_null(const struct yaml_node *node)
{
	return node->kind == YAML_SCALAR && !node->quoted &&
	       (*node->text == '\0' || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

static int
value_read(struct schema_reader *reader, const struct schema_row *row, const struct yaml_node *node, void *base)
{
	void *field = (char *) base + row->offset;
	char want[300], what[400];
	size_t end;
	int r;

	if (is_null(node) && (row->type == SCHEMA_GROUP || row->type == SCHEMA_LIST || row->type == SCHEMA_ANY))
		return 0; /* as if left out */
	if (is_null(node)) {
		schema_value_describe(row, want, sizeof(want));
		(void) snprintf(what, sizeof(what), "has no value; write %s, or leave the key out", want);
		return row_mistake(reader, row, node, what);
	}
	switch (row->type) {
	case SCHEMA_STRINGS:
		return strings_read(reader, row, node, field);
	case SCHEMA_FLAGS:
		return flags_read(reader, row, node, field);
	case SCHEMA_GROUP:
		end = schema_reader_enter_key(reader, row->key);
		r = schema_read(reader, row->rows, node, field);
		schema_reader_leave(reader, end);
		return r;
	case SCHEMA_LIST:
		return list_read(reader, row, node, base);
	case SCHEMA_ANY:
		*(const struct yaml_node **) field = node;
		return 0;
	default:
		if (node->kind == YAML_SCALAR)
			return scalar_read(reader, row, node, node->text, field);
		schema_value_describe(row, want, sizeof(want));
		(void) snprintf(what, sizeof(what), "is a %s; write %s", node->kind == YAML_LIST ? "list" : "mapping",
				want);
		return row_mistake(reader, row, node, what);
	}
}

static int
flags_default(struct schema_reader *reader, const struct schema_row *row, const struct yaml_node *map, unsigned *ret)
{
	char word[64];

	*ret = 0;
	for (const char *p = row->fallback; *p != '\0';) {
		size_t length = strcspn(p, "|");
		(void) snprintf(word, sizeof(word), "%.*s", (int) length, p);
		int bit = schema_value_choice(word, row->choices);
		if (bit < 0)
			return choice_mistake(reader, row, map, word);
		*ret |= 1U << (unsigned) bit;
		p += length + (p[length] == '|');
	}
	return 0;
}

/* A default is parsed like the file's text, so that the reference shows what is used. A table made at run time may hold
 * a wrong one: that is a mistake like others, not a bug of ours. */
static int
default_read(struct schema_reader *reader, const struct schema_row *row, const struct yaml_node *map, void *base)
{
	struct schema_strings *strings = (void *) ((char *) base + row->offset);

	if (row->type == SCHEMA_GROUP) {
		for (const struct schema_row *sub = row->rows; sub->key; sub++) {
			int r = default_read(reader, sub, map, (char *) base + row->offset);

			if (r < 0)
				return r;
		}
		return 0;
	}
	if (!row->fallback || row->type == SCHEMA_LIST || row->type == SCHEMA_ANY)
		return 0;
	if (row->type == SCHEMA_FLAGS)
		return flags_default(reader, row, map, (unsigned *) strings);
	if (row->type != SCHEMA_STRINGS)
		return scalar_read(reader, row, map, row->fallback, (char *) base + row->offset);
	strings_clear(strings);
	strings->items = calloc(2, sizeof(*strings->items));
	if (!strings->items)
		return -ENOMEM;
	return strings_add(reader, row, map, row->fallback, strings);
}

static const struct schema_row *
row_find(const struct schema_row *rows, const char *key)
{
	for (; rows->key; rows++)
		if (strcmp(rows->key, key) == 0)
			return rows;
	return NULL;
}

static int
unknown_key(struct schema_reader *reader, const struct schema_row *rows, const struct yaml_node *key)
{
	const char *names[128] = {NULL}, *nearest,
		   *where = *schema_reader_path(reader) ? schema_reader_path(reader) : "the file's top level";
	char known[300] = "";
	size_t count = 0, used = 0;

	for (const struct schema_row *row = rows; row->key && count < ARRAY_LENGTH(names) - 1; row++)
		names[count++] = row->key;
	nearest = schema_nearest(key->text, names);
	if (nearest)
		return schema_mistake(reader, key, "unknown key \"%.60s\" in %s; did you mean \"%s\"?", key->text,
				      where, nearest);
	for (size_t i = 0; i < count && used < sizeof(known); i++)
		used += (size_t) snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "", names[i]);
	return schema_mistake(reader, key, "unknown key \"%.60s\" in %s; known are: %s", key->text, where,
			      count ? known : "none");
}

static int
required_check(struct schema_reader *reader, const struct schema_row *rows, const struct yaml_node *map)
{
	const char *where = *schema_reader_path(reader) ? schema_reader_path(reader) : "the file's top level";
	char want[300];

	for (; rows->key; rows++) {
		if (!rows->required || yaml_get(map, rows->key))
			continue;
		schema_value_describe(rows, want, sizeof(want));
		(void) schema_mistake(reader, map, "missing key \"%s\" in %s; add it: %s", rows->key, where, want);
	}
	return schema_reader_is_short(reader) ? -ENOMEM : 0;
}

int
schema_read(struct schema_reader *reader, const struct schema_row *rows, const struct yaml_node *node, void *base)
{
	size_t before = schema_reader_total(reader);
	int r;

	for (const struct schema_row *row = rows; row->key; row++) {
		r = default_read(reader, row, node, base);
		if (r == -ENOMEM)
			return r;
	}
	if (node && node->kind != YAML_MAP)
		return schema_mistake(reader, node, "%s must be a mapping; write \"key: value\" lines",
				      *schema_reader_path(reader) ? schema_reader_path(reader) : "the file");
	for (size_t i = 0; node && i < node->count; i++) {
		const struct schema_row *row = row_find(rows, node->keys[i]->text);

		if (!row)
			(void) unknown_key(reader, rows, node->keys[i]);
		else if (value_read(reader, row, node->values[i], base) == -ENOMEM)
			return -ENOMEM;
	}
	if (required_check(reader, rows, node) < 0)
		return -ENOMEM;
	return schema_reader_total(reader) > before ? -EINVAL : 0;
}

void
schema_release(const struct schema_row *rows, void *base)
{
	for (; rows->key; rows++) {
		void *field = (char *) base + rows->offset;

		switch (rows->type) {
		case SCHEMA_STRING:
		case SCHEMA_PATH:
			free(*(char **) field);
			*(char **) field = NULL;
			break;
		case SCHEMA_STRINGS:
			strings_clear(field);
			break;
		case SCHEMA_GROUP:
			schema_release(rows->rows, field);
			break;
		default:
			break;
		}
	}
}
