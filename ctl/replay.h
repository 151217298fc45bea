/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* replay.h - `mtlsctl replay`: judges recorded signals again, without a daemon, and explains the verdict.
 *
 * Threads: main thread. Owns: nothing.
 */
#include "command.h"
#include "local.h"

extern const struct command_argument replay_arguments[];
/* Returns mtlsctl's exit code. */
int replay_command(const json_t *arguments, const struct local_context *context);
