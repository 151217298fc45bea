/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "schema-value.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

struct unit {
	const char *name;
	int64_t factor;
	bool is_printed; /* false: only read */
};

/* Largest first, so that formatting finds the shortest form. */
static const struct unit size_units[] = {
	{"TiB", INT64_C(1) << 40, true},
	{"GiB", INT64_C(1) << 30, true},
	{"MiB", INT64_C(1) << 20, true},
	{"KiB", INT64_C(1) << 10, true},
	{"T", INT64_C(1) << 40, false},
	{"G", INT64_C(1) << 30, false},
	{"M", INT64_C(1) << 20, false},
	{"K", INT64_C(1) << 10, false},
	{"B", 1, false},
	{"", 1, true},
};
static const struct unit duration_units[] = {
	{"d", INT64_C(86400000000), true}, {"h", INT64_C(3600000000), true}, {"min", INT64_C(60000000), true},
	{"s", INT64_C(1000000), true},     {"ms", INT64_C(1000), true},      {"us", 1, true},
};

int
schema_value_bool(const char *text, bool *ret)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};

	for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*ret = i % 2 == 1;
			return 0;
		}
	}
	return -EINVAL;
}

/* Digits from *text on, which is moved behind them. */
static int
digits_read(const char **text, int64_t *ret)
{
	const char *p = *text;
	int64_t value = 0;
	bool overflow = false;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		overflow |=
			__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *p - '0', &value);
	*text = p;
	if (overflow)
		return -ERANGE;
	*ret = value;
	return 0;
}

int
schema_value_int(const char *text, int64_t *ret)
{
	bool negative = *text == '-';
	int64_t value;
	int r;

	text += negative;
	r = digits_read(&text, &value);
	if (*text != '\0' || r == -EINVAL)
		return -EINVAL;
	if (r < 0)
		return r;
	*ret = negative ? -value : value;
	return 0;
}

static int
unit_read(const char *text, const struct unit *units, size_t count, int64_t *ret)
{
	int64_t value = 0;
	int r = digits_read(&text, &value);

	if (r == -EINVAL)
		return r;
	while (*text == ' ')
		text++;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(units[i].name, text) != 0)
			continue;
		if (r < 0 || __builtin_mul_overflow(value, units[i].factor, &value))
			return -ERANGE;
		*ret = value;
		return 0;
	}
	return -EINVAL;
}

int
schema_value_size(const char *text, int64_t *ret)
{
	return unit_read(text, size_units, ARRAY_LENGTH(size_units), ret);
}

int
schema_value_duration(const char *text, int64_t *ret)
{
	return unit_read(text, duration_units, ARRAY_LENGTH(duration_units), ret);
}

int
schema_value_decimal(const char *text, double *ret)
{
	size_t whole = strspn(text, "0123456789");
	size_t part = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
	double value = 0, weight = 1;

	if (whole + part == 0 || text[whole + (text[whole] == '.') + part] != '\0')
		return -EINVAL;
	if (whole > 15 || part > 15)
		return -ERANGE;
	for (size_t i = 0; i < whole; i++)
		value = value * 10 + (text[i] - '0');
	for (size_t i = 0; i < part; i++)
		value += (text[whole + 1 + i] - '0') * (weight /= 10);
	*ret = value;
	return 0;
}

int
schema_value_mode(const char *text, unsigned *ret)
{
	unsigned value = 0;
	size_t length = strspn(text, "01234567");

	if (length < 3 || text[length] != '\0')
		return -EINVAL;
	if (length > 5)
		return -ERANGE;
	for (size_t i = 0; i < length; i++)
		value = value * 8 + (unsigned) (text[i] - '0');
	if (value > 0777)
		return -ERANGE;
	*ret = value;
	return 0;
}

int
schema_value_choice(const char *text, const char *choices)
{
	size_t length = strlen(text);
	int index = 0;

	for (const char *p = choices; *p; index++) {
		size_t n = strcspn(p, "|");

		if (n == length && memcmp(p, text, n) == 0)
			return index;
		p += n + (p[n] == '|');
	}
	return -EINVAL;
}

void
schema_value_format(enum schema_type type, int64_t value, char *text, size_t size)
{
	const struct unit *units = type == SCHEMA_DURATION ? duration_units : size_units;
	size_t count = type == SCHEMA_DURATION ? ARRAY_LENGTH(duration_units) : ARRAY_LENGTH(size_units);

	if (type == SCHEMA_DECIMAL) {
		(void) snprintf(text, size, "%g", (double) value / 1000);
		return;
	}
	if (type != SCHEMA_SIZE && type != SCHEMA_DURATION) {
		(void) snprintf(text, size, "%" PRId64, value);
		return;
	}
	if (value == 0) {
		(void) snprintf(text, size, type == SCHEMA_DURATION ? "0s" : "0");
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (units[i].is_printed && value % units[i].factor == 0) {
			(void) snprintf(text, size, "%" PRId64 "%s", value / units[i].factor, units[i].name);
			return;
		}
	}
}

void
schema_value_range(const struct schema_row *row, char *text, size_t size)
{
	char min[32], max[32];

	schema_value_format(row->type, row->min, min, sizeof(min));
	schema_value_format(row->type, row->max, max, sizeof(max));
	if (row->min == 0 && row->max == 0)
		text[0] = '\0';
	else if (row->max == INT64_MAX)
		(void) snprintf(text, size, " of at least %s", min);
	else
		(void) snprintf(text, size, " from %s to %s", min, max);
}

void
schema_value_choices(const char *choices, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (const char *p = choices; *p && used < size;) {
		size_t n = strcspn(p, "|");
		bool is_last = p[n] == '\0';
		const char *joint = p == choices ? "" : is_last ? " or " : ", ";

		used += (size_t) snprintf(text + used, size - used, "%s%.*s", joint, (int) n, p);
		p += n + !is_last;
	}
}

void
schema_value_describe(const struct schema_row *row, char *text, size_t size)
{
	static const char *const kinds[] = {
		[SCHEMA_BOOL] = "true or false",
		[SCHEMA_INT] = "a whole number",
		[SCHEMA_SIZE] = "a size such as 4096, 16KiB or 64MiB",
		[SCHEMA_DURATION] = "a duration such as 250ms, 10s or 5min",
		[SCHEMA_STRING] = "a word or text",
		[SCHEMA_PATH] = "a path",
		[SCHEMA_MODE] = "an octal file mode such as 0660",
		[SCHEMA_CHOICE] = "one of ",
		[SCHEMA_STRINGS] = "a word or a list of them",
		[SCHEMA_DECIMAL] = "a number",
		[SCHEMA_FLAGS] = "none or some of ",
		[SCHEMA_GROUP] = "a mapping (\"key: value\" lines, indented)",
		[SCHEMA_LIST] = "a list of mappings (each begins with \"- \")",
		[SCHEMA_ANY] = "a mapping",
	};
	char rest[200] = "";

	if ((row->type == SCHEMA_CHOICE || row->type == SCHEMA_STRINGS || row->type == SCHEMA_FLAGS) && row->choices) {
		schema_value_choices(row->choices, rest, sizeof(rest));
		(void) snprintf(text, size, "%s%s%s", kinds[row->type], row->type == SCHEMA_STRINGS ? ": " : "", rest);
		return;
	}
	if (row->type == SCHEMA_INT || row->type == SCHEMA_SIZE || row->type == SCHEMA_DURATION ||
	    row->type == SCHEMA_DECIMAL)
		schema_value_range(row, rest, sizeof(rest));
	(void) snprintf(text, size, "%s%s", kinds[row->type], rest);
}
