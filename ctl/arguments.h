/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* arguments.h - the words after a command, read by the command's own description into the parameters of its call.
 *
 * Threads: any. Owns: nothing.
 */
#include "error.h"

#include <jansson.h>
#include <stddef.h>

/* description: as command_describe makes it. *ret: the parameters. *ret_output: the file name given for an output
 * argument (points into words), or NULL. -EINVAL with a sentence. */
int arguments_parse(const json_t *description, char *const *words, size_t count, json_t **ret, const char **ret_output,
		    struct error *error);
/* "--min-age" of "min_age"; buffer is returned. */
char *arguments_option(const char *name, char *buffer, size_t size);
/* What help calls the value of an argument: "N", "DURATION", "text|json"; "" for a switch. */
const char *arguments_metavar(const json_t *argument);
