/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "units.h"

#include "cleanup.h"

#include <inttypes.h>
#include <stdio.h>

char *
units_format_size(uint64_t bytes, char *buffer, size_t size)
{
	static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double) bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(buffer, size, "%" PRIu64 "B", bytes);
		return buffer;
	}
	/* 1023.95 would print as "1024.0". */
	for (; value >= 1023.95 && i + 1 < ARRAY_LENGTH(names); i++)
		value /= 1024;
	snprintf(buffer, size, "%.1f%s", value, names[i]);
	return buffer;
}

char *
units_format_duration(uint64_t usec, char *buffer, size_t size)
{
	uint64_t seconds = usec / 1000000;

	if (usec < 1000)
		snprintf(buffer, size, "%" PRIu64 "us", usec);
	else if (usec < 1000000)
		snprintf(buffer, size, "%.1fms", (double) usec / 1000);
	else if (seconds < 60)
		/* Tenths are cut, not rounded: 59.96 s must not print as "60.0s". */
		snprintf(buffer, size, "%" PRIu64 ".%" PRIu64 "s", seconds, usec % 1000000 / 100000);
	else if (seconds < 3600)
		snprintf(buffer, size, "%" PRIu64 "min%" PRIu64 "s", seconds / 60, seconds % 60);
	else if (seconds < 86400)
		snprintf(buffer, size, "%" PRIu64 "h%" PRIu64 "min", seconds / 3600, seconds % 3600 / 60);
	else
		snprintf(buffer, size, "%" PRIu64 "d%" PRIu64 "h", seconds / 86400, seconds % 86400 / 3600);
	return buffer;
}
