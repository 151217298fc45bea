/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* target.h - the request target in origin-form: is it unambiguous, and what is its decoded path.
 *
 * A path is decoded exactly once. A percent sign that was itself encoded ("%252f") is data: it decodes to "%2f", which
 * is never decoded again. What could be read in two ways is refused instead of being normalised.
 *
 * Threads: pure. Owns: nothing.
 */
#include "gate-reason.h"

#include <stddef.h>

enum gate_reason target_check(const char *target, size_t length);
/* Decodes the path of a target that passed target_check, up to '?' or the end. path: at least length + 1 bytes. Returns
 * the length of the path; *ret_query points after '?' inside target, or is NULL. */
size_t target_decode(const char *target, size_t length, char *path, const char **ret_query);
