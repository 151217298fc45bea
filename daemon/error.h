/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* error.h - a failure with its sentence: what went wrong, where, and the cure.
 *
 * Functions return 0 or a negative errno; where the reader of the message is a person they take a `struct error *`
 * (may be NULL) as the last argument and fill it once, at the place that knows most.
 *
 * Threads: an error belongs to its caller. Owns: nothing.
 */
#include "cleanup.h"

struct error {
	int code;       /* negative errno; 0: nothing was set */
	char text[500]; /* one sentence, no newline, no trailing full stop needed */
};

/* Sets *e (if not NULL) unless something was set before, and returns code (a negative errno). */
int error_set(struct error *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts a formatted prefix and ": " before the text that is there. Returns e->code. */
int error_prefix(struct error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Replaces control bytes and what is not UTF-8 by '?': messages quote what files and clients sent, and end on
 * terminals, in the journal and in JSON. error_set and error_prefix do it themselves. */
void error_clean(char *text);
/* Length of the leading part of text that error_clean leaves alone. */
size_t error_clean_span(const char *text);
