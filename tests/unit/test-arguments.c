/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words of a command line, read by a command's description. */
#include "arguments.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static json_t *description;

static int
setup(void **state)
{
	(void) state;
	description = json_loads(
		"{\"name\":\"evict\",\"arguments\":["
		"{\"name\":\"plugin\",\"type\":\"string\",\"positional\":true,\"required\":true,\"help\":\"which\"},"
		"{\"name\":\"level\",\"type\":\"choice\",\"choices\":\"a|b\",\"positional\":true,\"help\":\"\"},"
		"{\"name\":\"min_age\",\"type\":\"int\",\"metavar\":\"REQUESTS\",\"help\":\"\"},"
		"{\"name\":\"bytes\",\"type\":\"size\",\"help\":\"\"},"
		"{\"name\":\"wait\",\"type\":\"duration\",\"help\":\"\"},"
		"{\"name\":\"dry_run\",\"type\":\"bool\",\"help\":\"\"},"
		"{\"name\":\"output\",\"type\":\"output\",\"help\":\"\"}]}",
		0, NULL);
	assert_non_null(description);
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	json_decref(description);
	return 0;
}

/* line: words parted by blanks. */
static int
parse(const char *line, json_t **ret, const char **ret_output, char *copy, size_t size, struct error *error)
{
	char *words[16], *save = NULL;
	size_t count = 0;

	snprintf(copy, size, "%s", line);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		words[count++] = word;
	return arguments_parse(description, words, count, ret, ret_output, error);
}

static void
test_good_lines(void **state)
{
	static const struct {
		const char *line, *parameters, *output;
	} rows[] = {
		{"leak", "{\"plugin\":\"leak\"}", NULL},
		{"leak b", "{\"level\":\"b\",\"plugin\":\"leak\"}", NULL},
		{"--dry-run leak", "{\"dry_run\":true,\"plugin\":\"leak\"}", NULL},
		{"leak --min-age 7", "{\"min_age\":7,\"plugin\":\"leak\"}", NULL},
		{"--min-age=7 leak", "{\"min_age\":7,\"plugin\":\"leak\"}", NULL},
		{"leak --bytes 64KiB --wait 250ms", "{\"bytes\":65536,\"plugin\":\"leak\",\"wait\":250000}", NULL},
		{"leak --bytes 4096", "{\"bytes\":4096,\"plugin\":\"leak\"}", NULL},
		{"leak --output /tmp/file", "{\"output\":true,\"plugin\":\"leak\"}", "/tmp/file"},
		{"leak --output=-", "{\"output\":true,\"plugin\":\"leak\"}", "-"},
		{"-- --odd", "{\"plugin\":\"--odd\"}", NULL},
		{"leak --min-age -3", "{\"min_age\":-3,\"plugin\":\"leak\"}", NULL},
		{"-", "{\"plugin\":\"-\"}", NULL},
	};
	char copy[200];

	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		CLEANUP_FREE char *text = NULL;
		const char *output = NULL;
		json_t *parameters = NULL;
		struct error error = {0};

		if (parse(rows[i].line, &parameters, &output, copy, sizeof(copy), &error) < 0)
			fail_msg("%s: %s", rows[i].line, error.text);
		text = json_dumps(parameters, JSON_COMPACT | JSON_SORT_KEYS);
		assert_string_equal(text, rows[i].parameters);
		assert_true(!output == !rows[i].output);
		if (output)
			assert_string_equal(output, rows[i].output);
		json_decref(parameters);
	}
}

static void
test_bad_lines(void **state)
{
	static const struct {
		const char *line, *word;
	} rows[] = {
		{"", "plugin is missing: which"},
		{"--dry-run", "plugin is missing"},
		{"a b c", "\"c\""},
		{"leak --min-ag 7", "did you mean --min-age?"},
		{"leak --nothing-like-it", "unknown option --nothing-like-it"},
		{"leak --plugin x", "unknown option --plugin"},
		{"leak -f", "long names only"},
		{"leak --min-age", "needs a value: REQUESTS"},
		{"leak --min-age x", "--min-age: \"x\" is not a whole number"},
		{"leak --min-age=", "not a whole number"},
		{"leak --bytes many", "64KiB"},
		{"leak --wait 10", "a duration such as"},
		{"leak --dry-run=yes", "takes no value"},
		{"leak --dry-run --dry-run", "twice"},
		{"leak --min-age 1 --min-age 2", "twice"},
		{"leak\xff", "UTF-8"},
	};
	char copy[200];

	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		const char *output = NULL;
		json_t *parameters = NULL;
		struct error error = {0};

		assert_int_equal(parse(rows[i].line, &parameters, &output, copy, sizeof(copy), &error), -EINVAL);
		assert_null(parameters);
		assert_null(output);
		if (!strstr(error.text, rows[i].word))
			fail_msg("\"%s\": \"%s\" does not say \"%s\"", rows[i].line, error.text, rows[i].word);
	}
}

static void
test_names_of_values(void **state)
{
	static const char *const expected[] = {"WORD", "a|b", "REQUESTS", "SIZE", "DURATION", "", "FILE"};
	const json_t *argument;
	char option[32];
	size_t i;

	(void) state;
	json_array_foreach(json_object_get(description, "arguments"), i, argument) {
		assert_string_equal(arguments_metavar(argument), expected[i]);
	}
	assert_int_equal(i, ARRAY_LENGTH(expected));
	assert_string_equal(arguments_option("min_age_of", option, sizeof(option)), "--min-age-of");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_lines),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_names_of_values),
	};

	return cmocka_run_group_tests_name("arguments", tests, setup, teardown);
}
