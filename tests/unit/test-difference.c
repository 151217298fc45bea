/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "difference.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static json_t *
parse(const char *text)
{
	json_error_t why;
	json_t *object = json_loads(text, 0, &why);

	if (!object)
		fail_msg("%s: %s", text, why.text);
	return object;
}

/* Compares two dumps; the changes as text: "function bytes objects now;" each. */
static void
compare(const char *now, const char *base, const char *expected)
{
	json_t *a = parse(now), *b = parse(base), *about = NULL, *changes = NULL, *row;
	struct error error = {0};
	char text[512] = "";
	size_t i;

	if (difference_make(a, b, &about, &changes, &error) < 0)
		fail_msg("%s", error.text);
	json_array_foreach(changes, i, row) {
		size_t used = strlen(text);
		(void) snprintf(text + used, sizeof(text) - used, "%s %d %d %d;",
				json_string_value(json_object_get(row, "function")),
				(int) json_integer_value(json_object_get(row, "bytes_change")),
				(int) json_integer_value(json_object_get(row, "objects_change")),
				(int) json_integer_value(json_object_get(row, "bytes")));
	}
	assert_string_equal(text, expected);
	assert_int_equal(json_integer_value(json_object_get(about, "epoch")), 5);
	json_decref(a);
	json_decref(b);
	json_decref(about);
	json_decref(changes);
}

static void
refuse(const char *now, const char *base, const char *expected)
{
	json_t *a = parse(now), *b = parse(base), *about = NULL, *changes = NULL;
	struct error error = {0};

	assert_int_equal(difference_make(a, b, &about, &changes, &error), -EINVAL);
	assert_non_null(strstr(error.text, expected));
	assert_null(about);
	assert_null(changes);
	json_decref(a);
	json_decref(b);
}

static void
test_growth_first_gone_last_unchanged_never(void **state UNUSED)
{
	compare("{\"plugin\":\"p\",\"sites\":["
		"{\"scope\":\"plugin\",\"function\":\"same\",\"file\":\"a.c\",\"line\":1,\"bytes\":10,\"objects\":1},"
		"{\"scope\":\"plugin\",\"function\":\"less\",\"file\":\"a.c\",\"line\":2,\"bytes\":10,\"objects\":1},"
		"{\"scope\":\"plugin\",\"function\":\"more\",\"file\":\"a.c\",\"line\":3,\"bytes\":90,\"objects\":9},"
		"{\"scope\":\"plugin\",\"function\":\"new\",\"file\":\"a.c\",\"line\":4,\"bytes\":7,\"objects\":1}]}",
		"{\"plugin\":\"p\",\"epoch\":5,\"sites\":["
		"{\"scope\":\"plugin\",\"function\":\"more\",\"file\":\"a.c\",\"line\":3,\"bytes\":30,\"objects\":3},"
		"{\"scope\":\"plugin\",\"function\":\"gone\",\"file\":\"a.c\",\"line\":9,\"bytes\":50,\"objects\":5},"
		"{\"scope\":\"plugin\",\"function\":\"same\",\"file\":\"a.c\",\"line\":1,\"bytes\":10,\"objects\":1},"
		"{\"scope\":\"plugin\",\"function\":\"less\",\"file\":\"a.c\",\"line\":2,\"bytes\":12,\"objects\":2}]}",
		"more 60 6 90;new 7 1 7;less -2 -1 10;gone -50 -5 0;");
}

/* Two addresses of one line are one place; one line in two scopes is two; without a line the offset counts. */
static void
test_what_makes_a_site_the_same(void **state UNUSED)
{
	compare("{\"plugin\":\"p\",\"sites\":["
		"{\"scope\":\"plugin\",\"function\":\"f\",\"file\":\"a.c\",\"line\":1,\"offset\":1,\"bytes\":10,"
		"\"objects\":1},"
		"{\"scope\":\"plugin\",\"function\":\"f\",\"file\":\"a.c\",\"line\":1,\"offset\":2,\"bytes\":5,"
		"\"objects\":1},"
		"{\"scope\":\"foreign\",\"function\":\"g\",\"module\":\"m\",\"offset\":64,\"bytes\":3,\"objects\":1}]}",
		"{\"plugin\":\"p\",\"epoch\":5,\"sites\":["
		"{\"scope\":\"arena\",\"function\":\"f\",\"file\":\"a.c\",\"line\":1,\"bytes\":4,\"objects\":1},"
		"{\"scope\":\"plugin\",\"function\":\"f\",\"file\":\"a.c\",\"line\":1,\"offset\":9,\"bytes\":14,"
		"\"objects\":2},"
		"{\"scope\":\"foreign\",\"function\":\"g\",\"module\":\"m\",\"offset\":65,\"bytes\":2,\"objects\":1}]}",
		"g 3 1 3;f 1 0 15;g -2 -1 0;f -4 -1 0;");
}

static void
test_what_is_no_base_is_refused(void **state UNUSED)
{
	static const char now[] = "{\"plugin\":\"p\",\"sites\":[]}";

	refuse(now, "{}", "no dump");
	refuse(now, "{\"plugin\":\"p\",\"sites\":7}", "no dump");
	refuse(now, "{\"plugin\":\"q\",\"sites\":[]}", "plugin \"q\"");
	refuse(now, "{\"plugin\":\"p\",\"sites\":[],\"others\":{}}", "cut");
	refuse(now, "{\"plugin\":\"p\",\"sites\":[{\"bytes\":\"x\",\"objects\":1}]}", "site 0");
	refuse(now, "{\"plugin\":\"p\",\"sites\":[7]}", "site 0");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growth_first_gone_last_unchanged_never),
		cmocka_unit_test(test_what_makes_a_site_the_same),
		cmocka_unit_test(test_what_is_no_base_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
