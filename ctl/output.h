/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* output.h - a file to write to that is there whole or not at all: until output_keep, what lay there lies there.
 *
 * It has no name until it is kept, so whatever ends mtlsctl leaves nothing behind. What is no ordinary file (a pipe, a
 * terminal), and what lies where no such file can be made, is written as it is.
 *
 * Threads: one an output. Owns: the descriptor.
 */
#include "error.h"

struct output;

int output_open(const char *path, struct output **ret, struct error *error);
/* To write to. */
int output_descriptor(const struct output *output);
/* What was written takes the place of what was there. */
int output_keep(struct output *output, struct error *error);
void output_free(struct output **output);
