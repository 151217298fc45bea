/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* glob.h - the pattern language of access rules.
 *
 * `*` matches any run without the separator, `**` any run, `?` one byte that is not the separator, everything else
 * itself. Separator: '/' for URIs, '.' for DNS, none (0) for subjects. Linear in pattern x text, no recursion.
 *
 * Threads: any. Owns: nothing.
 */
#include <stdbool.h>

bool glob_match(const char *pattern, const char *text, char separator, bool fold_case);
