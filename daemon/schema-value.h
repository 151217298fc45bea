/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* schema-value.h - numbers with units, as text and back: for the schema and for mtlsctl's arguments.
 *
 * Threads: any. Owns: nothing.
 */
#include "schema.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All return 0, -EINVAL for what is not such a value, -ERANGE for what does not fit. */
int schema_value_bool(const char *text, bool *ret);
int schema_value_int(const char *text, int64_t *ret);
int schema_value_size(const char *text, int64_t *ret);
int schema_value_duration(const char *text, int64_t *ret);
/* "0.8", "16", ".25": no sign, no exponent, no locale. */
int schema_value_decimal(const char *text, double *ret);
int schema_value_mode(const char *text, unsigned *ret);
/* Index of text in "a|b|c", or -EINVAL. */
int schema_value_choice(const char *text, const char *choices);

/* The shortest exact form: "64MiB", "250ms". Plain types: the number. */
void schema_value_format(enum schema_type type, int64_t value, char *text, size_t size);
/* " from 1 to 10", " of at least 1", or "" without bounds. */
void schema_value_range(const struct schema_row *row, char *text, size_t size);
/* "off|soft|required" as "off, soft or required". */
void schema_value_choices(const char *choices, char *text, size_t size);
/* What to write: "a whole number from 1 to 10", "a duration such as 250ms, 10s or 5min", ... */
void schema_value_describe(const struct schema_row *row, char *text, size_t size);
