/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* units.h - sizes and durations between numbers and the words people write.
 *
 * Sizes are powers of two (KiB; K, KB and k mean the same). Durations are microseconds and need their unit.
 *
 * Threads: any. Owns: nothing.
 */
#include <stddef.h>
#include <stdint.h>

/* "4096", "64KiB", "1.5G". -EINVAL for other words, -ERANGE past 2^63. */
int units_parse_size(const char *text, uint64_t *ret);
/* "250ms", "10s", "5min", "1h", "7d". A bare number is -EINVAL: it would be guessed wrong by half its readers. */
int units_parse_duration(const char *text, uint64_t *ret);

/* "512B", "12.5KiB", "1.0GiB": short and without a space, so that a column is one word for awk. Returns buffer. */
char *units_format_size(uint64_t bytes, char *buffer, size_t size);
/* Microseconds as "740us", "12.3ms", "4.5s", "3min20s", "5h12min", "8d4h". Returns buffer. */
char *units_format_duration(uint64_t usec, char *buffer, size_t size);
