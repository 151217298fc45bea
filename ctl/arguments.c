/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "arguments.h"

#include "schema-value.h"
#include "schema.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { ARGUMENTS_MAX = 32, ARGUMENTS_OPTION_MAX = 64, ARGUMENTS_FILE_MAX = 1000 * 1000, ARGUMENTS_TEXT_MAX = 65536 };

static const char *
arguments_get(const json_t *argument, const char *key)
{
	const char *text = json_string_value(json_object_get(argument, key));

	return text ? text : "";
}

char *
arguments_option(const char *name, char *buffer, size_t size)
{
	snprintf(buffer, size, "--%s", name);
	for (char *p = buffer; *p; p++)
		if (*p == '_')
			*p = '-';
	return buffer;
}

const char *
arguments_metavar(const json_t *argument)
{
	static const struct {
		const char *type, *metavar;
	} metavars[] = {
		{"string", "WORD"},       {"int", "N"},       {"size", "SIZE"}, {"bool", ""},
		{"duration", "DURATION"}, {"output", "FILE"}, {"json", "FILE"}, {"file", "FILE"},
	};
	const char *own = arguments_get(argument, "metavar"), *type = arguments_get(argument, "type");

	if (*own)
		return own;
	if (strcmp(type, "choice") == 0)
		return arguments_get(argument, "choices");
	for (size_t i = 0; i < ARRAY_LENGTH(metavars); i++)
		if (strcmp(type, metavars[i].type) == 0)
			return metavars[i].metavar;
	return "VALUE";
}

/* A file's JSON travels in the call, so the daemon opens no path of ours. */
static int
arguments_read_file(const char *path, json_t **ret, struct error *error)
{
	json_error_t why;
	json_t *object = json_load_file(path, 0, &why);

	if (!object)
		return error_set(error, -EINVAL, "%s: %s", path, why.text);
	if (!json_is_object(object) || json_dumpb(object, NULL, 0, JSON_COMPACT) > ARGUMENTS_FILE_MAX) {
		json_decref(object);
		return error_set(error, -EINVAL, "%s: it is no JSON object of at most %d bytes", path,
				 ARGUMENTS_FILE_MAX);
	}
	*ret = object;
	return 0;
}

/* The same for a file of text. */
static int
arguments_read_text(const char *path, json_t **ret, struct error *error)
{
	char text[ARGUMENTS_TEXT_MAX];
	FILE *file = fopen(path, "re");

	if (!file)
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	size_t length = fread(text, 1, sizeof(text), file);
	bool failed = ferror(file), whole = feof(file);
	(void) fclose(file);
	if (failed)
		return error_set(error, -EIO, "%s: it cannot be read", path);
	if (!whole)
		return error_set(error, -EINVAL, "%s: it has more than %d bytes", path, ARGUMENTS_TEXT_MAX);
	*ret = memchr(text, '\0', length) ? NULL : json_stringn(text, length);
	return *ret ? 0 : error_set(error, -EINVAL, "%s: it is no text", path);
}

/* One value of a known argument. Ranges and choices are the daemon's to check: it knows them for certain. */
static int
arguments_read_value(const json_t *argument, const char *text, json_t **ret, struct error *error)
{
	const char *type = arguments_get(argument, "type"), *name = arguments_get(argument, "name");
	char option[ARGUMENTS_OPTION_MAX];
	int64_t number = 0;
	int r = 0;

	if (strcmp(type, "json") == 0)
		return arguments_read_file(text, ret, error);
	if (strcmp(type, "file") == 0)
		return arguments_read_text(text, ret, error);
	if (strcmp(type, "int") == 0) {
		r = schema_value_int(text, &number);
	} else if (strcmp(type, "size") == 0) {
		r = schema_value_size(text, &number);
	} else if (strcmp(type, "duration") == 0) {
		r = schema_value_duration(text, &number);
	} else {
		*ret = strcmp(type, "output") == 0 ? json_true() : json_string(text);
		return *ret ? 0 : error_set(error, -EINVAL, "%s: the value is not UTF-8", name);
	}
	if (r < 0)
		return error_set(error, -EINVAL, "%s: \"%.60s\" is not %s",
				 arguments_option(name, option, sizeof(option)), text,
				 strcmp(type, "int") == 0    ? "a whole number"
				 : strcmp(type, "size") == 0 ? "a size such as 4096, 64KiB or 16MiB"
							     : "a duration such as 250ms, 10s or 5min");
	*ret = json_integer(number);
	return *ret ? 0 : error_set(error, -ENOMEM, "out of memory");
}

static const json_t *
arguments_find_option(const json_t *arguments, const char *word, size_t length, struct error *error)
{
	char options[ARGUMENTS_MAX][ARGUMENTS_OPTION_MAX], given[ARGUMENTS_OPTION_MAX];
	const char *names[ARGUMENTS_MAX + 1] = {NULL}, *near;
	const json_t *argument;
	size_t i, count = 0;

	snprintf(given, sizeof(given), "%.*s", (int) length, word);
	json_array_foreach(arguments, i, argument) {
		if (json_is_true(json_object_get(argument, "positional")) || count == ARGUMENTS_MAX)
			continue;
		arguments_option(arguments_get(argument, "name"), options[count], sizeof(options[count]));
		names[count] = options[count];
		if (strcmp(options[count++], given) == 0)
			return argument;
	}
	near = schema_nearest(given, names);
	error_set(error, -EINVAL, "unknown option %s%s%s%s", given, near ? "; did you mean " : "", near ? near : "",
		  near ? "?" : "");
	return NULL;
}

static const json_t *
arguments_find_positional(const json_t *arguments, const json_t *taken)
{
	const json_t *argument;
	size_t i;

	json_array_foreach(arguments, i, argument) {
		if (json_is_true(json_object_get(argument, "positional")) &&
		    !json_object_get(taken, arguments_get(argument, "name")))
			return argument;
	}
	return NULL;
}

static int
arguments_check_required(const json_t *arguments, const json_t *taken, struct error *error)
{
	char option[ARGUMENTS_OPTION_MAX];
	const json_t *argument;
	size_t i;

	json_array_foreach(arguments, i, argument) {
		const char *name = arguments_get(argument, "name");

		if (!json_is_true(json_object_get(argument, "required")) || json_object_get(taken, name))
			continue;
		if (json_is_true(json_object_get(argument, "positional")))
			return error_set(error, -EINVAL, "the argument %s is missing: %s", name,
					 arguments_get(argument, "help"));
		return error_set(error, -EINVAL, "the option %s is missing",
				 arguments_option(name, option, sizeof(option)));
	}
	return 0;
}

/* Reads words[*i], and the next one where it is the option's value. */
static int
arguments_read_word(const json_t *arguments, char *const *words, size_t count, size_t *i, bool options, json_t *taken,
		    const char **ret_output, struct error *error)
{
	const char *word = words[*i], *equals = strchr(word, '='), *value = word, *type, *name;
	const json_t *argument;
	json_t *json = NULL;
	int r;

	if (options && strncmp(word, "--", 2) == 0) {
		argument =
			arguments_find_option(arguments, word, equals ? (size_t) (equals - word) : strlen(word), error);
		value = equals ? equals + 1 : NULL;
	} else if (options && word[0] == '-' && word[1]) {
		return error_set(error, -EINVAL, "unknown option %.60s; options have long names only", word);
	} else {
		argument = arguments_find_positional(arguments, taken);
		if (!argument)
			error_set(error, -EINVAL, "one argument too many: \"%.60s\"", word);
	}
	if (!argument)
		return -EINVAL;
	name = arguments_get(argument, "name");
	type = arguments_get(argument, "type");
	if (json_object_get(taken, name))
		return error_set(error, -EINVAL, "%s is given twice", name);
	if (strcmp(type, "bool") == 0) {
		if (value && value != word)
			return error_set(error, -EINVAL, "%.60s takes no value", word);
		json_object_set_new(taken, name, json_true());
		return 0;
	}
	if (!value && *i + 1 == count)
		return error_set(error, -EINVAL, "%.60s needs a value: %s", word, arguments_metavar(argument));
	if (!value)
		value = words[++*i];
	r = arguments_read_value(argument, value, &json, error);
	if (r < 0)
		return r;
	json_object_set_new(taken, name, json);
	if (strcmp(type, "output") == 0)
		*ret_output = value;
	return 0;
}

int
arguments_parse(const json_t *description, char *const *words, size_t count, json_t **ret, const char **ret_output,
		struct error *error)
{
	const json_t *arguments = json_object_get(description, "arguments");
	const char *output = NULL;
	json_t *taken = json_object();
	bool options = true;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (options && strcmp(words[i], "--") == 0)
			options = false;
		else
			r = arguments_read_word(arguments, words, count, &i, options, taken, &output, error);
	}
	if (r == 0)
		r = arguments_check_required(arguments, taken, error);
	if (r < 0) {
		json_decref(taken);
		return r;
	}
	*ret = taken;
	*ret_output = output;
	return 0;
}
