/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* schema-reader.h - what a reading keeps: where the walk is and which mistakes it met; for schema.c, and for who
 * reads a part of a file only.
 *
 * Threads: a reader belongs to its caller. Owns: the texts of mistakes.
 */
#include "schema.h"

/* Go one step down ("plugins", "plugins[0]") and return what schema_reader_leave goes back to. */
size_t schema_reader_enter_key(struct schema_reader *reader, const char *key);
size_t schema_reader_enter_index(struct schema_reader *reader, size_t index);
void schema_reader_leave(struct schema_reader *reader, size_t length);
/* "plugins[0].memory"; "" at the top. */
const char *schema_reader_path(const struct schema_reader *reader);
/* The file's folder, absolute. */
const char *schema_reader_folder(const struct schema_reader *reader);
/* Mistakes met, also those beyond what is kept. */
size_t schema_reader_total(const struct schema_reader *reader);
/* True if a mistake could not be kept for want of memory. */
bool schema_reader_is_short(const struct schema_reader *reader);
