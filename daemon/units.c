/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "units.h"

#include "cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit sizes[] = {
	{"", 1},
	{"B", 1},
	{"K", UINT64_C(1) << 10},
	{"KB", UINT64_C(1) << 10},
	{"KiB", UINT64_C(1) << 10},
	{"M", UINT64_C(1) << 20},
	{"MB", UINT64_C(1) << 20},
	{"MiB", UINT64_C(1) << 20},
	{"G", UINT64_C(1) << 30},
	{"GB", UINT64_C(1) << 30},
	{"GiB", UINT64_C(1) << 30},
	{"T", UINT64_C(1) << 40},
	{"TB", UINT64_C(1) << 40},
	{"TiB", UINT64_C(1) << 40},
	{NULL, 0},
};

static const struct unit durations[] = {
	{"us", 1},
	{"ms", 1000},
	{"s", 1000000},
	{"sec", 1000000},
	{"m", UINT64_C(60) * 1000000},
	{"min", UINT64_C(60) * 1000000},
	{"h", UINT64_C(3600) * 1000000},
	{"d", UINT64_C(86400) * 1000000},
	{NULL, 0},
};

/* Integer arithmetic with up to three decimals: a double would round sizes people compare to the byte. */
static int
units_parse(const char *text, const struct unit *units, uint64_t *ret)
{
	uint64_t whole = 0, thousandths = 0;
	const char *p = text;

	if (!isdigit((unsigned char) *p))
		return -EINVAL;
	for (; isdigit((unsigned char) *p); p++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t) (*p - '0'), &whole))
			return -ERANGE;
	if (*p == '.') {
		uint64_t scale = 100;

		if (!isdigit((unsigned char) p[1]))
			return -EINVAL;
		for (p++; isdigit((unsigned char) *p); p++, scale /= 10)
			thousandths += (uint64_t) (*p - '0') * scale;
	}
	while (*p == ' ')
		p++;
	for (; units->name; units++) {
		uint64_t value, part;

		if (strcasecmp(p, units->name) != 0)
			continue;
		if (thousandths && units->factor == 1)
			return -EINVAL; /* half a byte */
		if (__builtin_mul_overflow(whole, units->factor, &value))
			return -ERANGE;
		/* thousandths is below 1000 and the largest factor 2^40: no overflow. */
		part = thousandths * units->factor / 1000;
		if (__builtin_add_overflow(value, part, &value) || value > INT64_MAX)
			return -ERANGE;
		*ret = value;
		return 0;
	}
	return -EINVAL;
}

int
units_parse_size(const char *text, uint64_t *ret)
{
	return units_parse(text, sizes, ret);
}

int
units_parse_duration(const char *text, uint64_t *ret)
{
	return units_parse(text, durations, ret);
}

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
