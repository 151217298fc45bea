/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pictures of readings: rates, order, and what fits a screen. */
#include "cleanup.h"
#include "top.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct top_style wide = {.legend = true, .columns = 80, .sort = 2};

static json_t *
parse(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	assert_non_null(value);
	return value;
}

/* Three plugins at a clock in seconds, after so many requests a plugin. */
static void
feed(struct top *top, int clock, int requests, int leak_instance, int started)
{
	json_t *status =
		json_pack("{s:s, s:s, s:i, s:i, s:{s:i}, s:{s:i}, s:{s:i, s:i}, s:{s:i}}", "version", "0.1", "state",
			  "running", "uptime", 11400, "started", started, "connections", "open", 17, "handshakes",
			  "full", 10 * clock, "plugins", "ready", 2, "failed", 1, "memory", "resident_bytes", 40 << 20);
	json_t *list = json_pack("{s:I, s:[{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i},"
				 " {s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i},"
				 " {s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}]}",
				 "clock", (json_int_t) clock * 1000000, "plugins",
				 /* one */
				 "name", "cache", "state", "ready", "verdict", "ok", "class", "cache growth",
				 "instance", 1, "requests", requests, "errors", 0, "inflight", 2, "live_bytes",
				 12 << 20, "foreign_bytes", 0, "resident_bytes", 13 << 20, "hard_limit", 64 << 20,
				 "escaped_bytes", 0, "restarts", 0, "zombies", 0,
				 /* two */
				 "name", "leak", "state", "ready", "verdict", "confirmed", "class", "leak", "instance",
				 leak_instance, "requests", 2 * requests, "errors", requests / 100, "inflight", 1,
				 "live_bytes", 60 << 20, "foreign_bytes", 2048, "hard_limit", 64 << 20, "escaped_bytes",
				 2 * requests * 16, "seconds_to_limit", 11400, "restarts", 3,
				 /* three */
				 "name", "broken", "state", "failed", "instance", 0, "requests", 0, "errors", 0,
				 "inflight", 0, "live_bytes", 0, "foreign_bytes", 0, "hard_limit", 64 << 20,
				 "escaped_bytes", 0, "restarts", 0, "zombies", 1);

	assert_non_null(status);
	assert_non_null(list);
	top_feed(top, status, list);
	json_decref(status);
	json_decref(list);
}

static char *
draw(struct top *top, const struct top_style *style)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	top_draw(top, out, style);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void
expect(struct top *top, const struct top_style *style, const char *expected)
{
	CLEANUP_FREE char *text = draw(top, style);

	assert_string_equal(text, expected);
}

/* The names of the plugins from above. */
static void
expect_order(struct top *top, const char *column, bool reverse, const char *expected)
{
	struct top_style style = {.columns = 80, .sort = top_column(column), .reverse = reverse};
	CLEANUP_FREE char *text = NULL;
	char names[100] = "";

	assert_true(style.sort >= 0);
	text = draw(top, &style);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		line[strcspn(line, " ")] = '\0';
		strcat(names, *names ? " " : "");
		strcat(names, line);
	}
	assert_string_equal(names, expected);
}

static int
setup(void **state)
{
	struct top *top = NULL;

	assert_int_equal(top_new(&top), 0);
	feed(top, 100, 1000, 7, 5);
	*state = top;
	return 0;
}

static int
teardown(void **state)
{
	top_free((struct top **) state);
	return 0;
}

static void
test_the_first_picture_knows_no_rates(void **state)
{
	expect(*state, &wide,
	       "mtlsd 0.1 running, up 3h10m; 17 connections, - handshakes/s, - requests/s\n"
	       "3 plugins, 2 ready, 1 failed; hold 72.0M; process 40.0M; 1 confirmed\n"
	       "\n"
	       "NAME          STATE VERDICT    LIVE FOREIGN LIM%  REQ/S  B/REQ INFL ERR/S  LEFT\n"
	       "leak          ready confirmed 60.0M    2.0K   94      -      -    1     - 3h10m\n"
	       "cache         ready cache     12.0M      0B   19      -      -    2     -     -\n"
	       "broken        fail  -            0B      0B    0      -      -    0     -     -\n");
}

static void
test_the_second_picture_has_them(void **state)
{
	feed(*state, 102, 1500, 7, 5);
	expect(*state, &wide,
	       "mtlsd 0.1 running, up 3h10m; 17 connections, 10.0 handshakes/s, 750 requests/s\n"
	       "3 plugins, 2 ready, 1 failed; hold 72.0M; process 40.0M; 1 confirmed\n"
	       "\n"
	       "NAME          STATE VERDICT    LIVE FOREIGN LIM%  REQ/S  B/REQ INFL ERR/S  LEFT\n"
	       "leak          ready confirmed 60.0M    2.0K   94    500   16.0    1  2.50 3h10m\n"
	       "cache         ready cache     12.0M      0B   19    250      0    2     0     -\n"
	       "broken        fail  -            0B      0B    0      0      -    0     0     -\n");
}

static void
test_no_rate_across_another_life(void **state)
{
	struct top_style bare = {.columns = 80, .sort = 2};

	/* Another instance: what escaped belongs to it alone. */
	feed(*state, 102, 1500, 8, 5);
	expect(*state, &bare,
	       "leak          ready confirmed 60.0M    2.0K   94    500      -    1  2.50 3h10m\n"
	       "cache         ready cache     12.0M      0B   19    250      0    2     0     -\n"
	       "broken        fail  -            0B      0B    0      0      -    0     0     -\n");
	/* Another daemon, whose counters began again. */
	feed(*state, 104, 10, 1, 6);
	expect(*state, &bare,
	       "leak          ready confirmed 60.0M    2.0K   94      -      -    1     - 3h10m\n"
	       "cache         ready cache     12.0M      0B   19      -      -    2     -     -\n"
	       "broken        fail  -            0B      0B    0      -      -    0     -     -\n");
	/* A clock that stands still divides by nothing. */
	feed(*state, 104, 20, 1, 6);
	expect_order(*state, "requests", false, "leak cache broken");
}

static void
test_every_column_sorts(void **state)
{
	static const struct {
		const char *column, *first, *reversed;
	} rows[] = {
		{"name", "broken cache leak", "leak cache broken"},
		{"state", "broken leak cache", "leak cache broken"},
		{"verdict", "leak cache broken", "cache leak broken"},
		{"live", "leak cache broken", "broken cache leak"},
		{"foreign", "leak cache broken", "cache broken leak"},
		{"limit", "leak cache broken", "broken cache leak"},
		{"requests", "leak cache broken", "broken cache leak"},
		{"bytes", "leak cache broken", "cache leak broken"},
		{"inflight", "cache leak broken", "broken leak cache"},
		{"errors", "leak cache broken", "cache broken leak"},
		{"left", "leak cache broken", "leak cache broken"},
		{"rss", "cache leak broken", "cache leak broken"},
		{"restarts", "leak cache broken", "cache broken leak"},
	};

	feed(*state, 102, 1500, 7, 5);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		expect_order(*state, rows[i].column, false, rows[i].first);
		/* What is not known stays last. */
		expect_order(*state, rows[i].column, true, rows[i].reversed);
	}
	assert_int_equal(top_column("weight"), -1);
	assert_int_equal(top_column_of_key('q'), -1);
	assert_int_equal(top_column_of_key('r'), -1);
	assert_int_equal(top_column_of_key('l'), top_column("live"));
	assert_int_equal(top_column_beside(top_column("name"), -1), top_column("restarts"));
	assert_int_equal(top_column_beside(top_column("restarts"), 1), top_column("name"));
}

/* Every word of the list names a column, and there are no others. */
static void
test_the_words_are_the_columns(void **state)
{
	char words[200];
	int count = 0;

	(void) state;
	snprintf(words, sizeof(words), "%s", top_columns);
	for (char *word = strtok(words, "|"); word; word = strtok(NULL, "|"))
		assert_int_equal(top_column(word), count++);
	assert_int_equal(top_column_beside(count - 1, 1), 0);
}

static void
test_no_line_is_longer_than_the_screen(void **state)
{
	feed(*state, 102, 1500, 7, 5);
	for (size_t columns = TOP_MIN_COLUMNS; columns < 140; columns++) {
		struct top_style style = {.legend = true,
					  .keys = true,
					  .columns = columns,
					  .sort = 2,
					  .trouble = columns % 2 ? "gone" : NULL};
		CLEANUP_FREE char *text = draw(*state, &style);

		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
			if (strlen(line) >= columns)
				fail_msg("%zu columns: \"%s\"", columns, line);
	}
}

static void
test_a_narrow_screen_keeps_what_matters(void **state)
{
	struct top_style style = {.columns = 40, .sort = 2};

	expect(*state, &style,
	       "leak          ready confirmed 60.0M\n"
	       "cache         ready cache     12.0M\n"
	       "broken        fail  -            0B\n");
}

static void
test_a_wide_screen_shows_more(void **state)
{
	struct top_style style = {.legend = true, .columns = 100, .sort = 2};
	CLEANUP_FREE char *text = draw(*state, &style);

	assert_non_null(strstr(text, "LEFT   RSS RSTRT\n"));
}

static void
test_a_low_screen_scrolls(void **state)
{
	struct top_style style = {.columns = 40, .sort = 2, .lines = TOP_HEAD + 1, .scroll = 1};

	expect(*state, &style, "cache         ready cache     12.0M\n");
	style.scroll = 99;
	expect(*state, &style, "broken        fail  -            0B\n");
	style.lines = 1;
	style.scroll = 0;
	expect(*state, &style, "leak          ready confirmed 60.0M\n");
}

static void
test_colours_only_where_asked(void **state)
{
	struct top_style style = {.colour = true, .columns = 42, .sort = 2};

	expect(*state, &style,
	       "leak          \033[32mready\033[0m \033[31mconfirmed\033[0m 60.0M   \033[31m94\033[0m\n"
	       "cache         \033[32mready\033[0m \033[32mcache\033[0m     12.0M   19\n"
	       "broken        \033[31mfail\033[0m  -            0B    0\n");
}

/* The first lines of a picture with that trouble on so many columns. */
static void
expect_trouble(struct top *top, const char *trouble, size_t columns, const char *expected)
{
	struct top_style style = wide;
	CLEANUP_FREE char *text = NULL;

	style.trouble = trouble;
	style.columns = columns;
	text = draw(top, &style);
	if (strncmp(text, expected, strlen(expected)) != 0)
		fail_msg("\"%s\" instead of \"%s\"", text, expected);
	assert_non_null(strstr(text, "confirmed"));
}

static void
test_trouble_stands_above_the_last_picture(void **state)
{
	expect_trouble(*state, "the daemon is gone", 80, "the daemon is gone\n\n\nNAME");
	/* On two lines where one is too short. */
	expect_trouble(*state, "the daemon at /run/some/where is gone for good now", 41,
		       "the daemon at /run/some/where is gone\nfor good now\n\nNAME");
	expect_trouble(*state, "0123456789012345678901234567890123456789 nowhere to cut", 31,
		       "012345678901234567890123456789\n0123456789 nowhere to cut\n\nNAME");
	expect_trouble(*state, "exactly as wide as it is", 25, "exactly as wide as it is\n\n\nNAME");
}

static void
test_sizes_and_rates_fit_their_columns(void **state)
{
	static const json_int_t sizes[] = {0, 999, 1000, 1024, 102349, 1023487, 1023488, INT64_C(1) << 40, INT64_MAX};
	struct top_style style = {.columns = 100, .sort = 0};

	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
		json_t *status = parse("{\"started\":5}");
		json_t *list = json_pack("{s:I, s:[{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}]}", "clock",
					 (json_int_t) 200000000 + (json_int_t) i * 1000000, "plugins", "name",
					 "a name that is longer than its column and any plugin's", "state", "ready",
					 "live_bytes", sizes[i], "foreign_bytes", sizes[i], "hard_limit",
					 (json_int_t) 1, "requests", sizes[i], "errors", sizes[i], "inflight", sizes[i],
					 "seconds_to_limit", sizes[i]);
		CLEANUP_FREE char *text = NULL;

		top_feed(*state, status, list);
		text = draw(*state, &style);
		if (strlen(text) != 100 || text[99] != '\n')
			fail_msg("%lld: \"%s\"", (long long) sizes[i], text);
		json_decref(status);
		json_decref(list);
	}
}

static void
test_nothing_of_a_plugin_moves_the_cursor(void **state)
{
	json_t *status = parse("{\"version\":\"\\u001b[2J\"}");
	json_t *list =
		parse("{\"plugins\":[{\"name\":\"a\\u001b[31m\",\"state\":\"\\u0007\",\"verdict\":\"\\n\"}, 7]}");
	CLEANUP_FREE char *text = NULL;

	top_feed(*state, status, list);
	text = draw(*state, &wide);
	assert_null(strchr(text, '\033'));
	assert_null(strchr(text, '\007'));
	assert_non_null(strstr(text, "a?[31m"));
	json_decref(status);
	json_decref(list);
}

static void
test_no_plugin_at_all(void **state)
{
	json_t *empty = json_object();
	CLEANUP_FREE char *text = NULL;

	top_feed(*state, empty, empty);
	text = draw(*state, &wide);
	assert_non_null(strstr(text, "no plugin is configured\n"));
	json_decref(empty);
}

static void
test_programs_get_numbers(void **state)
{
	struct top_style style = wide;
	json_t *object;
	const json_t *leak;

	feed(*state, 102, 1500, 7, 5);
	object = top_json(*state, &style);
	leak = json_array_get(json_object_get(object, "plugins"), 0);
	assert_string_equal(json_string_value(json_object_get(leak, "name")), "leak");
	assert_string_equal(json_string_value(json_object_get(leak, "class")), "leak");
	assert_true(json_real_value(json_object_get(leak, "requests_per_second")) == 500);
	assert_true(json_real_value(json_object_get(leak, "escaped_bytes_per_request")) == 16);
	assert_true(json_real_value(json_object_get(object, "seconds")) == 2);
	assert_null(json_object_get(json_array_get(json_object_get(object, "plugins"), 1), "seconds_to_limit"));
	json_decref(object);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_first_picture_knows_no_rates, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_second_picture_has_them, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_rate_across_another_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_column_sorts, setup, teardown),
		cmocka_unit_test(test_the_words_are_the_columns),
		cmocka_unit_test_setup_teardown(test_no_line_is_longer_than_the_screen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_narrow_screen_keeps_what_matters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_wide_screen_shows_more, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_low_screen_scrolls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_colours_only_where_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trouble_stands_above_the_last_picture, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sizes_and_rates_fit_their_columns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_of_a_plugin_moves_the_cursor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_plugin_at_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_programs_get_numbers, setup, teardown),
	};

	return cmocka_run_group_tests_name("top", tests, NULL, NULL);
}
