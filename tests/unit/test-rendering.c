/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rendering.h"

#include "cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *
make_document(unsigned rows)
{
	json_t *document = json_array();

	for (unsigned i = 0; i < rows; i++)
		assert_int_equal(json_array_append_new(document, json_pack("{s:i, s:s}", "n", (int) i, "text", "ab")),
				 0);
	return document;
}

/* As jansson writes it in one piece, with the end behind it. */
static void
test_text_is_jansson_s(void **state)
{
	(void) state;
	for (unsigned rows = 0; rows < 2000; rows = rows * 2 + 1) {
		json_t *document = make_document(rows);
		char *want CLEANUP_FREE = json_dumps(document, JSON_COMPACT), *got CLEANUP_FREE = NULL;
		size_t length = 0;
		assert_int_equal(rendering_make(document, JSON_COMPACT, "\n", SIZE_MAX, &got, &length), 0);
		assert_int_equal(length, strlen(want) + 1);
		assert_memory_equal(got, want, length - 1);
		assert_string_equal(got + length - 1, "\n");
		json_decref(document);
	}
}

static void
test_length_is_bounded(void **state)
{
	json_t *document = make_document(100);
	char *want CLEANUP_FREE = json_dumps(document, JSON_COMPACT), *got CLEANUP_FREE = NULL;
	size_t length = 7;

	(void) state;
	assert_int_equal(rendering_make(document, JSON_COMPACT, "", strlen(want) - 1, &got, &length), -ENOBUFS);
	assert_int_equal(rendering_make(document, JSON_COMPACT, "\n", strlen(want), &got, &length), -ENOBUFS);
	assert_null(got);
	assert_int_equal(length, 7);
	assert_int_equal(rendering_make(document, JSON_COMPACT, "", strlen(want), &got, &length), 0);
	assert_string_equal(got, want);
	json_decref(document);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_is_jansson_s),
		cmocka_unit_test(test_length_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
