/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* units.h - sizes and durations as short words for people. schema-value.h reads what people write.
 *
 * Threads: any. Owns: nothing.
 */
#include <stddef.h>
#include <stdint.h>

/* "512B", "12.5KiB", "1.0GiB": short and without a space, so that a column is one word for awk. Returns buffer. */
char *units_format_size(uint64_t bytes, char *buffer, size_t size);
/* Microseconds as "740us", "12.3ms", "4.5s", "3min20s", "5h12min", "8d4h". Returns buffer. */
char *units_format_duration(uint64_t usec, char *buffer, size_t size);
