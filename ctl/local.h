/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* local.h - the commands that need no daemon, as rows of the same kind as the daemon's (command.h).
 *
 * Threads: main thread. Owns: nothing.
 */
#include <jansson.h>

/* The descriptions of all local commands, an array. */
json_t *local_describe(void);
/* Runs one by its name and parsed parameters. Returns mtlsctl's exit code, or -1 if there is no such local command. */
int local_run(const char *name, const json_t *parameters);
