/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be said about any row: its description and the check of a call's arguments. The rows are in commands.c. */
#include "command.h"

#include "wire.h"

#include "schema-value.h"
#include "schema.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { COMMAND_STRING_MAX = 4096, COMMAND_ARGUMENTS_MAX = 16 };

const char command_interface[] = "io.mtlsd.Control";

static const struct command_argument command_dry_run = {
	.name = "dry_run",
	.type = COMMAND_BOOL,
	.help = "say what would be done, and do nothing",
};
static const struct command_argument command_no_block = {
	.name = "no_block",
	.type = COMMAND_BOOL,
	.help = "answer with the job's number at once; see jobs",
};

static const char *const command_type_names[] = {
	[COMMAND_STRING] = "string",     [COMMAND_INT] = "int",   [COMMAND_SIZE] = "size",
	[COMMAND_DURATION] = "duration", [COMMAND_BOOL] = "bool", [COMMAND_CHOICE] = "choice",
	[COMMAND_JSON] = "json",         [COMMAND_FILE] = "file", [COMMAND_OUTPUT] = "output",
};
static const char *const command_block_names[] = {
	[COMMAND_FIELDS] = "fields",
	[COMMAND_TABLE] = "table",
	[COMMAND_MAP] = "map",
	[COMMAND_LINES] = "lines",
};

static const char *const command_privilege_names[] = {
	[COMMAND_READ] = "read",
	[COMMAND_CHANGE] = "change",
	[COMMAND_CHANGE_IF_GIVEN] = "change-if-given",
};

const struct command_argument *
command_argument(const struct command *command, size_t i)
{
	const struct command_argument *own = command->arguments;
	size_t count = 0;

	while (own && own[count].name)
		count++;
	if (i < count)
		return own + i;
	i -= count;
	if (command->privilege == COMMAND_CHANGE && i-- == 0)
		return &command_dry_run;
	if (command->privilege == COMMAND_CHANGE && command->slow && i-- == 0)
		return &command_no_block;
	return NULL;
}

/* --- description ----------------------------------------------------------------------------------------- */

static json_t *
command_describe_argument(const struct command_argument *argument)
{
	return json_pack("{s:s, s:s, s:b, s:b, s:s*, s:s*, s:s}", "name", argument->name, "type",
			 command_type_names[argument->type], "positional", argument->positional, "required",
			 argument->required, "choices", argument->choices, "metavar", argument->metavar, "help",
			 argument->help);
}

static json_t *
command_describe_block(const struct command_block *block)
{
	json_t *columns = json_array();

	for (const struct command_column *c = block->columns; c && c->title; c++)
		json_array_append_new(
			columns, json_pack("{s:s, s:s, s:s}", "title", c->title, "key", c->key, "format", c->format));
	return json_pack("{s:s, s:s, s:s*, s:s*, s:o}", "kind", command_block_names[block->kind], "key", block->key,
			 "title", block->title, "empty", block->empty, "columns", columns);
}

json_t *
command_describe(const struct command *command)
{
	json_t *arguments = json_array(), *blocks = json_array();
	const struct command_argument *argument;

	for (size_t i = 0; (argument = command_argument(command, i)); i++)
		json_array_append_new(arguments, command_describe_argument(argument));
	for (const struct command_block *b = command->blocks; b && b->key; b++)
		json_array_append_new(blocks, command_describe_block(b));
	return json_pack("{s:s*, s:s*, s:s, s:s, s:b, s:o, s:o}", "name", command->name, "method", command->method,
			 "help", command->help, "privilege", command_privilege_names[command->privilege], "slow",
			 command->slow, "arguments", arguments, "blocks", blocks);
}

/* --- arguments ------------------------------------------------------------------------------------------- */

static int
command_check_string(const struct command_argument *argument, const json_t *value, struct error *error)
{
	size_t max = argument->max ? (size_t) argument->max : COMMAND_STRING_MAX;

	if (!json_is_string(value))
		return error_set(error, -EINVAL, "\"%s\" must be a string", argument->name);
	if (argument->type == COMMAND_CHOICE) {
		if (schema_value_choice(json_string_value(value), argument->choices) < 0)
			return error_set(error, -EINVAL, "\"%s\" must be one of %s, not \"%.40s\"", argument->name,
					 argument->choices, json_string_value(value));
		return 0;
	}
	if (json_string_length(value) > max)
		return error_set(error, -EINVAL, "\"%s\" is longer than %zu bytes", argument->name, max);
	if (argument->required && json_string_length(value) == 0)
		return error_set(error, -EINVAL, "\"%s\" must not be empty", argument->name);
	return 0;
}

static int
command_check_number(const struct command_argument *argument, const json_t *value, struct error *error)
{
	int64_t min = argument->min, max = argument->max ? argument->max : INT64_MAX;

	if (!json_is_integer(value))
		return error_set(error, -EINVAL, "\"%s\" must be a whole number%s", argument->name,
				 argument->type == COMMAND_SIZE       ? " of bytes"
				 : argument->type == COMMAND_DURATION ? " of microseconds"
								      : "");
	if (json_integer_value(value) < min || json_integer_value(value) > max)
		return error_set(error, -EINVAL, "\"%s\" must lie between %" PRIi64 " and %" PRIi64, argument->name,
				 min, max);
	return 0;
}

static int
command_check_value(const struct command_argument *argument, const json_t *value, struct error *error)
{
	switch (argument->type) {
	case COMMAND_STRING:
	case COMMAND_FILE:
	case COMMAND_CHOICE:
		return command_check_string(argument, value, error);
	case COMMAND_INT:
	case COMMAND_SIZE:
	case COMMAND_DURATION:
		return command_check_number(argument, value, error);
	case COMMAND_JSON:
		if (!json_is_object(value))
			return error_set(error, -EINVAL, "\"%s\" must be an object", argument->name);
		return 0;
	case COMMAND_BOOL:
	case COMMAND_OUTPUT:
		if (!json_is_boolean(value))
			return error_set(error, -EINVAL, "\"%s\" must be true or false", argument->name);
		return 0;
	}
	return -EINVAL;
}

static int
command_refuse_unknown(const struct command *command, const char *key, struct error *error)
{
	const char *names[COMMAND_ARGUMENTS_MAX + 1] = {NULL};
	const struct command_argument *argument;
	const char *near;

	for (size_t i = 0; i < COMMAND_ARGUMENTS_MAX && (argument = command_argument(command, i)); i++) {
		if (strcmp(argument->name, key) == 0)
			return 0;
		names[i] = argument->name;
	}
	near = schema_nearest(key, names);
	if (near)
		return error_set(error, -EINVAL, "unknown argument \"%.40s\"; did you mean \"%s\"?", key, near);
	return error_set(error, -EINVAL, names[0] ? "unknown argument \"%.40s\"" : "\"%.40s\": there are no arguments",
			 key);
}

int
command_check(const struct command *command, json_t *parameters, json_t **ret, const char **ret_argument,
	      struct error *error)
{
	const struct command_argument *argument;
	json_t *arguments = json_object(), *value;
	const char *key;
	int r = arguments ? 0 : error_set(error, -ENOMEM, "out of memory");

	json_object_foreach(parameters, key, value) {
		if (r == 0 && (r = command_refuse_unknown(command, key, error)) < 0)
			*ret_argument = key;
	}
	for (size_t i = 0; r == 0 && (argument = command_argument(command, i)); i++) {
		value = json_object_get(parameters, argument->name);
		/* Varlink: an absent value and null are the same. */
		if (value && !json_is_null(value)) {
			r = command_check_value(argument, value, error);
			if (r == 0 && json_object_set(arguments, argument->name, value) < 0)
				r = error_set(error, -ENOMEM, "out of memory");
		} else if (argument->required) {
			r = error_set(error, -EINVAL, "\"%s\" is missing", argument->name);
		} else if (argument->fallback) {
			if (json_object_set_new(arguments, argument->name,
						json_loads(argument->fallback, JSON_DECODE_ANY, NULL)) < 0)
				r = error_set(error, -ENOMEM, "out of memory");
		}
		if (r < 0)
			*ret_argument = argument->name;
	}
	if (r < 0) {
		json_decref(arguments);
		return r;
	}
	*ret = arguments;
	return 0;
}

bool
command_changes(const struct command *command, const json_t *arguments)
{
	return command->privilege == COMMAND_CHANGE ||
	       (command->privilege == COMMAND_CHANGE_IF_GIVEN && json_object_size(arguments) > 0);
}

const char *
command_string(const struct command_call *call, const char *name)
{
	return json_string_value(json_object_get(call->arguments, name));
}

uint64_t
command_number(const struct command_call *call, const char *name)
{
	return (uint64_t) json_integer_value(json_object_get(call->arguments, name));
}

bool
command_flag(const struct command_call *call, const char *name)
{
	return json_is_true(json_object_get(call->arguments, name));
}

int
command_reply(json_t *reply, json_t **ret, struct error *error)
{
	if (!reply)
		return error_set(error, -ENOMEM, "out of memory");
	*ret = reply;
	return 0;
}

json_t *
command_text(const char *text)
{
	return wire_text(text);
}
