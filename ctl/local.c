/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "local.h"

#include "command.h"
#include "pki.h"
#include "replay.h"
#include "top-command.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct local_command {
	struct command row;
	int (*run)(const json_t *arguments, const struct local_context *context);
};

/* The daemon's program: beside mtlsctl (a build tree, a private prefix), else where it was installed. */
static void
local_find_daemon(char *buffer, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", buffer, size - sizeof("/mtlsd"));
	char *slash;

	if (length > 0) {
		buffer[length] = '\0';
		slash = strrchr(buffer, '/');
		if (slash) {
			memcpy(slash, "/mtlsd", sizeof("/mtlsd"));
			if (access(buffer, X_OK) == 0)
				return;
		}
	}
	snprintf(buffer, size, "%s/mtlsd", MTLSD_SBINDIR);
}

static int
local_check_config(const json_t *arguments, const struct local_context *context UNUSED)
{
	const char *file = json_string_value(json_object_get(arguments, "file"));
	char program[PATH_MAX];

	local_find_daemon(program, sizeof(program));
	execl(program, program, "--check-config", file, (char *) NULL);
	fprintf(stderr, "mtlsctl: cannot run %s: %s; is the daemon installed?\n", program, strerror(errno));
	return 1;
}

static const struct command_argument local_check_config_arguments[] = {
	{.name = "file", .positional = true, .required = true, .metavar = "FILE", .help = "the configuration to check"},
	{0},
};

static int
local_init_dev_pki(const json_t *arguments, const struct local_context *context UNUSED)
{
	const struct pki_wish wish = {
		.folder = json_string_value(json_object_get(arguments, "folder")),
		.names = json_string_value(json_object_get(arguments, "names")),
		.password = json_string_value(json_object_get(arguments, "password")),
		.days = (int) json_integer_value(json_object_get(arguments, "days")),
	};
	struct error why = {0};

	if (pki_make(&wish, &why) < 0) {
		fprintf(stderr, "mtlsctl: %s\n", why.text);
		return 1;
	}
	printf("For development only: whoever reads %s/ca.key can be any client.\n"
	       "  server   %s/server.pem, server.key, clients.pem, clients.crl\n"
	       "  curl     --cacert %s/%s --cert %s/%s\n"
	       "  browser  import %s/%s (password \"%s\") and trust %s/%s\n",
	       wish.folder, wish.folder, wish.folder, pki_server_ca, wish.folder, pki_client_pem, wish.folder,
	       pki_client_p12, wish.password, wish.folder, pki_server_ca);
	return 0;
}

static const struct command_argument local_init_dev_pki_arguments[] = {
	{.name = "folder",
	 .positional = true,
	 .required = true,
	 .metavar = "FOLDER",
	 .help = "where to; nothing that is there already is touched"},
	{.name = "names",
	 .metavar = "NAME,...",
	 .fallback = "\"localhost,127.0.0.1,::1\"",
	 .help = "host names and addresses of the server"},
	{.name = "password", .fallback = "\"mtlsd\"", .help = "of the client's PKCS#12 file"},
	{.name = "days",
	 .type = COMMAND_INT,
	 .min = 1,
	 .max = 3650,
	 .fallback = "90",
	 .help = "until certificates and revocation list expire"},
	{0},
};

static const struct local_command local_commands[] = {
	{
		.row = {.name = "check-config",
			.help = "check a configuration file",
			.arguments = local_check_config_arguments},
		.run = local_check_config,
	},
	{
		.row = {.name = "init-dev-pki",
			.help = "make certificates to try the daemon with",
			.arguments = local_init_dev_pki_arguments},
		.run = local_init_dev_pki,
	},
	{
		.row = {.name = "replay",
			.help = "judge signals again that explain --record saved; exit code 10: a leak",
			.arguments = replay_arguments},
		.run = replay_command,
	},
	{
		.row = {.name = "top",
			.help = "what the plugins do and hold, live, the worst first",
			.arguments = top_arguments},
		.run = top_command,
	},
};

json_t *
local_describe(void)
{
	json_t *array = json_array();

	for (size_t i = 0; i < ARRAY_LENGTH(local_commands); i++)
		json_array_append_new(array, command_describe(&local_commands[i].row));
	return array;
}

int
local_run(const char *name, json_t *parameters, const struct local_context *context, struct error *error)
{
	json_t *arguments = NULL;
	const char *argument = NULL;
	int r;

	for (size_t i = 0; i < ARRAY_LENGTH(local_commands); i++) {
		if (strcmp(local_commands[i].row.name, name) != 0)
			continue;
		r = command_check(&local_commands[i].row, parameters, &arguments, &argument, error);
		if (r < 0)
			return r;
		r = local_commands[i].run(arguments, context);
		json_decref(arguments);
		return r;
	}
	return error_set(error, -EINVAL, "there is no such command");
}
