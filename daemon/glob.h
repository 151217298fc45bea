/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* glob.h - the pattern language of access rules.
 *
 * `*` matches any run without the separator (also the empty one), `**` any run, `?` one byte that is not the separator,
 * everything else itself. Separator: '/' for URIs, '.' for DNS, none (0) for subjects. No recursion, no
 * allocation; time: pattern x text at worst, whatever the pattern.
 *
 * Threads: any. Owns: nothing.
 */
#include <stdbool.h>

enum { GLOB_PATTERN_MAX = 2048 };

/* A pattern with more than GLOB_PATTERN_MAX bytes behind its literal beginning matches nothing. */
bool glob_match(const char *pattern, const char *text, char separator, bool fold_case);
