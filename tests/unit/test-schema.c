/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "schema.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct inner {
	int64_t depth;
	char *word;
};

struct item {
	char *name;
};

struct outer {
	bool flag;
	int64_t number;
	uint64_t size, duration;
	char *text, *path;
	unsigned mode;
	int choice;
	struct schema_strings words;
	double share;
	unsigned deeds;
	struct inner inner;
	struct item items[4];
	size_t item_count;
	const struct yaml_node *any;
};

static const struct schema_row inner_rows[] = {
	{"depth", SCHEMA_INT, offsetof(struct inner, depth), .min = 1, .max = 9, .fallback = "3"},
	{"word", SCHEMA_STRING, offsetof(struct inner, word), .fallback = "inside"},
	{.key = NULL},
};

static const struct schema_row item_rows[] = {
	{"name", SCHEMA_STRING, offsetof(struct item, name), .required = true, .min = 1, .max = 8},
	{.key = NULL},
};

static int
item_add(struct schema_reader *reader, void *base, const struct yaml_node *node)
{
	struct outer *outer = base;

	assert_ptr_equal(schema_reader_context(reader), outer);
	assert_true(outer->item_count < ARRAY_LENGTH(outer->items));
	return schema_read(reader, item_rows, node, &outer->items[outer->item_count++]);
}

static const struct schema_row outer_rows[] = {
	{"flag", SCHEMA_BOOL, offsetof(struct outer, flag), .fallback = "true", .help = "A flag."},
	{"number", SCHEMA_INT, offsetof(struct outer, number), .min = -5, .max = 100, .fallback = "7"},
	{"size", SCHEMA_SIZE, offsetof(struct outer, size), .max = INT64_C(1) << 40, .fallback = "64KiB"},
	{"duration", SCHEMA_DURATION, offsetof(struct outer, duration), .min = 1000, .max = 3600000000,
	 .fallback = "10s"},
	{"text", SCHEMA_STRING, offsetof(struct outer, text), .min = 1, .max = 10},
	{"path", SCHEMA_PATH, offsetof(struct outer, path), .fallback = "run/x"},
	{"mode", SCHEMA_MODE, offsetof(struct outer, mode), .fallback = "0660"},
	{"choice", SCHEMA_CHOICE, offsetof(struct outer, choice), .choices = "off|soft|required", .fallback = "soft"},
	{"words", SCHEMA_STRINGS, offsetof(struct outer, words), .fallback = "one"},
	{"share", SCHEMA_DECIMAL, offsetof(struct outer, share), .min = 100, .max = 1000, .fallback = "0.8"},
	{"deeds", SCHEMA_FLAGS, offsetof(struct outer, deeds), .choices = "log|dump|evict", .fallback = "log|evict"},
	{"inner", SCHEMA_GROUP, offsetof(struct outer, inner), .rows = inner_rows, .help = "What lies inside."},
	{"items", SCHEMA_LIST, .offset = 0, .rows = item_rows, .item = item_add},
	{"any", SCHEMA_ANY, offsetof(struct outer, any), .help = "Not looked at."},
	{.key = NULL},
};

/* One reading, with all that has to be released after it. */
struct reading {
	struct outer outer;
	struct schema_reader *reader;
	struct yaml_node *root;
	int result;
};

static void
read_with(struct reading *reading, const struct schema_row *rows, const char *text)
{
	struct error error = {0};

	memset(reading, 0, sizeof(*reading));
	if (yaml_read("t.yaml", text, strlen(text), &reading->root, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(schema_reader_new("/etc/app/t.yaml", &reading->outer, &reading->reader), 0);
	reading->result = schema_read(reading->reader, rows, reading->root, &reading->outer);
	assert_int_equal(reading->result<0, schema_mistake_count(reading->reader)> 0);
}

static void
release(struct reading *reading, const struct schema_row *rows)
{
	schema_release(rows, &reading->outer);
	for (size_t i = 0; i < reading->outer.item_count; i++)
		schema_release(item_rows, &reading->outer.items[i]);
	schema_reader_free(&reading->reader);
	assert_null(reading->reader);
	yaml_release(&reading->root);
}

static void
test_defaults(void **state UNUSED)
{
	struct reading r;

	read_with(&r, outer_rows, "");
	assert_int_equal(r.result, 0);
	assert_true(r.outer.flag);
	assert_int_equal(r.outer.number, 7);
	assert_int_equal(r.outer.size, 65536);
	assert_int_equal(r.outer.duration, 10000000);
	assert_null(r.outer.text);
	assert_string_equal(r.outer.path, "/etc/app/run/x");
	assert_int_equal(r.outer.mode, 0660);
	assert_int_equal(r.outer.choice, 1);
	assert_int_equal(r.outer.words.count, 1);
	assert_string_equal(r.outer.words.items[0], "one");
	assert_true(r.outer.share > 0.799 && r.outer.share < 0.801);
	assert_int_equal(r.outer.deeds, 1 << 0 | 1 << 2);
	assert_int_equal(r.outer.inner.depth, 3);
	assert_string_equal(r.outer.inner.word, "inside");
	assert_null(r.outer.any);
	release(&r, outer_rows);
	assert_null(r.outer.path);
	assert_null(r.outer.inner.word);
}

static void
test_values(void **state UNUSED)
{
	struct reading r;

	read_with(&r, outer_rows,
		  "flag: off\nnumber: -5\nsize: 3 MiB\nduration: 250ms\ntext: \"no\"\npath: /abs\nmode: 0600\n"
		  "choice: required\nwords: [a, b]\ninner: {depth: 9}\nitems:\n- {name: x}\n- {name: y}\nany: {k: "
		  "[v]}\n");
	assert_int_equal(r.result, 0);
	assert_false(r.outer.flag);
	assert_int_equal(r.outer.number, -5);
	assert_int_equal(r.outer.size, 3 << 20);
	assert_int_equal(r.outer.duration, 250000);
	assert_string_equal(r.outer.text, "no");
	assert_string_equal(r.outer.path, "/abs");
	assert_int_equal(r.outer.mode, 0600);
	assert_int_equal(r.outer.choice, 2);
	assert_int_equal(r.outer.words.count, 2);
	assert_string_equal(r.outer.words.items[1], "b");
	assert_int_equal(r.outer.inner.depth, 9);
	assert_string_equal(r.outer.inner.word, "inside");
	assert_int_equal(r.outer.item_count, 2);
	assert_string_equal(r.outer.items[1].name, "y");
	assert_ptr_equal(r.outer.any, yaml_get(r.root, "any"));
	release(&r, outer_rows);
}

static void
test_units(void **state UNUSED)
{
	static const struct {
		const char *text;
		uint64_t value;
		bool is_size;
	} units[] = {
		{"size: 0\n", 0, true},
		{"size: 4096\n", 4096, true},
		{"size: 7B\n", 7, true},
		{"size: 1K\n", 1024, true},
		{"size: 2G\n", UINT64_C(2) << 30, true},
		{"size: 1TiB\n", UINT64_C(1) << 40, true},
		{"duration: 1ms\n", 1000, false},
		{"duration: 5000us\n", 5000, false},
		{"duration: 2min\n", 120000000, false},
		{"duration: 1h\n", UINT64_C(3600000000), false},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		struct reading r;

		read_with(&r, outer_rows, units[i].text);
		assert_int_equal(r.result, 0);
		assert_int_equal(units[i].is_size ? r.outer.size : r.outer.duration, units[i].value);
		release(&r, outer_rows);
	}
}

static void
test_decimals_and_flags(void **state UNUSED)
{
	static const struct {
		const char *text;
		double share;
		unsigned deeds;
	} rows[] = {
		{"share: 0.25\ndeeds: []\n", 0.25, 0},
		{"share: .5\ndeeds: dump\n", 0.5, 1 << 1},
		{"share: 1\ndeeds: [evict, log, dump, log]\n", 1, 7},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct reading r;

		read_with(&r, outer_rows, rows[i].text);
		assert_int_equal(r.result, 0);
		assert_true(r.outer.share == rows[i].share);
		assert_int_equal(r.outer.deeds, rows[i].deeds);
		release(&r, outer_rows);
	}
}

static void
test_bool_words(void **state UNUSED)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "False", "TRUE"};

	for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
		struct reading r;
		char text[32];

		(void) snprintf(text, sizeof(text), "flag: %s\n", words[i]);
		read_with(&r, outer_rows, text);
		assert_int_equal(r.result, 0);
		assert_int_equal(r.outer.flag, i % 2);
		release(&r, outer_rows);
	}
}

static const struct {
	const char *text, *place, *words;
} mistakes[] = {
	{"flg: true\n", "1:1", "unknown key \"flg\" in the file's top level; did you mean \"flag\"?"},
	{"Number: 1\n", "1:1", "did you mean \"number\"?"},
	{"inner:\n  dpeth: 1\n", "2:3", "unknown key \"dpeth\" in inner; did you mean \"depth\"?"},
	{"inner:\n  qqqqq: 1\n", "2:3", "known are: depth, word"},
	{"items:\n- {name: a}\n- {nam: b, name: c}\n", "3:4", "unknown key \"nam\" in items[1]"},
	{"items:\n- {}\n", "2:3", "missing key \"name\" in items[0]"},
	{"items:\n- word\n", "2:3", "items[0] must be a mapping"},
	{"items: {name: a}\n", "1:8", "items must be a list"},
	{"flag: maybe\n", "1:7", "flag: \"maybe\" is not true or false"},
	{"number: many\n", "1:9", "number: \"many\" is not a whole number from -5 to 100"},
	{"number: 1.5\n", "1:9", "is not a whole number"},
	{"number: 101\n", "1:9", "number: \"101\" is out of range; write a whole number from -5 to 100"},
	{"number: -6\n", "1:9", "out of range"},
	{"number: 99999999999999999999\n", "1:9", "out of range"},
	{"number:\n", "1:8", "number has no value; write a whole number"},
	{"number: ~\n", "1:9", "has no value"},
	{"number: [1]\n", "1:9", "number is a list; write a whole number"},
	{"inner: {depth: {a: 1}}\n", "1:16", "inner.depth is a mapping; write a whole number from 1 to 9"},
	{"inner: 5\n", "1:8", "inner must be a mapping"},
	{"size: 1XB\n", "1:7", "size: \"1XB\" is not a size such as 4096, 16KiB or 64MiB from 0 to 1TiB"},
	{"size: 1KB\n", "1:7", "is not a size"},
	{"size: -1\n", "1:7", "is not a size"},
	{"size: 2TiB\n", "1:7", "out of range"},
	{"size: 99999999TiB\n", "1:7", "out of range"},
	{"duration: 10\n", "1:11", "duration: \"10\" is not a duration such as 250ms, 10s or 5min from 1ms to 1h"},
	{"duration: 0s\n", "1:11", "out of range"},
	{"duration: 5m\n", "1:11", "is not a duration"},
	{"text: \"\"\n", "1:7", "text is empty"},
	{"text: aaaaaaaaaaa\n", "1:7", "text has 11 bytes; write 1 to 10"},
	{"mode: 0999\n", "1:7", "mode: \"0999\" is not an octal file mode such as 0660"},
	{"mode: 7777\n", "1:7", "out of range"},
	{"choice: sort\n", "1:9", "choice: \"sort\" is unknown; did you mean \"soft\"? (one of off, soft or required)"},
	{"choice: zzzzzz\n", "1:9", "write one of off, soft or required"},
	{"share: 1.5\n", "1:8", "share: \"1.5\" is out of range; write a number from 0.1 to 1"},
	{"share: .05\n", "1:8", "out of range"},
	{"share: 1e0\n", "1:8", "is not a number"},
	{"share: -1\n", "1:8", "is not a number"},
	{"share: .\n", "1:8", "is not a number"},
	{"deeds: [log, evit]\n", "1:14", "deeds: \"evit\" is unknown; did you mean \"evict\"?"},
	{"deeds: {log: 1}\n", "1:8", "deeds is a mapping; write a word or a list"},
	{"deeds: [[log]]\n", "1:9", "every item must be a word"},
	{"deeds:\n", "1:7", "deeds has no value; write none or some of log, dump or evict"},
	{"words: {a: b}\n", "1:8", "words is a mapping; write a word or a list"},
	{"words: [a, [b]]\n", "1:12", "every item must be a word"},
};

static void
test_mistakes(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LENGTH(mistakes); i++) {
		struct reading r;
		char place[64];

		read_with(&r, outer_rows, mistakes[i].text);
		assert_int_equal(r.result, -EINVAL);
		assert_int_equal(schema_mistake_count(r.reader), 1);
		(void) snprintf(place, sizeof(place), "/etc/app/t.yaml:%s: ", mistakes[i].place);
		if (strncmp(schema_mistake_text(r.reader, 0), place, strlen(place)) != 0 ||
		    !strstr(schema_mistake_text(r.reader, 0), mistakes[i].words))
			fail_msg("row %zu: %s", i, schema_mistake_text(r.reader, 0));
		assert_null(schema_mistake_text(r.reader, 1));
		release(&r, outer_rows);
	}
}

static void
test_all_mistakes_in_the_order_of_the_file(void **state UNUSED)
{
	struct reading r;

	read_with(&r, outer_rows, "number: x\nitems: [{}]\nflag: x\n");
	assert_int_equal(schema_mistake_count(r.reader), 3);
	(void) schema_mistake(r.reader, yaml_get(r.root, "items"), "said %s", "later");
	assert_non_null(strstr(schema_mistake_text(r.reader, 0), ":1:9: "));
	assert_non_null(strstr(schema_mistake_text(r.reader, 1), ":2:8: said later"));
	assert_non_null(strstr(schema_mistake_text(r.reader, 2), ":2:9: "));
	assert_non_null(strstr(schema_mistake_text(r.reader, 3), ":3:7: "));
	release(&r, outer_rows);
}

static void
test_no_more_than_fifty_are_listed(void **state UNUSED)
{
	struct reading r;
	char text[2000] = "";

	for (int i = 0; i < 60; i++)
		(void) snprintf(text + strlen(text), sizeof(text) - strlen(text), "unknown%d: 1\n", i);
	read_with(&r, outer_rows, text);
	assert_int_equal(r.result, -EINVAL);
	assert_int_equal(schema_mistake_count(r.reader), 51);
	assert_non_null(strstr(schema_mistake_text(r.reader, 49), "unknown49"));
	assert_non_null(strstr(schema_mistake_text(r.reader, 50), "and 10 more"));
	release(&r, outer_rows);
}

/* What a file says must not move the cursor or break the JSON a message travels in. */
static void
test_messages_are_clean(void **state UNUSED)
{
	struct reading r;

	read_with(&r, outer_rows, "choice: \"\\e[2J\\n\\x9b\xc3\xa4\"\n");
	assert_non_null(strstr(schema_mistake_text(r.reader, 0), "\"?[2J???\xc3\xa4\""));
	release(&r, outer_rows);
}

static void
test_wrong_default_of_a_table_is_a_mistake(void **state UNUSED)
{
	/* As a plugin may bring it. */
	static const struct schema_row rows[] = {
		{"number", SCHEMA_INT, offsetof(struct outer, number), .fallback = "many"},
		{.key = NULL},
	};
	struct reading r;

	read_with(&r, rows, "number: 1\n");
	assert_int_equal(r.result, -EINVAL);
	assert_non_null(strstr(schema_mistake_text(r.reader, 0), "number: \"many\" is not a whole number"));
	release(&r, rows);
}

static void
test_without_a_mapping(void **state UNUSED)
{
	static const struct schema_row rows[] = {
		{"text", SCHEMA_STRING, offsetof(struct outer, text), .required = true},
		{.key = NULL},
	};
	struct reading r = {0};

	assert_int_equal(schema_reader_new("t.yaml", NULL, &r.reader), 0);
	assert_int_equal(schema_read(r.reader, inner_rows, NULL, &r.outer.inner), 0);
	assert_int_equal(r.outer.inner.depth, 3);
	assert_int_equal(schema_read(r.reader, rows, NULL, &r.outer), -EINVAL);
	assert_string_equal(schema_mistake_text(r.reader, 0),
			    "t.yaml: missing key \"text\" in the file's top level; add it: a word or text");
	schema_release(inner_rows, &r.outer.inner);
	schema_reader_free(&r.reader);
	schema_reader_free(&r.reader);
	schema_reader_free(NULL);
}

static void
test_nearest(void **state UNUSED)
{
	static const char *const names[] = {"listen", "limits", "tls", "log_level", NULL};
	static const char *const none[] = {NULL};

	assert_string_equal(schema_nearest("lisen", names), "listen");
	assert_string_equal(schema_nearest("limit", names), "limits");
	assert_string_equal(schema_nearest("tsl", names), "tls");
	assert_string_equal(schema_nearest("LOG_LEVEL", names), "log_level");
	assert_string_equal(schema_nearest("loglevel", names), "log_level");
	assert_null(schema_nearest("banana", names));
	assert_null(schema_nearest("ab", names));
	assert_null(schema_nearest("", names));
	assert_null(schema_nearest("x", none));
	assert_null(schema_nearest("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
				   names));
}

static void
test_reference(void **state UNUSED)
{
	CLEANUP_FREE char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	schema_print_reference(outer_rows, "app", out);
	assert_int_equal(fclose(out), 0);
	assert_non_null(strstr(text, "app.flag\n    true or false; default true.\n    A flag.\n"));
	assert_non_null(
		strstr(text, "app.size\n    a size such as 4096, 16KiB or 64MiB from 0 to 1TiB; default 64KiB.\n"));
	assert_non_null(strstr(text, "app.inner.depth\n    a whole number from 1 to 9; default 3.\n"));
	assert_non_null(strstr(text, "app.items[].name\n    a word or text; required.\n"));
	assert_non_null(strstr(text, "app.choice\n    one of off, soft or required; default soft.\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_decimals_and_flags),
		cmocka_unit_test(test_bool_words),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_all_mistakes_in_the_order_of_the_file),
		cmocka_unit_test(test_no_more_than_fifty_are_listed),
		cmocka_unit_test(test_messages_are_clean),
		cmocka_unit_test(test_wrong_default_of_a_table_is_a_mistake),
		cmocka_unit_test(test_without_a_mapping),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
