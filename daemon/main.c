/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "command.h"
#include "config.h"
#include "crash.h"
#include "event.h"
#include "server.h"
#include "supervisor.h"
#include "tls.h"

#include "heap.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static void
print_help(void)
{
	puts("mtlsd - serves mutual-TLS endpoints through supervised plugins\n"
	     "\n"
	     "  mtlsd [--config FILE]              run in the foreground (default " MTLSD_CONFIG_FILE ")\n"
	     "  mtlsd --check-config [FILE]        report every mistake with its place; start nothing\n"
	     "  mtlsd --print-config-reference     every option with type, range, default and meaning\n"
	     "  mtlsd --print-catalog              the journal's message catalog (etc/mtlsd.catalog)\n"
	     "  mtlsd --print-commands             what mtlsctl can ask of the daemon, as JSON\n"
	     "  mtlsd --version\n"
	     "  mtlsd --help\n"
	     "\n"
	     "Signals: SIGTERM drains and ends, SIGHUP reads the configuration again.\n"
	     "Operate it with mtlsctl. Exit codes: 0 ok, 1 failed, 2 usage.");
}

/* The manual and shell completion are printed from this. */
static int
print_commands(void)
{
	json_t *array = json_array();

	for (const struct command *c = command_table; c->help != NULL; c++)
		if (c->name != NULL)
			json_array_append_new(array, command_describe(c));
	int r = json_dumpf(array, stdout, JSON_INDENT(1));
	json_decref(array);
	return r < 0 || putchar('\n') == EOF ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Certificates, keys and lists as the daemon would load them. */
static int
check_credentials(const struct config *config)
{
	int result = 0;

	for (size_t i = 0; i < config->tls_count; i++) {
		const struct config_tls *tls = &config->tls[i];
		CLEANUP(tls_set_unref) struct tls_set *set = NULL;
		struct error why = {0};
		if (tls_set_load(tls, NULL, &set, &why) == 0)
			continue;
		fprintf(stderr, "%s:%d:%d: %s\n", config->file, tls->node->line, tls->node->column, why.text);
		result = -EINVAL;
	}
	return result;
}

static void
print_mistakes(const char *mistakes, int code)
{
	if (mistakes == NULL)
		mistakes = strerror(-code);
	fputs(mistakes, stderr);
	if (mistakes[0] == '\0' || mistakes[strlen(mistakes) - 1] != '\n')
		fputc('\n', stderr);
}

static int
check_config(const char *path)
{
	CLEANUP(config_unref) struct config *config = NULL;
	CLEANUP_FREE char *mistakes = NULL;

	int r = config_load(path, &config, &mistakes);
	if (r < 0) {
		print_mistakes(mistakes, r);
		return EXIT_FAILURE;
	}
	r = heap_reserve(0, 0); /* keys lie in a heap, too */
	int credentials = r == 0 ? check_credentials(config) : 0;
	if (r == 0)
		r = supervisor_check(config, &mistakes);
	if (r < 0)
		print_mistakes(mistakes, r);
	if (r < 0 || credentials < 0)
		return EXIT_FAILURE;
	printf("%s: ok\n", path);
	return EXIT_SUCCESS;
}

static int
run(const char *path)
{
	CLEANUP(server_free) struct server *server = NULL;
	struct error why = {0};

	log_open();
	if (crash_setup() < 0)
		event_log(EVENT_DEGRADED, NULL, "fatal signals will not be reported: %m");
	if (server_new(path, &server, &why) < 0) {
		log_last_words();
		event_log(EVENT_FAILED, NULL, "%s", why.text[0] != '\0' ? why.text : "cannot start");
		return EXIT_FAILURE;
	}
	return server_run(server);
}

int
main(int argc, char **argv)
{
	enum { OPTION_CHECK = 256, OPTION_REFERENCE, OPTION_CATALOG, OPTION_COMMANDS, OPTION_VERSION };
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check-config", no_argument, NULL, OPTION_CHECK},
		{"print-config-reference", no_argument, NULL, OPTION_REFERENCE},
		{"print-catalog", no_argument, NULL, OPTION_CATALOG},
		{"print-commands", no_argument, NULL, OPTION_COMMANDS},
		{"version", no_argument, NULL, OPTION_VERSION},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *path = NULL;
	bool check = false;

	for (int c; (c = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case OPTION_CHECK:
			check = true;
			break;
		case OPTION_REFERENCE:
			config_print_reference(stdout);
			return EXIT_SUCCESS;
		case OPTION_CATALOG:
			event_print_catalog(stdout);
			return EXIT_SUCCESS;
		case OPTION_COMMANDS:
			return print_commands();
		case OPTION_VERSION:
			puts("mtlsd " PACKAGE_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			print_help();
			return EXIT_SUCCESS;
		default:
			fputs("Try: mtlsd --help\n", stderr);
			return 2;
		}
	}
	if (check && optind < argc)
		path = argv[optind++];
	if (optind < argc) {
		fprintf(stderr, "mtlsd: unexpected argument \"%s\"; try: mtlsd --help\n", argv[optind]);
		return 2;
	}
	if (path == NULL)
		path = MTLSD_CONFIG_FILE;
	return check ? check_config(path) : run(path);
}
