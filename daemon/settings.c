/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings.h"

#include <errno.h>
#include <string.h>

enum { OPTIONS_MAX = 128 };

/* One value as schema_read stores it. */
union value {
	bool boolean;
	int64_t number;
	uint64_t quantity;
	int choice;
	char *text;
	struct schema_strings strings;
};

struct settings {
	size_t count;
	struct schema_row *rows; /* count + 1, built from the option table */
	union value *values;
	char **choices; /* a private copy of each row's choices, split by '|', for settings_string */
};

static const enum schema_type schema_types[] = {
	[MTLSD_OPTION_BOOL] = SCHEMA_BOOL,       [MTLSD_OPTION_INT] = SCHEMA_INT,
	[MTLSD_OPTION_SIZE] = SCHEMA_SIZE,       [MTLSD_OPTION_DURATION] = SCHEMA_DURATION,
	[MTLSD_OPTION_STRING] = SCHEMA_STRING,   [MTLSD_OPTION_CHOICE] = SCHEMA_CHOICE,
	[MTLSD_OPTION_STRINGS] = SCHEMA_STRINGS,
};

static bool
is_option_name(const char *name)
{
	if (name[0] < 'a' || name[0] > 'z')
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name) && strlen(name) <= 63;
}

int
settings_check_options(const mtlsd_option *options, struct error *error)
{
	if (options == NULL)
		return 0;
	size_t i;
	for (i = 0; options[i].name != NULL; i++) {
		const mtlsd_option *option = &options[i];
		if (i == OPTIONS_MAX)
			return error_set(error, -EINVAL,
					 "the option table has more than %d rows (is its end row missing?)",
					 OPTIONS_MAX);
		if (!is_option_name(option->name))
			return error_set(error, -EINVAL, "option %zu has a name other than [a-z][a-z0-9_]*", i);
		if ((unsigned) option->type >= ARRAY_LENGTH(schema_types))
			return error_set(error, -EINVAL, "option %s has type %d, which this daemon does not know",
					 option->name, (int) option->type);
		if (option->type == MTLSD_OPTION_CHOICE && (option->choices == NULL || option->choices[0] == '\0'))
			return error_set(error, -EINVAL, "option %s is a choice without choices", option->name);
		if (option->min > option->max)
			return error_set(error, -EINVAL, "option %s has min above max", option->name);
		for (size_t j = 0; j < i; j++) {
			if (strcmp(options[j].name, option->name) == 0)
				return error_set(error, -EINVAL, "option %s stands twice in the table", option->name);
		}
	}
	return 0;
}

static char *
copy_text(const char *text)
{
	return text == NULL ? NULL : strdup(text);
}

static int
settings_rows(struct settings *settings, const mtlsd_option *options)
{
	for (size_t i = 0; i < settings->count; i++) {
		struct schema_row *row = &settings->rows[i];
		row->key = strdup(options[i].name);
		row->type = schema_types[options[i].type];
		row->offset = i * sizeof(union value);
		row->required = options[i].required != 0;
		row->min = options[i].min;
		row->max = options[i].max;
		row->fallback = copy_text(options[i].fallback);
		row->choices = copy_text(options[i].choices);
		row->help = copy_text(options[i].help);
		settings->choices[i] = copy_text(options[i].choices);
		if (row->key == NULL || (options[i].fallback != NULL && row->fallback == NULL) ||
		    (options[i].choices != NULL && (row->choices == NULL || settings->choices[i] == NULL)))
			return -ENOMEM;
		for (char *c = settings->choices[i]; c != NULL && *c != '\0'; c++) {
			if (*c == '|')
				*c = '\0';
		}
	}
	return 0;
}

int
settings_read(struct schema_reader *reader, const mtlsd_option *options, const struct yaml_node *node,
	      struct settings **ret)
{
	static const struct yaml_node empty = {.kind = YAML_MAP, .line = 1, .column = 1};
	CLEANUP(settings_free) struct settings *settings = calloc(1, sizeof(*settings));
	if (settings == NULL)
		return -ENOMEM;
	for (size_t i = 0; options != NULL && options[i].name != NULL; i++)
		settings->count++;
	settings->rows = calloc(settings->count + 1, sizeof(*settings->rows));
	settings->values = calloc(settings->count + 1, sizeof(*settings->values));
	settings->choices = calloc(settings->count + 1, sizeof(*settings->choices));
	if (settings->rows == NULL || settings->values == NULL || settings->choices == NULL)
		return -ENOMEM;
	int r = settings_rows(settings, options);
	if (r < 0)
		return r;
	r = schema_read(reader, settings->rows, node != NULL ? node : &empty, settings->values);
	if (r < 0)
		return r;
	*ret = STEAL(settings);
	return 0;
}

void
settings_free(struct settings **settingsp)
{
	struct settings *settings = *settingsp;
	if (settings == NULL)
		return;
	if (settings->rows != NULL && settings->values != NULL && settings->rows[0].key != NULL)
		schema_release(settings->rows, settings->values);
	for (size_t i = 0; settings->rows != NULL && i < settings->count; i++) {
		free((void *) settings->rows[i].key);
		free((void *) settings->rows[i].fallback);
		free((void *) settings->rows[i].choices);
		free((void *) settings->rows[i].help);
		if (settings->choices != NULL)
			free(settings->choices[i]);
	}
	free(settings->rows);
	free(settings->values);
	free(settings->choices);
	free(settings);
	*settingsp = NULL;
}

static ssize_t
settings_find(const struct settings *settings, const char *name)
{
	for (size_t i = 0; name != NULL && i < settings->count; i++) {
		if (strcmp(settings->rows[i].key, name) == 0)
			return (ssize_t) i;
	}
	return -1;
}

int64_t
settings_int(const struct settings *settings, const char *name)
{
	ssize_t i = settings_find(settings, name);
	if (i < 0)
		return 0;
	switch (settings->rows[i].type) {
	case SCHEMA_BOOL:
		return settings->values[i].boolean;
	case SCHEMA_INT:
		return settings->values[i].number;
	case SCHEMA_SIZE:
	case SCHEMA_DURATION:
		return (int64_t) settings->values[i].quantity;
	default:
		return 0;
	}
}

const char *
settings_string(const struct settings *settings, const char *name)
{
	ssize_t i = settings_find(settings, name);
	if (i < 0)
		return NULL;
	if (settings->rows[i].type == SCHEMA_STRING)
		return settings->values[i].text;
	if (settings->rows[i].type == SCHEMA_CHOICE) {
		const char *choice = settings->choices[i];
		for (int skip = settings->values[i].choice; skip > 0; skip--)
			choice += strlen(choice) + 1;
		return choice;
	}
	return settings_item(settings, name, 0);
}

const char *
settings_item(const struct settings *settings, const char *name, size_t index)
{
	ssize_t i = settings_find(settings, name);
	if (i < 0 || settings->rows[i].type != SCHEMA_STRINGS || index >= settings->values[i].strings.count)
		return NULL;
	return settings->values[i].strings.items[index];
}

static bool
text_equal(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool
settings_equal(const struct settings *a, const struct settings *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const char *name = a->rows[i].key;
		if (strcmp(name, b->rows[i].key) != 0 || a->rows[i].type != b->rows[i].type ||
		    settings_int(a, name) != settings_int(b, name) ||
		    !text_equal(settings_string(a, name), settings_string(b, name)))
			return false;
		for (size_t k = 0;; k++) {
			const char *x = settings_item(a, name, k), *y = settings_item(b, name, k);
			if (!text_equal(x, y))
				return false;
			if (x == NULL)
				break;
		}
	}
	return true;
}
