/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "archive.h"
#include "cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { NOON = 1893499200 }; /* 2030-01-01 12:00:00 UTC */

struct place {
	char root[64], folder[80];
};

static int
place_setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	strcpy(place->root, "/tmp/test-archive.XXXXXX");
	assert_non_null(mkdtemp(place->root));
	(void) snprintf(place->folder, sizeof(place->folder), "%s/dumps", place->root);
	*state = place;
	return 0;
}

static int
remove_one(const char *folder, const char *name)
{
	char path[400];

	(void) snprintf(path, sizeof(path), "%s/%s", folder, name);
	return remove(path);
}

static int
place_teardown(void **state)
{
	struct place *place = *state;
	DIR *dir = opendir(place->folder);

	for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
		if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
			assert_int_equal(remove_one(place->folder, entry->d_name), 0);
	if (dir != NULL)
		(void) closedir(dir);
	(void) rmdir(place->folder);
	assert_int_equal(rmdir(place->root), 0);
	free(place);
	return 0;
}

static size_t
count_files(const char *folder)
{
	DIR *dir = opendir(folder);
	size_t count = 0;

	assert_non_null(dir);
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	(void) closedir(dir);
	return count;
}

static bool
exists(const struct place *place, const char *name)
{
	char path[400];

	(void) snprintf(path, sizeof(path), "%s/%s", place->folder, name);
	return access(path, F_OK) == 0;
}

/* Its time of writing is set, as files of one test are too close for a clock. */
static int
put(const struct place *place, const struct archive_bounds *bounds, uint64_t instance, size_t length, int order,
    char *name, size_t size)
{
	static const char data[4096] = "{}";
	struct timespec times[2] = {{.tv_sec = 1000 + order}, {.tv_sec = 1000 + order}};
	struct error why = {0};
	char path[400];

	int r = archive_write(place->folder, bounds, "auth-z.1", instance, NOON, data, length, name, size, &why);
	if (r < 0) {
		assert_true(why.text[0] != '\0');
		return r;
	}
	(void) snprintf(path, sizeof(path), "%s/%s", place->folder, name);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	return 0;
}

static void
test_names_modes_and_contents(void **state)
{
	const struct place *place = *state;
	const struct archive_bounds bounds = {10, 1 << 20};
	char name[256], path[400];
	struct stat st;

	assert_int_equal(put(place, &bounds, 7, 100, 0, name, sizeof(name)), 0);
	assert_string_equal(name, "auth-z.1-7-20300101T120000Z.json");
	(void) snprintf(path, sizeof(path), "%s/%s", place->folder, name);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 100);
	assert_int_equal(stat(place->folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(put(place, &bounds, 7, 100, 1, name, sizeof(name)), 0);
	assert_string_equal(name, "auth-z.1-7-20300101T120000Z-2.json");
	assert_int_equal(put(place, &bounds, 7, 100, 2, name, sizeof(name)), 0);
	assert_string_equal(name, "auth-z.1-7-20300101T120000Z-3.json");
	assert_int_equal(count_files(place->folder), 3);
}

static void
test_bounded_by_count_oldest_first(void **state)
{
	const struct place *place = *state;
	const struct archive_bounds bounds = {3, 1 << 20};
	char name[256], first[256];

	assert_int_equal(put(place, &bounds, 100, 10, 50, first, sizeof(first)), 0);
	for (uint64_t i = 0; i < 10; i++) {
		assert_int_equal(put(place, &bounds, i, 10, 60 + (int) i, name, sizeof(name)), 0);
		assert_true(exists(place, name));
		assert_int_equal(count_files(place->folder), i < 2 ? i + 2 : 3);
		assert_int_equal(exists(place, first), i < 2);
	}
}

static void
test_bounded_by_bytes(void **state)
{
	const struct place *place = *state;
	const struct archive_bounds bounds = {100, 2500};
	char name[256], last[256] = "";

	for (uint64_t i = 0; i < 6; i++) {
		assert_int_equal(put(place, &bounds, i, 1000, (int) i, name, sizeof(name)), 0);
		assert_int_equal(count_files(place->folder), i < 1 ? 1 : 2);
		if (i > 0)
			assert_true(exists(place, last)); /* the one before is kept */
		strcpy(last, name);
	}
	/* What can never fit pushes nothing out. */
	assert_int_equal(put(place, &bounds, 9, 2501, 9, name, sizeof(name)), -EFBIG);
	assert_int_equal(count_files(place->folder), 2);
	assert_int_equal(put(place, &bounds, 9, 2500, 9, name, sizeof(name)), 0);
	assert_int_equal(count_files(place->folder), 1);
}

static void
test_files_of_others_are_left_alone(void **state)
{
	static const char *const others[] = {
		"notes.txt", "auth-7.json",           "auth-7-20300101T120000Z.txt",   "auth-7-20300101T12000Z.json",
		"T.json",    "20300101T120000Z.json", ".auth-7-20300101T120000Z.json", "auth-7-2030x101T120000Z.json",
	};
	const struct place *place = *state;
	const struct archive_bounds bounds = {1, 1 << 20};
	char name[256], path[400];

	assert_int_equal(mkdir(place->folder, 0700), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
		(void) snprintf(path, sizeof(path), "%s/%s", place->folder, others[i]);
		FILE *file = fopen(path, "w");
		assert_non_null(file);
		(void) fclose(file);
	}
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(put(place, &bounds, i, 10, (int) i, name, sizeof(name)), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
		if (!exists(place, others[i]))
			fail_msg("%s is gone", others[i]);
	assert_int_equal(count_files(place->folder), ARRAY_LENGTH(others) + 1);
}

static void
test_a_folder_that_cannot_be_made(void **state)
{
	const struct place *place = *state;
	const struct archive_bounds bounds = {1, 1 << 20};
	struct error why = {0};
	char deep[120];

	(void) snprintf(deep, sizeof(deep), "%s/no/such", place->root);
	assert_int_equal(archive_write(deep, &bounds, "p", 1, NOON, "{}", 2, NULL, 0, &why), -ENOENT);
	assert_non_null(strstr(why.text, deep));
}

/* A daemon that died while it wrote left a draft. */
static void
test_a_draft_left_behind(void **state)
{
	const struct place *place = *state;
	const struct archive_bounds bounds = {2, 1 << 20};
	char name[256], path[400];

	assert_int_equal(mkdir(place->folder, 0700), 0);
	(void) snprintf(path, sizeof(path), "%s/.draft", place->folder);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	(void) fputs("half", file);
	(void) fclose(file);
	assert_int_equal(put(place, &bounds, 1, 20, 0, name, sizeof(name)), 0);
	assert_false(exists(place, ".draft"));
	assert_int_equal(count_files(place->folder), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names_modes_and_contents, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_bounded_by_count_oldest_first, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_bounded_by_bytes, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_files_of_others_are_left_alone, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_a_folder_that_cannot_be_made, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_a_draft_left_behind, place_setup, place_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
