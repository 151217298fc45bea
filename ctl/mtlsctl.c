/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mtlsctl - the operator's tool of mtlsd. It knows no command of the daemon: it asks for their descriptions, and reads
 * arguments, prints help and shows replies after them. */
#include "arguments.h"
#include "client.h"
#include "local.h"
#include "output.h"
#include "render.h"
#include "schema-value.h"
#include "schema.h"
#include "usage.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum mtlsctl_exit {
	MTLSCTL_OK = 0,
	MTLSCTL_FAILED = 1,
	MTLSCTL_USAGE = 2,
	MTLSCTL_UNREACHABLE = 3,
	MTLSCTL_NO_SUCH_OBJECT = 4,
	MTLSCTL_DENIED = 5,
	MTLSCTL_TIMEOUT = 6,
	MTLSCTL_LEAK = 10,
};

enum {
	MTLSCTL_NAMES_MAX = 128,
	MTLSCTL_QUICK = 30 * 1000 * 1000, /* microseconds a command that is no job may take */
};

static const struct usage_option mtlsctl_options[] = {
	{"--socket", "PATH", "control socket (default: $MTLSCTL_SOCKET, or " MTLSD_CONTROL_SOCKET ")"},
	{"--json", "", "print the reply as JSON"},
	{"--no-legend", "", "tables without heads and titles"},
	{"--timeout", "DURATION", "wait no longer for the reply (jobs go on in the daemon)"},
	{"--help", "", "this help, or a command's"},
	{"--version", "", "mtlsctl's version"},
	{"--print-commands", "", "mtlsctl's own options and commands as JSON"},
	{NULL, NULL, NULL},
};

static const struct {
	const char *error;
	enum mtlsctl_exit code;
} mtlsctl_errors[] = {
	{"io.mtlsd.Control.NoSuchPlugin", MTLSCTL_NO_SUCH_OBJECT},
	{"io.mtlsd.Control.InvalidArgument", MTLSCTL_USAGE},
	{"io.mtlsd.Control.PermissionDenied", MTLSCTL_DENIED},
	{"io.mtlsd.Control.TimedOut", MTLSCTL_TIMEOUT},
	{"org.varlink.service.MethodNotFound", MTLSCTL_USAGE},
	{"org.varlink.service.InvalidParameter", MTLSCTL_USAGE},
};

struct mtlsctl {
	const char *socket;
	bool json, legend, help, version, print;
	bool spool;      /* what the daemon wrote is shown instead of its reply */
	int64_t timeout; /* microseconds; 0: none was given */
	char **words;    /* what is not one of our own options: the command and its arguments */
	size_t word_count;
	json_t *local, *commands; /* descriptions; commands is NULL without a daemon */
	struct client *client;
};

static enum mtlsctl_exit
mtlsctl_complain(enum mtlsctl_exit code, const char *text)
{
	fputs("mtlsctl: ", stderr);
	render_text(stderr, text);
	fputc('\n', stderr);
	return code;
}

/* --- our own options ------------------------------------------------------------------------------------- */

static int
mtlsctl_take_option(struct mtlsctl *self, const char *name, const char *value, struct error *error)
{
	if (strcmp(name, "--socket") == 0)
		self->socket = value;
	else if (strcmp(name, "--json") == 0)
		self->json = true;
	else if (strcmp(name, "--no-legend") == 0)
		self->legend = false;
	else if (strcmp(name, "--help") == 0)
		self->help = true;
	else if (strcmp(name, "--version") == 0)
		self->version = true;
	else if (strcmp(name, "--print-commands") == 0)
		self->print = true;
	else if (schema_value_duration(value, &self->timeout) < 0 || self->timeout == 0)
		return error_set(error, -EINVAL, "--timeout: \"%.60s\" is not a duration such as 500ms, 10s or 5min",
				 value);
	return 0;
}

static const struct usage_option *
mtlsctl_find_option(const char *word, const char **ret_value)
{
	for (const struct usage_option *o = mtlsctl_options; o->name; o++) {
		size_t length = strlen(o->name);

		if (strncmp(word, o->name, length) != 0 || (word[length] && word[length] != '='))
			continue;
		*ret_value = word[length] ? word + length + 1 : NULL;
		return o;
	}
	*ret_value = NULL;
	return strcmp(word, "-h") == 0 ? mtlsctl_find_option("--help", ret_value) : NULL;
}

/* Our options may stand before or after the command; everything else is kept in order. */
static int
mtlsctl_read_options(struct mtlsctl *self, int argc, char **argv, struct error *error)
{
	bool options = true;

	for (int i = 1; i < argc; i++) {
		const char *value = NULL;
		const struct usage_option *option = options ? mtlsctl_find_option(argv[i], &value) : NULL;
		int r;

		if (!option) {
			options = options && strcmp(argv[i], "--") != 0;
			self->words[self->word_count++] = argv[i];
			continue;
		}
		if (*option->metavar && !value) {
			if (i + 1 == argc)
				return error_set(error, -EINVAL, "%s needs a value: %s", option->name, option->metavar);
			value = argv[++i];
		} else if (!*option->metavar && value) {
			return error_set(error, -EINVAL, "%s takes no value", option->name);
		}
		r = mtlsctl_take_option(self, option->name, value, error);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- the daemon ------------------------------------------------------------------------------------------ */

/* Connects and fetches the descriptions. */
static int
mtlsctl_reach(struct mtlsctl *self, struct error *error)
{
	CLEANUP(client_reply_clear) struct client_reply reply = {0};
	uint64_t timeout = self->timeout ? (uint64_t) self->timeout : MTLSCTL_QUICK;
	int r = client_connect(self->socket, timeout, &self->client);

	if (r == 0)
		r = client_call(self->client, "io.mtlsd.Control.Commands", NULL, false, -1, timeout, &reply);
	if (r == 0 && (reply.error || !json_is_array(json_object_get(reply.parameters, "commands"))))
		r = -EBADMSG;
	if (r < 0) {
		client_explain(self->socket, r, error);
		return r;
	}
	self->commands = json_incref(json_object_get(reply.parameters, "commands"));
	return 0;
}

static const json_t *
mtlsctl_find(const json_t *commands, const char *name)
{
	const json_t *command;
	size_t i;

	json_array_foreach(commands, i, command) {
		const char *own = json_string_value(json_object_get(command, "name"));

		if (own && strcmp(own, name) == 0)
			return command;
	}
	return NULL;
}

static enum mtlsctl_exit
mtlsctl_refuse_unknown(const struct mtlsctl *self, const char *name)
{
	const char *names[MTLSCTL_NAMES_MAX + 1] = {NULL}, *near;
	const json_t *lists[] = {self->local, self->commands}, *command;
	struct error error = {0};
	size_t i, count = 0;

	for (size_t list = 0; list < ARRAY_LENGTH(lists); list++) {
		json_array_foreach(lists[list], i, command) {
			const char *own = json_string_value(json_object_get(command, "name"));

			if (own && count < MTLSCTL_NAMES_MAX)
				names[count++] = own;
		}
	}
	near = schema_nearest(name, names);
	if (near)
		error_set(&error, -EINVAL, "unknown command \"%.60s\"; did you mean \"%s\"?", name, near);
	else
		error_set(&error, -EINVAL, "unknown command \"%.60s\"; mtlsctl --help lists them", name);
	return mtlsctl_complain(MTLSCTL_USAGE, error.text);
}

/* --- showing --------------------------------------------------------------------------------------------- */

static void
mtlsctl_print_json(FILE *out, const json_t *value)
{
	(void) json_dumpf(value, out, JSON_INDENT(2));
	fputc('\n', out);
}

static enum mtlsctl_exit
mtlsctl_show_error(const struct mtlsctl *self, const struct client_reply *reply)
{
	const char *message = json_string_value(json_object_get(reply->parameters, "message"));
	const json_t *mistakes = json_object_get(reply->parameters, "mistakes"), *line;
	enum mtlsctl_exit code = MTLSCTL_FAILED;
	json_t *whole;
	size_t i;

	for (i = 0; i < ARRAY_LENGTH(mtlsctl_errors); i++)
		if (strcmp(reply->error, mtlsctl_errors[i].error) == 0)
			code = mtlsctl_errors[i].code;
	if (self->json) {
		whole = json_pack("{s:s, s:O}", "error", reply->error, "parameters", reply->parameters);
		mtlsctl_print_json(stdout, whole);
		json_decref(whole);
	}
	mtlsctl_complain(code, message ? message : reply->error);
	json_array_foreach(mistakes, i, line) {
		/* The message may tell the first. */
		if (json_is_string(line) && !(message && strstr(message, json_string_value(line)))) {
			render_text(stderr, json_string_value(line));
			fputc('\n', stderr);
		}
	}
	return code;
}

/* To standard output, or to the file that was opened if the daemon left it to us. */
static enum mtlsctl_exit
mtlsctl_show(const struct mtlsctl *self, const json_t *command, const json_t *reply, int output)
{
	bool ours = output >= 0 && !json_object_get(reply, "written");
	FILE *out = ours ? fdopen(dup(output), "w") : stdout;
	struct render_style style = {
		.colour = !ours && isatty(STDOUT_FILENO) && !getenv("NO_COLOR"),
		.legend = self->legend,
		.now = time(NULL),
	};
	bool written;

	if (!out)
		return mtlsctl_complain(MTLSCTL_FAILED, strerror(errno));
	if (self->json)
		mtlsctl_print_json(out, reply);
	else
		render_reply(out, json_object_get(command, "blocks"), reply, &style);
	written = fflush(out) == 0 && !ferror(out);
	if (ours)
		written = fclose(out) == 0 && written;
	if (!written)
		return mtlsctl_complain(MTLSCTL_FAILED, "the output could not be written whole");
	/* A command that judges something says so in its exit code. */
	if (json_is_true(json_object_get(reply, "leak")))
		return MTLSCTL_LEAK;
	return json_is_false(json_object_get(reply, "valid")) ? MTLSCTL_FAILED : MTLSCTL_OK;
}

/* --- calling --------------------------------------------------------------------------------------------- */

static enum mtlsctl_exit
mtlsctl_give_up(const struct mtlsctl *self, int code, const struct client_reply *reply)
{
	struct error error = {0};

	if (code != -ETIMEDOUT) {
		client_explain(self->socket, code, &error);
		return mtlsctl_complain(MTLSCTL_UNREACHABLE, error.text);
	}
	if (reply->job)
		error_set(&error, code, "no reply in time; job %" PRIi64 " goes on in the daemon, see mtlsctl jobs",
			  reply->job);
	else
		error_set(&error, code, "no reply in time");
	return mtlsctl_complain(MTLSCTL_TIMEOUT, error.text);
}

/* A format that is written, not shown, and no file for it: the daemon writes to memory of ours, and that goes to
 * standard output, whatever that is. */
static int
mtlsctl_open_spool(struct mtlsctl *self, const json_t *command, json_t *parameters)
{
	const char *format = json_string_value(json_object_get(parameters, "format"));
	const json_t *argument;
	size_t i;

	if (!format || strcmp(format, "text") == 0 || strcmp(format, "json") == 0)
		return -1;
	json_array_foreach(json_object_get(command, "arguments"), i, argument) {
		const char *type = json_string_value(json_object_get(argument, "type"));
		const char *name = json_string_value(json_object_get(argument, "name"));

		if (!type || !name || strcmp(type, "output") != 0)
			continue;
		json_object_set_new(parameters, name, json_true());
		self->spool = true;
		return memfd_create("mtlsctl", MFD_CLOEXEC);
	}
	return -1;
}

static enum mtlsctl_exit
mtlsctl_copy_spool(int spool)
{
	bool terminal = isatty(STDOUT_FILENO);
	char buffer[65536];
	ssize_t n;

	if (lseek(spool, 0, SEEK_SET) < 0)
		return mtlsctl_complain(MTLSCTL_FAILED, strerror(errno));
	while ((n = read(spool, buffer, sizeof(buffer))) > 0) {
		if (terminal && memchr(buffer, '\0', (size_t) n))
			return mtlsctl_complain(MTLSCTL_USAGE, "this format is not for a terminal: redirect "
							       "the output, or name a file for it");
		if (fwrite(buffer, 1, (size_t) n, stdout) != (size_t) n)
			break;
	}
	if (n != 0 || fflush(stdout) != 0)
		return mtlsctl_complain(MTLSCTL_FAILED, "the output could not be written whole");
	return MTLSCTL_OK;
}

static enum mtlsctl_exit
mtlsctl_call(struct mtlsctl *self, const json_t *command, json_t *parameters, int output)
{
	CLEANUP(client_reply_clear) struct client_reply reply = {0};
	const char *name = json_string_value(json_object_get(command, "method"));
	const char *format = json_string_value(json_object_get(parameters, "format"));
	bool slow = json_is_true(json_object_get(command, "slow"));
	char method[128];
	int r;

	/* "json" as a command's format, without a file to write it to, is what --json is. */
	if (format && strcmp(format, "json") == 0 && output < 0)
		self->json = true;
	snprintf(method, sizeof(method), "io.mtlsd.Control.%s", name ? name : "");
	r = client_call(self->client, method, parameters, slow, output,
			self->timeout ? (uint64_t) self->timeout
			: slow        ? 0
				      : MTLSCTL_QUICK,
			&reply);
	if (r < 0)
		return mtlsctl_give_up(self, r, &reply);
	if (reply.error)
		return mtlsctl_show_error(self, &reply);
	return self->spool ? MTLSCTL_OK : mtlsctl_show(self, command, reply.parameters, output);
}

static enum mtlsctl_exit
mtlsctl_command(struct mtlsctl *self, const json_t *command, bool local)
{
	CLEANUP(output_free) struct output *output = NULL;
	CLEANUP_CLOSE int spool = -1;
	const char *file = NULL;
	json_t *parameters = NULL;
	struct error error = {0};
	enum mtlsctl_exit code;
	int r;

	if (self->help) {
		usage_print_command(stdout, command);
		return MTLSCTL_OK;
	}
	if (arguments_parse(command, self->words + 1, self->word_count - 1, &parameters, &file, &error) < 0)
		return mtlsctl_complain(MTLSCTL_USAGE, error.text);
	if (file && output_open(file, &output, &error) < 0) {
		json_decref(parameters);
		return mtlsctl_complain(MTLSCTL_FAILED, error.text);
	}
	if (local) {
		struct local_context context = {
			.socket = self->socket,
			.json = self->json,
			.legend = self->legend,
			.timeout = self->timeout ? (uint64_t) self->timeout : MTLSCTL_QUICK,
		};

		r = local_run(self->words[0], parameters, &context, &error);
		json_decref(parameters);
		return r < 0 ? mtlsctl_complain(MTLSCTL_USAGE, error.text) : (enum mtlsctl_exit) r;
	}
	if (output) {
		code = mtlsctl_call(self, command, parameters, output_descriptor(output));
		if ((code == MTLSCTL_OK || code == MTLSCTL_LEAK) && output_keep(output, &error) < 0)
			return mtlsctl_complain(MTLSCTL_FAILED, error.text);
		return code;
	}
	spool = mtlsctl_open_spool(self, command, parameters);
	code = mtlsctl_call(self, command, parameters, spool);
	return code == MTLSCTL_OK && spool >= 0 ? mtlsctl_copy_spool(spool) : code;
}

static enum mtlsctl_exit
mtlsctl_help(struct mtlsctl *self)
{
	struct error error = {0};
	int r = mtlsctl_reach(self, &error);

	usage_print(stdout, mtlsctl_options, self->local, self->commands);
	if (r < 0) {
		fputs("\nThe daemon's own commands are listed when it can be asked; now ", stdout);
		render_text(stdout, error.text);
		fputc('\n', stdout);
	}
	return MTLSCTL_OK;
}

/* The manual and shell completion are printed from this. */
static enum mtlsctl_exit
mtlsctl_print_commands(const struct mtlsctl *self)
{
	json_t *options = json_array(), *whole;

	for (const struct usage_option *o = mtlsctl_options; o->name; o++)
		json_array_append_new(
			options, json_pack("{s:s, s:s, s:s}", "name", o->name, "metavar", o->metavar, "help", o->help));
	whole = json_pack("{s:o, s:O}", "options", options, "commands", self->local);
	mtlsctl_print_json(stdout, whole);
	json_decref(whole);
	return MTLSCTL_OK;
}

static enum mtlsctl_exit
mtlsctl_run(struct mtlsctl *self)
{
	struct error error = {0};
	const json_t *command;

	if (self->print)
		return mtlsctl_print_commands(self);
	if (self->version) {
		puts("mtlsctl " PACKAGE_VERSION);
		return MTLSCTL_OK;
	}
	if (self->word_count == 0 && self->help)
		return mtlsctl_help(self);
	if (self->word_count == 0) {
		mtlsctl_complain(MTLSCTL_USAGE, "which command? mtlsctl --help lists them");
		return MTLSCTL_USAGE;
	}
	if (self->words[0][0] == '-') {
		error_set(&error, -EINVAL, "unknown option %.60s before the command; mtlsctl --help lists ours",
			  self->words[0]);
		return mtlsctl_complain(MTLSCTL_USAGE, error.text);
	}
	command = mtlsctl_find(self->local, self->words[0]);
	if (command)
		return mtlsctl_command(self, command, true);
	if (mtlsctl_reach(self, &error) < 0)
		return mtlsctl_complain(MTLSCTL_UNREACHABLE, error.text);
	command = mtlsctl_find(self->commands, self->words[0]);
	if (!command)
		return mtlsctl_refuse_unknown(self, self->words[0]);
	return mtlsctl_command(self, command, false);
}

int
main(int argc, char **argv)
{
	const char *socket = getenv("MTLSCTL_SOCKET");
	struct mtlsctl self = {
		.socket = socket && *socket ? socket : MTLSD_CONTROL_SOCKET,
		.legend = true,
		.words = calloc((size_t) argc + 1, sizeof(char *)),
		.local = local_describe(),
	};
	struct error error = {0};
	int code;

	if (!self.words || !self.local)
		code = mtlsctl_complain(MTLSCTL_FAILED, "out of memory");
	else if (mtlsctl_read_options(&self, argc, argv, &error) < 0)
		code = mtlsctl_complain(MTLSCTL_USAGE, error.text);
	else
		code = mtlsctl_run(&self);
	client_free(&self.client);
	json_decref(self.commands);
	json_decref(self.local);
	free(self.words);
	return code;
}
