/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
test_the_first_sentence_stays(void **state UNUSED)
{
	struct error error = {0};

	assert_int_equal(error_set(&error, -ENOENT, "%s is gone", "file"), -ENOENT);
	assert_int_equal(error_set(&error, -EIO, "later"), -EIO);
	assert_int_equal(error.code, -ENOENT);
	assert_string_equal(error.text, "file is gone");
	assert_int_equal(error_set(NULL, -EIO, "nobody listens"), -EIO);
}

static void
test_prefix(void **state UNUSED)
{
	struct error error = {0};

	(void) error_set(&error, -ENOENT, "gone");
	assert_int_equal(error_prefix(&error, "plugin %s", "a"), -ENOENT);
	assert_int_equal(error_prefix(&error, "load"), -ENOENT);
	assert_string_equal(error.text, "load: plugin a: gone");
}

static void
test_long_texts_are_cut(void **state UNUSED)
{
	char text[2 * sizeof(((struct error *) NULL)->text)];
	struct error error = {0};

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	(void) error_set(&error, -EINVAL, "%s", text);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
	(void) error_prefix(&error, "before");
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
	assert_memory_equal(error.text, "before: xx", 10);
	(void) error_prefix(&error, "%s", text);
	assert_in_range(strlen(error.text), sizeof(error.text) - 3, sizeof(error.text) - 1);
}

static const struct {
	const char *text, *clean;
} texts[] = {
	{"", ""},
	{"plain", "plain"},
	{"a\nb\tc\x7f", "a?b?c?"},
	{"\x1b[31m", "?[31m"},
	{"caf\xc3\xa9 \xe6\xb0\xb4 \xf0\x9f\x90\x9f", "caf\xc3\xa9 \xe6\xb0\xb4 \xf0\x9f\x90\x9f"},
	{"\xc2\x9b", "??"},                       /* C1: CSI of a terminal */
	{"\xc2\xa0", "\xc2\xa0"},                 /* the first behind C1 */
	{"\xc0\xaf", "??"},                       /* longer than needed */
	{"\xe0\x9f\xbf", "???"},                  /* longer than needed */
	{"\xed\xa0\x80", "???"},                  /* surrogate */
	{"\xf4\x90\x80\x80", "????"},             /* beyond U+10FFFF */
	{"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"}, /* U+10FFFF */
	{"\xe6\xb0", "??"},                       /* cut */
	{"\xff", "?"},
};

static void
test_texts_are_cleaned(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		struct error error = {0};

		(void) error_set(&error, -EINVAL, "<%s>", texts[i].text);
		assert_memory_equal(error.text + 1, texts[i].clean, strlen(texts[i].clean));
		assert_string_equal(error.text + 1 + strlen(texts[i].clean), ">");
		assert_int_equal(error_clean_span(texts[i].text) == strlen(texts[i].text),
				 strcmp(texts[i].text, texts[i].clean) == 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_sentence_stays),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_long_texts_are_cut),
		cmocka_unit_test(test_texts_are_cleaned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
