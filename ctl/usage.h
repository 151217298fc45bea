/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* usage.h - help texts, printed from the descriptions of commands.
 *
 * Threads: any. Owns: nothing.
 */
#include <jansson.h>
#include <stdio.h>

/* mtlsctl's own options. Ends with a row without name. */
struct usage_option {
	const char *name, *metavar, *help;
};

/* The synopsis, the options and the commands of both arrays. */
void usage_print(FILE *out, const struct usage_option *options, const json_t *local, const json_t *commands);
/* One command with its arguments. */
void usage_print_command(FILE *out, const json_t *command);
