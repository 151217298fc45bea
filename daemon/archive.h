/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* archive.h - a folder of dumps that is bounded by count and bytes: what is written pushes out the oldest.
 *
 * Files are called PLUGIN-INSTANCE-YYYYMMDDThhmmssZ.json, with -2, -3, ... before the suffix where a second has seen
 * more than one, and are readable by the daemon's user alone. Only files so called are ever counted or removed. A file
 * appears whole or not at all.
 *
 * Threads: one at a time for a folder. Owns: nothing.
 */
#include "error.h"

#include <stddef.h>
#include <stdint.h>

struct archive_bounds {
	int64_t count;  /* files at most, at least 1 */
	uint64_t bytes; /* of all of them */
};

/* Makes a file in the folder, and the folder if only its last part is missing. time: CLOCK_REALTIME seconds. ret_name
 * (may be NULL): the file's name without the folder. -EFBIG: larger than all may be together, nothing was written. */
int archive_write(const char *folder, const struct archive_bounds *bounds, const char *plugin, uint64_t instance,
		  uint64_t time, const void *data, size_t length, char *ret_name, size_t size, struct error *error);
