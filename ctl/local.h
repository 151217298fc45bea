/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* local.h - the commands that are mtlsctl's own work, as rows of the same kind as the daemon's (command.h).
 *
 * Threads: main thread. Owns: nothing.
 */
#include "error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* What the options before the command said. */
struct local_context {
	const char *socket;
	bool json, legend;
	uint64_t timeout; /* microseconds for one reply */
};

/* The descriptions of all local commands, an array. */
json_t *local_describe(void);
/* Runs one by its name. Returns mtlsctl's exit code; -EINVAL with a sentence if the parameters do not fit its row. */
int local_run(const char *name, json_t *parameters, const struct local_context *context, struct error *error);
