/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "accesslog.h"
#include "cleanup.h"

#include <errno.h>
#include <jansson.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct accesslog_entry plain = {
	.began = INT64_C(1700000000123456),
	.duration = 1500,
	.bytes = 42,
	.instance = 7,
	.status = 200,
	.text = {[ACCESSLOG_ADDRESS] = "192.0.2.1",
		 [ACCESSLOG_SUBJECT] = "CN=web,O=A B",
		 [ACCESSLOG_METHOD] = "GET",
		 [ACCESSLOG_TARGET] = "/a",
		 [ACCESSLOG_VERSION] = "HTTP/1.1",
		 [ACCESSLOG_AGENT] = "curl \"8\"\n\\x",
		 [ACCESSLOG_ROUTE] = "r",
		 [ACCESSLOG_PLUGIN] = "p"},
};

static char *
combined(const struct accesslog_entry *entry)
{
	size_t length = 0;
	char *line = NULL;

	assert_int_equal(accesslog_combined(entry, &line, &length), 0);
	assert_int_equal(strlen(line), length);
	return line;
}

static void
test_combined(void **state UNUSED)
{
	struct accesslog_entry entry = plain;
	CLEANUP_FREE char *line = NULL, *bare = NULL;

	setenv("TZ", "UTC", 1);
	line = combined(&entry);
	assert_string_equal(line,
			    "192.0.2.1 - \"CN=web,O=A B\" [14/Nov/2023:22:13:20 +0000] \"GET /a HTTP/1.1\" 200 42 "
			    "\"-\" \"curl \\x228\\x22\\x0A\\x5Cx\"\n");
	entry.text[ACCESSLOG_SUBJECT] = NULL;
	entry.text[ACCESSLOG_TARGET] = "/a?q=\"";
	entry.text[ACCESSLOG_AGENT] = NULL;
	bare = combined(&entry);
	assert_string_equal(bare, "192.0.2.1 - - [14/Nov/2023:22:13:20 +0000] \"GET /a?q=\\x22 HTTP/1.1\" 200 42 \"-\" "
				  "\"-\"\n");
}

static void
test_json(void **state UNUSED)
{
	struct accesslog_entry entry = plain;
	CLEANUP_FREE char *line = NULL;
	size_t length = 0;

	entry.aborted = true;
	entry.text[ACCESSLOG_REFERER] = "caf\xe9\"";
	assert_int_equal(accesslog_json(&entry, &line, &length), 0);
	assert_int_equal(line[length - 1], '\n');
	assert_int_equal(strlen(line), length);
	json_t *object = json_loads(line, 0, NULL);
	assert_non_null(object);
	assert_string_equal(json_string_value(json_object_get(object, "time")), "2023-11-14T22:13:20.123456Z");
	assert_string_equal(json_string_value(json_object_get(object, "referer")), "caf?\"");
	assert_string_equal(json_string_value(json_object_get(object, "plugin")), "p");
	assert_int_equal(json_integer_value(json_object_get(object, "instance")), 7);
	assert_int_equal(json_integer_value(json_object_get(object, "duration_us")), 1500);
	assert_true(json_is_true(json_object_get(object, "aborted")));
	assert_null(json_object_get(object, "query"));
	json_decref(object);
}

struct folder {
	char path[64], file[96], other[96];
};

static char *
contents(const char *path)
{
	char *text = calloc(1, 4 * 1024 * 1024);
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	assert_true(fread(text, 1, 4 * 1024 * 1024 - 1, file) < 4 * 1024 * 1024 - 1);
	(void) fclose(file);
	return text;
}

static size_t
count_lines(const char *text)
{
	size_t lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

static struct folder
folder_make(void)
{
	struct folder folder = {.path = "/tmp/accesslog-XXXXXX"};

	assert_non_null(mkdtemp(folder.path));
	(void) snprintf(folder.file, sizeof(folder.file), "%s/log", folder.path);
	(void) snprintf(folder.other, sizeof(folder.other), "%s/other", folder.path);
	return folder;
}

static void
folder_remove(const struct folder *folder)
{
	(void) unlink(folder->file);
	(void) unlink(folder->other);
	assert_int_equal(rmdir(folder->path), 0);
}

static void
test_file_gets_every_record_once(void **state UNUSED)
{
	struct folder folder = folder_make();
	struct config_access_log settings = {.to = CONFIG_ACCESS_LOG_FILE, .path = folder.file};
	struct accesslog_counts counts;
	struct accesslog *log = NULL;
	struct error error = {0};

	assert_int_equal(accesslog_new(&log), 0);
	assert_false(accesslog_is_on(log));
	assert_false(accesslog_is_on(NULL));
	assert_int_equal(accesslog_apply(log, &settings, &error), 0);
	assert_true(accesslog_is_on(log));
	struct accesslog_entry entry = plain;
	entry.text[ACCESSLOG_TARGET] = "/a?secret";
	for (int i = 0; i < 50; i++)
		accesslog_write(log, &entry);
	/* Freeing writes what waits. */
	accesslog_free(&log);
	assert_null(log);
	CLEANUP_FREE char *text = contents(folder.file);
	assert_int_equal(count_lines(text), 50);
	assert_null(strstr(text, "secret"));
	struct stat status;
	assert_int_equal(stat(folder.file, &status), 0);
	assert_int_equal(status.st_mode & 0777 & ~0640, 0);
	assert_int_equal(accesslog_new(&log), 0);
	accesslog_counts(log, &counts);
	assert_int_equal(counts.written + counts.dropped, 0);
	accesslog_free(&log);
	folder_remove(&folder);
}

/* More than the buffers hold cannot be lost silently: what was not written was counted. */
static void
test_what_is_dropped_is_counted(void **state UNUSED)
{
	struct folder folder = folder_make();
	struct config_access_log settings = {
		.to = CONFIG_ACCESS_LOG_FILE, .format = CONFIG_ACCESS_LOG_JSON, .path = folder.file, .rate = 3};
	struct accesslog_counts counts = {0};
	struct accesslog *log = NULL;

	assert_int_equal(accesslog_new(&log), 0);
	assert_int_equal(accesslog_apply(log, &settings, NULL), 0);
	for (int i = 0; i < 5000; i++)
		accesslog_write(log, &plain);
	while (counts.written + counts.dropped < 5000) {
		sched_yield();
		accesslog_counts(log, &counts);
	}
	assert_int_equal(counts.written + counts.dropped, 5000);
	/* Three a second: it took far less than a thousand seconds. */
	assert_true(counts.written >= 3 && counts.written < 3000);
	accesslog_free(&log);
	CLEANUP_FREE char *text = contents(folder.file);
	assert_int_equal(count_lines(text), counts.written);
	folder_remove(&folder);
}

static void
test_settings_change_while_it_runs(void **state UNUSED)
{
	struct folder folder = folder_make();
	struct config_access_log settings = {.to = CONFIG_ACCESS_LOG_FILE, .path = folder.file, .query = true};
	struct accesslog_counts counts = {0};
	struct accesslog *log = NULL;
	struct error error = {0};
	struct accesslog_entry entry = plain;

	entry.text[ACCESSLOG_TARGET] = "/a?shown";
	assert_int_equal(accesslog_new(&log), 0);
	assert_int_equal(accesslog_apply(log, &settings, &error), 0);
	accesslog_write(log, &entry);
	while (counts.written < 1) {
		sched_yield();
		accesslog_counts(log, &counts);
	}
	/* As log rotation does it. */
	assert_int_equal(rename(folder.file, folder.other), 0);
	assert_int_equal(accesslog_apply(log, &settings, &error), 0);
	accesslog_write(log, &entry);
	while (counts.written < 2) {
		sched_yield();
		accesslog_counts(log, &counts);
	}
	/* What cannot be opened changes nothing. */
	settings.path = folder.path;
	assert_int_equal(accesslog_apply(log, &settings, &error), -EISDIR);
	assert_non_null(strstr(error.text, folder.path));
	assert_true(accesslog_is_on(log));
	settings.to = CONFIG_ACCESS_LOG_OFF;
	assert_int_equal(accesslog_apply(log, &settings, &error), 0);
	assert_false(accesslog_is_on(log));
	accesslog_free(&log);
	CLEANUP_FREE char *before = contents(folder.other), *after = contents(folder.file);
	assert_int_equal(count_lines(before), 1);
	assert_int_equal(count_lines(after), 1);
	assert_non_null(strstr(after, "/a?shown "));
	folder_remove(&folder);
}

static void
test_long_texts_are_cut(void **state UNUSED)
{
	struct folder folder = folder_make();
	struct config_access_log settings = {.to = CONFIG_ACCESS_LOG_FILE, .path = folder.file};
	struct accesslog_entry entry = plain;
	struct accesslog *log = NULL;
	static char path[100000];

	memset(path, 'x', sizeof(path) - 1);
	entry.text[ACCESSLOG_TARGET] = path;
	assert_int_equal(accesslog_new(&log), 0);
	assert_int_equal(accesslog_apply(log, &settings, NULL), 0);
	accesslog_write(log, &entry);
	accesslog_free(&log);
	CLEANUP_FREE char *text = contents(folder.file);
	assert_int_equal(count_lines(text), 1);
	assert_true(strlen(text) > 1024 && strlen(text) < 1300);
	folder_remove(&folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_combined),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_file_gets_every_record_once),
		cmocka_unit_test(test_what_is_dropped_is_counted),
		cmocka_unit_test(test_settings_change_while_it_runs),
		cmocka_unit_test(test_long_texts_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
