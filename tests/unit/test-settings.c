/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const mtlsd_option options[] = {
	{"on", MTLSD_OPTION_BOOL, .fallback = "true"},
	{"count", MTLSD_OPTION_INT, .min = 1, .max = 9, .fallback = "3"},
	{"size", MTLSD_OPTION_SIZE, .fallback = "4KiB"},
	{"pause", MTLSD_OPTION_DURATION, .fallback = "250ms"},
	{"word", MTLSD_OPTION_STRING},
	{"mode", MTLSD_OPTION_CHOICE, .choices = "fast|small|odd", .fallback = "small"},
	{"names", MTLSD_OPTION_STRINGS},
	{NULL},
};

static struct settings *
read_text(const char *text, char **ret_mistake)
{
	struct schema_reader *reader = NULL;
	struct yaml_node *tree = NULL;
	struct settings *settings = NULL;

	assert_int_equal(schema_reader_new("test.yaml", NULL, &reader), 0);
	assert_int_equal(yaml_read("test.yaml", text, strlen(text), &tree, NULL), 0);
	int r = settings_read(reader, options, tree, &settings);
	assert_int_equal(r == 0, schema_mistake_count(reader) == 0);
	if (ret_mistake != NULL)
		*ret_mistake = r < 0 ? strdup(schema_mistake_text(reader, 0)) : NULL;
	yaml_release(&tree);
	schema_reader_free(&reader);
	return settings;
}

static void
test_defaults_and_values(void **state UNUSED)
{
	struct settings *settings = read_text("", NULL);
	assert_non_null(settings);
	assert_int_equal(settings_int(settings, "on"), 1);
	assert_int_equal(settings_int(settings, "count"), 3);
	assert_int_equal(settings_int(settings, "size"), 4096);
	assert_int_equal(settings_int(settings, "pause"), 250000);
	assert_null(settings_string(settings, "word"));
	assert_string_equal(settings_string(settings, "mode"), "small");
	assert_null(settings_item(settings, "names", 0));
	assert_int_equal(settings_int(settings, "nonsense"), 0);
	assert_null(settings_string(settings, "nonsense"));
	assert_null(settings_string(settings, NULL));

	struct settings *other =
		read_text("{on: no, count: 9, size: 1MiB, pause: 2s, word: hi, mode: odd, names: [a, b]}", NULL);
	assert_int_equal(settings_int(other, "on"), 0);
	assert_int_equal(settings_int(other, "count"), 9);
	assert_int_equal(settings_int(other, "size"), 1 << 20);
	assert_int_equal(settings_int(other, "pause"), 2000000);
	assert_string_equal(settings_string(other, "word"), "hi");
	assert_string_equal(settings_string(other, "mode"), "odd");
	assert_string_equal(settings_string(other, "names"), "a");
	assert_string_equal(settings_item(other, "names", 1), "b");
	assert_null(settings_item(other, "names", 2));
	assert_false(settings_equal(settings, other));
	assert_true(settings_equal(other, other));
	settings_free(&settings);
	settings_free(&other);
	settings_free(&other);
}

static void
test_mistakes_name_place_and_cure(void **state UNUSED)
{
	static const struct {
		const char *text, *place, *cure;
	} mistakes[] = {
		{"cuont: 3", "test.yaml:1:1:", "count"},      {"on: yes\ncount: 12", "test.yaml:2:8:", "9"},
		{"mode: quick", "test.yaml:1:7:", "small"},   {"pause: 250", "test.yaml:1:8:", "ms"},
		{"names: {a: b}", "test.yaml:1:8:", "names"},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(mistakes); i++) {
		char *mistake = NULL;
		struct settings *settings = read_text(mistakes[i].text, &mistake);
		assert_null(settings);
		assert_non_null(mistake);
		if (strstr(mistake, mistakes[i].place) == NULL || strstr(mistake, mistakes[i].cure) == NULL)
			fail_msg("%s: %s", mistakes[i].text, mistake);
		free(mistake);
	}
}

static void
test_broken_tables_are_refused(void **state UNUSED)
{
	static const mtlsd_option broken[][3] = {
		{{"Upper", MTLSD_OPTION_INT}, {NULL}},
		{{"", MTLSD_OPTION_INT}, {NULL}},
		{{"a", (mtlsd_option_type) 42}, {NULL}},
		{{"a", MTLSD_OPTION_CHOICE}, {NULL}},
		{{"a", MTLSD_OPTION_INT, .min = 5, .max = 4}, {NULL}},
		{{"a", MTLSD_OPTION_INT}, {"a", MTLSD_OPTION_BOOL}, {NULL}},
	};
	assert_int_equal(settings_check_options(NULL, NULL), 0);
	assert_int_equal(settings_check_options(options, NULL), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(broken); i++) {
		struct error why = {0};
		assert_int_equal(settings_check_options(broken[i], &why), -EINVAL);
		assert_true(why.text[0] != '\0');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_and_values),
		cmocka_unit_test(test_mistakes_name_place_and_cure),
		cmocka_unit_test(test_broken_tables_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
