/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "introspect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char introspect_interface[] = "org.varlink.service";

static const char introspect_service_text[] =
	"# Every Varlink service answers these.\n"
	"interface org.varlink.service\n\n"
	"method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)\n\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n\n"
	"error InterfaceNotFound (interface: string)\n\n"
	"error MethodNotFound (method: string)\n\n"
	"error MethodNotImplemented (method: string)\n\n"
	"error InvalidParameter (parameter: string)\n";

static const struct {
	const char *name, *fields, *help;
} introspect_errors[] = {
	{"NoSuchPlugin", "message: string", "No plugin has that name; the message names the nearest"},
	{"InvalidArgument", "parameter: ?string, message: string", "An argument is unknown, missing or out of range"},
	{"PermissionDenied", "message: string", "The caller may read, but not change"},
	{"Busy", "message: string", "Another change of the same thing is under way, or too many jobs run"},
	{"Stale", "message: string", "Another instance serves than the one that was named"},
	{"TimedOut", "message: string", "It took longer than allowed"},
	{"Failed", "message: string, mistakes: ?[]string", "Anything else; the message says what and what to do"},
};

json_t *
introspect_info(void)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:[s, s]}", "vendor", "mtlsd", "product", "mtlsd", "version",
			 PACKAGE_VERSION, "url", "man:mtlsd(8)", "interfaces", introspect_interface, command_interface);
}

static void
introspect_argument(FILE *out, const struct command_argument *argument)
{
	fprintf(out, "%s: %s", argument->name, argument->required ? "" : "?");
	switch (argument->type) {
	case COMMAND_STRING:
	case COMMAND_FILE:
		fputs("string", out);
		break;
	case COMMAND_INT:
	case COMMAND_SIZE:
	case COMMAND_DURATION:
		fputs("int", out);
		break;
	case COMMAND_JSON:
		fputs("object", out);
		break;
	case COMMAND_BOOL:
	case COMMAND_OUTPUT:
		fputs("bool", out);
		break;
	case COMMAND_CHOICE:
		fputc('(', out);
		for (const char *p = argument->choices; *p; p++)
			fputs(*p == '|' ? ", " : (const char[]){*p, '\0'}, out);
		fputc(')', out);
		break;
	}
}

static void
introspect_method(FILE *out, const struct command *command)
{
	static const char *const units[] = {
		[COMMAND_SIZE] = " (bytes)",
		[COMMAND_DURATION] = " (microseconds)",
		[COMMAND_FILE] = " (what the file says)",
		[COMMAND_OUTPUT] = " (true: the descriptor to write to travels with the call)",
	};
	const struct command_argument *argument;

	fprintf(out, "\n# %s%s\n", command->help,
		command->privilege == COMMAND_READ              ? ""
		: command->privilege == COMMAND_CHANGE_IF_GIVEN ? ". With an argument: a change"
								: ". A change");
	for (size_t i = 0; (argument = command_argument(command, i)); i++)
		fprintf(out, "#   %s%s: %s\n", argument->name, units[argument->type] ? units[argument->type] : "",
			argument->help);
	fprintf(out, "method %s(", command->method);
	for (size_t i = 0; (argument = command_argument(command, i)); i++) {
		fputs(i ? ", " : "", out);
		introspect_argument(out, argument);
	}
	fprintf(out, ") -> (%s)\n", command->reply);
}

static void
introspect_control(FILE *out)
{
	fprintf(out,
		"# Control of the mtlsd daemon. Slow methods called with \"more\" answer first with their job's "
		"number.\n"
		"interface %s\n",
		command_interface);
	for (const struct command *c = command_table; c->help; c++)
		introspect_method(out, c);
	for (size_t i = 0; i < ARRAY_LENGTH(introspect_errors); i++)
		fprintf(out, "\n# %s\nerror %s (%s)\n", introspect_errors[i].help, introspect_errors[i].name,
			introspect_errors[i].fields);
}

int
introspect_describe(const char *interface, char **ret)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out;

	if (strcmp(interface, introspect_interface) != 0 && strcmp(interface, command_interface) != 0)
		return -ENOENT;
	out = open_memstream(&text, &size);
	if (!out)
		return -ENOMEM;
	if (strcmp(interface, introspect_interface) == 0)
		fputs(introspect_service_text, out);
	else
		introspect_control(out);
	if (fclose(out) != 0 || !text) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}
