/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* place.h - where in the code something is, as it is written everywhere: "auth.c:41", or "auth.so+0x1c2" where lines
 * are not known.
 *
 * Threads: any. Owns: nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PLACE_TEXT = 300 };

/* file: empty if not known. */
static inline const char *
place_write(const char *file, int line, const char *module, uint64_t offset, char ret[static PLACE_TEXT])
{
	const char *slash = strrchr(file, '/');

	if (file[0])
		(void) snprintf(ret, PLACE_TEXT, "%.200s:%d", slash ? slash + 1 : file, line);
	else
		(void) snprintf(ret, PLACE_TEXT, "%.200s+0x%" PRIx64, module, offset);
	return ret;
}
