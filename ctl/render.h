/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* render.h - replies as tables and fields, after the daemon's own description of them (command.h, blocks).
 *
 * Knows no command. Words that come from plugins and certificates are shown without control characters.
 *
 * Threads: any. Owns: nothing.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct render_style {
	bool colour; /* a terminal reads it */
	bool legend; /* titles and column heads */
	int64_t now; /* Unix time, for ages */
};

/* blocks: the array of a command's description. */
void render_reply(FILE *out, const json_t *blocks, const json_t *reply, const struct render_style *style);
/* Text with control characters made visible as '?'. */
void render_text(FILE *out, const char *text);
