/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `dump` answers and writes, with a fake server behind it. */
#include "command-fixture.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
test_dump_names_the_site(void **state)
{
	json_t *reply = run_well(*state, "Dump", "{\"plugin\":\"leak\"}");
	const json_t *sites = json_object_get(reply, "sites"), *ages = json_object_get(reply, "ages");
	const json_t *first = json_array_get(sites, 0), *second = json_array_get(sites, 1);

	assert_int_equal(json_array_size(sites), 2);
	assert_string_equal(word(first, "function"), "leak_keep");
	assert_string_equal(word(first, "place"), "leak.c:42");
	assert_string_equal(word(first, "file"), "/src/plugins/leak.c");
	/* Without debug information: module and offset. */
	assert_null(json_object_get(second, "function"));
	assert_string_equal(word(second, "place"), "leak.so+0x1234");
	assert_null(json_object_get(reply, "others"));
	assert_int_equal(json_array_size(ages), 2);
	assert_string_equal(word(json_array_get(ages, 0), "age"), "0");
	assert_string_equal(word(json_array_get(ages, 1), "age"), "4-7");
	assert_int_equal(number(json_array_get(ages, 1), "bytes"), 160);
	json_decref(reply);
}

static void
test_dump_divides_a_site_among_its_callers(void **state)
{
	json_t *reply = run_well(*state, "Dump", "{\"plugin\":\"leak\"}");
	const json_t *rows = json_object_get(reply, "callers"), *row = json_array_get(rows, 0);

	assert_int_equal(json_array_size(rows), 2);
	assert_string_equal(word(row, "way"), "leak_keep <- parse_header");
	assert_string_equal(word(row, "site"), "leak.c:42");
	assert_string_equal(word(row, "place"), "leak.c:43");
	assert_int_equal(number(row, "bytes"), 750);
	assert_int_equal(number(row, "percent"), 75);
	assert_int_equal(number(json_array_get(rows, 1), "bytes"), 250);
	json_decref(reply);
	/* Not shown, no callers. */
	reply = run_well(*state, "Dump", "{\"plugin\":\"leak\",\"callers\":true,\"top\":1}");
	assert_int_equal(json_array_size(json_object_get(reply, "callers")), 2);
	json_decref(reply);
}

static void
test_dump_of_the_peak(void **state)
{
	json_t *reply = run_well(*state, "Dump", "{\"plugin\":\"leak\",\"peak\":true}");

	assert_int_equal(number(reply, "taken"), 1234);
	assert_int_equal(json_array_size(json_object_get(reply, "sites")), 2);
	json_decref(reply);
	run_badly(*state, "Dump", "{\"plugin\":\"cache\",\"peak\":true}", -ENODATA, "no peak");
	run_badly(*state, "Dump", "{\"plugin\":\"leak\",\"peak\":true,\"min_age\":1}", -EINVAL, "min_age");
}

static void
test_dump_against_a_base(void **state)
{
	json_t *saved = run_well(*state, "Dump", "{\"plugin\":\"leak\",\"format\":\"json\"}"), *site, *reply;
	json_t *call = json_pack("{s:s, s:O}", "plugin", "leak", "base", saved);
	CLEANUP_FREE char *text = NULL, *same = json_dumps(call, JSON_COMPACT);

	reply = run_well(*state, "Dump", same);
	assert_int_equal(json_array_size(json_object_get(reply, "changes")), 0);
	assert_null(json_object_get(reply, "sites"));
	assert_int_equal(number(json_object_get(reply, "base"), "instance"), 3);
	json_decref(reply);
	site = json_array_get(json_object_get(saved, "sites"), 0);
	json_object_set_new(site, "bytes", json_integer(600));
	text = json_dumps(call, JSON_COMPACT);
	reply = run_well(*state, "Dump", text);
	assert_int_equal(json_array_size(json_object_get(reply, "changes")), 1);
	assert_int_equal(number(json_array_get(json_object_get(reply, "changes"), 0), "bytes_change"), 400);
	json_decref(reply);
	json_decref(call);
	json_decref(saved);
	run_badly(*state, "Dump", "{\"plugin\":\"leak\",\"base\":{}}", -EINVAL, "no dump");
	run_badly(*state, "Dump", "{\"plugin\":\"leak\",\"base\":7}", -EINVAL, "must be an object");
}

static void
test_dump_shows_the_top(void **state)
{
	struct fixture *f = *state;
	json_t *reply;

	fake_server(f->server)->sites = 100;
	reply = run_well(f, "Dump", "{\"plugin\":\"leak\"}");
	assert_int_equal(json_array_size(json_object_get(reply, "sites")), 40);
	assert_int_equal(number(json_object_get(reply, "others"), "sites"), 60);
	assert_int_equal(number(json_object_get(reply, "others"), "objects"), 600);
	json_decref(reply);
	reply = run_well(f, "Dump", "{\"plugin\":\"leak\",\"top\":3}");
	assert_int_equal(json_array_size(json_object_get(reply, "sites")), 3);
	json_decref(reply);
	reply = run_well(f, "Dump", "{\"plugin\":\"leak\",\"top\":0}");
	assert_int_equal(json_array_size(json_object_get(reply, "sites")), 100);
	assert_null(json_object_get(reply, "others"));
	json_decref(reply);
}

static void
test_dump_writes_to_a_descriptor(void **state)
{
	struct fixture *f = *state;
	json_t *reply = NULL, *written;
	FILE *file = tmpfile();

	assert_non_null(file);
	fake_server(f->server)->sites = 100;
	assert_int_equal(run_output(f, "Dump", "{\"plugin\":\"leak\",\"format\":\"json\",\"output\":true}",
				    fileno(file), &reply, NULL),
			 0);
	rewind(file);
	written = json_loadf(file, 0, NULL);
	assert_non_null(written);
	/* A file gets everything. */
	assert_int_equal(json_array_size(json_object_get(written, "sites")), 100);
	assert_int_equal(number(json_object_get(reply, "written"), "bytes"), ftell(file));
	assert_null(json_object_get(reply, "sites"));
	json_decref(written);
	json_decref(reply);
	fclose(file);
}

static void
test_dump_refuses_what_it_cannot_write_to(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *path;
		int flags;
		const char *word;
	} rows[] = {
		{"/dev/null", O_WRONLY, "regular file"},
		{"/proc/self/status", O_RDONLY, "writing"},
		{"/", O_PATH, "writing"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		int fd = open(rows[i].path, rows[i].flags | O_CLOEXEC);
		struct error error = {0};
		json_t *reply = NULL;

		assert_true(fd >= 0);
		assert_int_equal(run_output(f, "Dump", "{\"plugin\":\"leak\",\"format\":\"json\",\"output\":true}", fd,
					    &reply, &error),
				 -EINVAL);
		if (!strstr(error.text, rows[i].word))
			fail_msg("%s: \"%s\"", rows[i].path, error.text);
		assert_null(reply);
		close(fd);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_dump_names_the_site, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_dump_divides_a_site_among_its_callers, command_setup,
						command_teardown),
		cmocka_unit_test_setup_teardown(test_dump_of_the_peak, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_dump_against_a_base, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_dump_shows_the_top, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_dump_writes_to_a_descriptor, command_setup, command_teardown),
		cmocka_unit_test_setup_teardown(test_dump_refuses_what_it_cannot_write_to, command_setup,
						command_teardown),
	};

	return cmocka_run_group_tests_name("dump", tests, NULL, NULL);
}
