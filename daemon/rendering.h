/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* rendering.h - a JSON document as text, written piece by piece, so that a thread that only reads gives way in between.
 *
 * Threads: any; the document is the caller's alone meanwhile. Owns: nothing.
 */
#include <jansson.h>
#include <stddef.h>

/* flags: jansson's. end: what follows the document. *ret is NUL-terminated and freed by the caller. -ENOBUFS: it would
 * have more than `most` bytes. */
int rendering_make(const json_t *document, size_t flags, const char *end, size_t most, char **ret, size_t *ret_length);
