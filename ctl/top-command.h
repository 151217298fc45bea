/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* top-command.h - `mtlsctl top`: reads the daemon again and again and shows what changed.
 *
 * Threads: main thread. Owns: its connection and, while it is live, the terminal (screen.h).
 */
#include "command.h"
#include "local.h"

extern const struct command_argument top_arguments[];
/* Returns mtlsctl's exit code. */
int top_command(const json_t *arguments, const struct local_context *context);
