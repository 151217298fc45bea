/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* glob.h - the pattern language of access rules.
 *
 * `*` matches any run without the separator (also the empty one), `**` any run, `?` one byte that is not the separator,
 * everything else itself. Separator: '/' for URIs, '.' for DNS, none (0) for subjects. No recursion, no
 * allocation. Time: pattern x text; a pattern that has `*` after `**` may cost text x text at worst, which is why names
 * and patterns are bounded (identity.h, config.h).
 *
 * Threads: any. Owns: nothing.
 */
#include <stdbool.h>

bool glob_match(const char *pattern, const char *text, char separator, bool fold_case);
