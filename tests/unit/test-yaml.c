/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "yaml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static int
read_text(const char *text, struct yaml_node **ret, struct error *error)
{
	return yaml_read("t.yaml", text, strlen(text), ret, error);
}

static struct yaml_node *
read_good(const char *text)
{
	struct yaml_node *root = NULL;
	struct error error = {0};

	if (read_text(text, &root, &error) < 0)
		fail_msg("%s", error.text);
	return root;
}

static void
test_nodes_know_kind_text_and_place(void **state UNUSED)
{
	struct yaml_node *root = read_good("a: 1\nb:\n  - x\n  - \"no\"\nc: {d: e}\n");
	const struct yaml_node *b = yaml_get(root, "b");

	assert_int_equal(root->kind, YAML_MAP);
	assert_int_equal(root->count, 3);
	assert_string_equal(root->keys[2]->text, "c");
	assert_int_equal(root->keys[2]->line, 5);
	assert_int_equal(root->keys[2]->column, 1);
	assert_string_equal(yaml_get(root, "a")->text, "1");
	assert_int_equal(yaml_get(root, "a")->line, 1);
	assert_int_equal(yaml_get(root, "a")->column, 4);
	assert_false(yaml_get(root, "a")->quoted);
	assert_int_equal(b->kind, YAML_LIST);
	assert_int_equal(b->count, 2);
	assert_null(b->text);
	assert_null(b->keys);
	assert_string_equal(b->values[1]->text, "no");
	assert_true(b->values[1]->quoted);
	assert_int_equal(b->values[1]->line, 4);
	assert_int_equal(b->values[1]->column, 5);
	assert_string_equal(yaml_get(yaml_get(root, "c"), "d")->text, "e");
	assert_null(yaml_get(root, "z"));
	assert_null(yaml_get(b, "x"));
	assert_null(yaml_get(NULL, "x"));
	yaml_release(&root);
	assert_null(root);
	yaml_release(&root);
	yaml_release(NULL);
}

static void
test_empty_documents_are_empty_maps(void **state UNUSED)
{
	static const char *const texts[] = {"", "# nothing\n", "---\n", "\n\n", "\xef\xbb\xbf"};

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		struct yaml_node *root = read_good(texts[i]);

		assert_int_equal(root->kind, YAML_MAP);
		assert_int_equal(root->count, 0);
		yaml_release(&root);
	}
}

static void
test_byte_order_mark_is_skipped(void **state UNUSED)
{
	struct yaml_node *root = read_good("\xef\xbb\xbf"
					   "a: 1\n");

	assert_string_equal(root->keys[0]->text, "a");
	yaml_release(&root);
}

static const struct {
	const char *text, *place, *words;
} mistakes[] = {
	{"a: &x 1\n", "t.yaml:1:4: ", "anchors"},
	{"a: 1\nb: *x\n", "t.yaml:2:4: ", "aliases"},
	{"a: !!int 1\n", "t.yaml:1:4: ", "tags"},
	{"a: !x [1]\n", "t.yaml:1:4: ", "tags"},
	{"a: !x {b: 1}\n", "t.yaml:1:4: ", "tags"},
	{"a: 1\nb: 2\na: 3\n", "t.yaml:3:1: ", "\"a\" is there already (line 1)"},
	{"a: {b: 1, c: 2, b: 3}\n", "t.yaml:1:17: ", "\"b\" is there already"},
	{"a:\n\tb: 1\n", "t.yaml:2:1: ", "tab"},
	{"a: 1\n---\nb: 2\n", "t.yaml:2:1: ", "second document"},
	{"[a]: 1\n", "t.yaml:1:1: ", "a key must be a word"},
	{"? {a: 1}\n: 2\n", "t.yaml:1:3: ", "a key must be a word"},
	{"a: b: c\n", "t.yaml:1:5: ", "mapping values are not allowed"},
	{"a: \"b\n", "t.yaml:2:1: ", "a quote is not closed"},
	{"a: \"\\0\"\n", "t.yaml:1:4: ", "NUL"},
	{"a: [1, 2\n", "t.yaml:2:1: ", "close the list"},
	{"a: 1\n b: 2\n", "t.yaml:2:3: ", "indent"},
	{"a: \x01\n", "t.yaml:1:4: ", "control characters"},
	{"\xc3\xa4\xc3\xa4: \xff\n", "t.yaml:1:5: ", "UTF-8"},
	{"a: @x\n", "t.yaml:1:4: ", "quote the value"},
	{"a: \"\\d\"\n", "t.yaml:1:5: ", "single quotes"},
};

static void
test_mistakes_have_place_and_cure(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LENGTH(mistakes); i++) {
		struct yaml_node *root = (void *) 1;
		struct error error = {0};

		assert_int_equal(read_text(mistakes[i].text, &root, &error), -EINVAL);
		assert_ptr_equal(root, (void *) 1);
		if (strncmp(error.text, mistakes[i].place, strlen(mistakes[i].place)) != 0)
			fail_msg("\"%s\" does not begin with \"%s\"", error.text, mistakes[i].place);
		if (!strstr(error.text, mistakes[i].words))
			fail_msg("\"%s\" lacks \"%s\"", error.text, mistakes[i].words);
	}
}

static void
test_nul_byte_in_the_file(void **state UNUSED)
{
	static const char text[] = "a: 1\nb: \0x\n";
	struct yaml_node *root = NULL;
	struct error error = {0};

	assert_int_equal(yaml_read("t.yaml", text, sizeof(text) - 1, &root, &error), -EINVAL);
	assert_non_null(strstr(error.text, "t.yaml:2:4: "));
	assert_null(root);
}

/* A document of `count` pieces. */
static char *
repeat(const char *piece, size_t count, const char *end, size_t *ret_length)
{
	size_t length = strlen(piece), end_length = strlen(end);
	char *text = malloc(length * count + end_length + 1);

	assert_non_null(text);
	for (size_t i = 0; i < count; i++)
		memcpy(text + i * length, piece, length);
	memcpy(text + length * count, end, end_length + 1);
	*ret_length = length * count + end_length;
	return text;
}

static int
read_repeated(const char *piece, size_t count, const char *end, struct error *error)
{
	struct yaml_node *root = NULL;
	size_t length;
	CLEANUP_FREE char *text = repeat(piece, count, end, &length);
	int r = yaml_read("t.yaml", text, length, &root, error);

	yaml_release(&root);
	return r;
}

static void
test_bounds(void **state UNUSED)
{
	struct error error = {0};

	assert_int_equal(read_repeated("[", 33, "", &error), -EINVAL);
	assert_non_null(strstr(error.text, "t.yaml:1:33: nested deeper than 32"));
	error = (struct error){0};
	assert_int_equal(read_repeated("- ", 32, "x", &error), 0);
	assert_int_equal(read_repeated("- ", 33, "x", &error), -EINVAL);
	error = (struct error){0};
	/* the list itself is a value too */
	assert_int_equal(read_repeated("- x\n", 99999, "", &error), 0);
	assert_int_equal(read_repeated("- x\n", 100000, "", &error), -EINVAL);
	assert_non_null(strstr(error.text, "t.yaml:100000:3: "));
	error = (struct error){0};
	assert_int_equal(read_repeated("#", 4 * 1024 * 1024, "", &error), 0);
	assert_int_equal(read_repeated("#", 4 * 1024 * 1024, "#", &error), -EFBIG);
}

/* A folder of its own, removed with what the tests put there. */
static int
folder_new(void **state)
{
	char *folder = strdup("/tmp/test-yaml-XXXXXX");

	*state = folder;
	return folder && mkdtemp(folder) ? 0 : -1;
}

static int
folder_remove(void **state)
{
	int r = rmdir(*state);

	free(*state);
	return r;
}

static void
test_files(void **state)
{
	struct yaml_node *root = NULL;
	struct error error = {0};
	char path[100], fifo[100];
	FILE *file;

	(void) snprintf(path, sizeof(path), "%s/f.yaml", (char *) *state);
	(void) snprintf(fifo, sizeof(fifo), "%s/fifo", (char *) *state);
	assert_int_equal(yaml_read_file(path, &root, &error), -ENOENT);
	assert_non_null(strstr(error.text, path));
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs("a: [b]\n", file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(yaml_read_file(path, &root, &error), 0);
	assert_string_equal(yaml_get(root, "a")->values[0]->text, "b");
	yaml_release(&root);
	assert_int_equal(unlink(path), 0);

	error = (struct error){0};
	assert_int_equal(yaml_read_file(*state, &root, &error), -EINVAL);
	assert_non_null(strstr(error.text, "not a regular file"));
	/* must not wait for a writer */
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(yaml_read_file(fifo, &root, NULL), -EINVAL);
	assert_int_equal(unlink(fifo), 0);
	assert_null(root);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nodes_know_kind_text_and_place),
		cmocka_unit_test(test_empty_documents_are_empty_maps),
		cmocka_unit_test(test_byte_order_mark_is_skipped),
		cmocka_unit_test(test_mistakes_have_place_and_cure),
		cmocka_unit_test(test_nul_byte_in_the_file),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test_setup_teardown(test_files, folder_new, folder_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
