/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "usage.h"

#include "arguments.h"
#include "render.h"

#include <stdbool.h>
#include <string.h>

static const char *
usage_get(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static bool
usage_is(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static void
usage_positional(FILE *out, const json_t *argument)
{
	const char *metavar = usage_get(argument, "metavar");
	const char *name = *metavar ? metavar : usage_get(argument, "name");

	fputs(usage_is(argument, "required") ? " " : " [", out);
	for (const char *p = name; *p; p++)
		fputc(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p, out);
	fputs(usage_is(argument, "required") ? "" : "]", out);
}

/* The command's word and what it takes by place. */
static void
usage_head(FILE *out, const json_t *command)
{
	const json_t *argument;
	size_t i;

	fputs(usage_get(command, "name"), out);
	json_array_foreach(json_object_get(command, "arguments"), i, argument) {
		if (usage_is(argument, "positional"))
			usage_positional(out, argument);
	}
}

static void
usage_line(FILE *out, const char *left, const char *right)
{
	fprintf(out, "  %-22s  ", left);
	render_text(out, right);
	fputc('\n', out);
}

static void
usage_commands(FILE *out, const json_t *commands)
{
	const json_t *command;
	size_t i;

	json_array_foreach(commands, i, command) {
		char *head = NULL;
		size_t size = 0;
		FILE *memory = open_memstream(&head, &size);

		if (!memory)
			return;
		usage_head(memory, command);
		if (fclose(memory) == 0 && head)
			usage_line(out, head, usage_get(command, "help"));
		free(head);
	}
}

void
usage_print(FILE *out, const struct usage_option *options, const json_t *local, const json_t *commands)
{
	fputs("Usage: mtlsctl [OPTION]... COMMAND [ARGUMENT]...\n\nOptions:\n", out);
	for (; options->name; options++) {
		char left[48];

		snprintf(left, sizeof(left), "%s%s%s", options->name, *options->metavar ? " " : "", options->metavar);
		usage_line(out, left, options->help);
	}
	if (json_array_size(commands) > 0)
		fputs("\nCommands of the daemon:\n", out);
	usage_commands(out, commands);
	fputs("\nCommands of mtlsctl itself:\n", out);
	usage_commands(out, local);
	fputs("\nmtlsctl COMMAND --help tells more of one.\n"
	      "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 daemon not reachable, 4 no such object, 5 denied, 6 "
	      "timeout, 10 a leak was found.\n",
	      out);
}

static void
usage_argument(FILE *out, const json_t *argument)
{
	char left[128], option[64];
	const char *metavar = arguments_metavar(argument);

	if (usage_is(argument, "positional"))
		return;
	arguments_option(usage_get(argument, "name"), option, sizeof(option));
	snprintf(left, sizeof(left), "%s%s%s%s", option, *metavar ? " " : "", metavar,
		 usage_is(argument, "required") ? " (required)" : "");
	usage_line(out, left, usage_get(argument, "help"));
}

void
usage_print_command(FILE *out, const json_t *command)
{
	const json_t *arguments = json_object_get(command, "arguments"), *argument;
	bool options = false;
	size_t i;

	fputs("Usage: mtlsctl [OPTION]... ", out);
	usage_head(out, command);
	json_array_foreach(arguments, i, argument) {
		options = options || !usage_is(argument, "positional");
	}
	fputs(options ? " [OPTION]...\n\n" : "\n\n", out);
	render_text(out, usage_get(command, "help"));
	if (strcmp(usage_get(command, "privilege"), "change") == 0)
		fputs("\n(a change: needs the right to, and is put on record)", out);
	if (strcmp(usage_get(command, "privilege"), "change-if-given") == 0)
		fputs("\n(with an argument a change: needs the right to, and is put on record)", out);
	fputc('\n', out);
	json_array_foreach(arguments, i, argument) {
		const char *choices = usage_get(argument, "choices");

		if (!usage_is(argument, "positional"))
			continue;
		fprintf(out, "\n  %s: %s%s%s%s\n", usage_get(argument, "name"), usage_get(argument, "help"),
			*choices ? " (" : "", choices, *choices ? ")" : "");
	}
	if (options)
		fputs("\nOptions:\n", out);
	json_array_foreach(arguments, i, argument) {
		usage_argument(out, argument);
	}
}
