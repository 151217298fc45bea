/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a log record looks like where there is no journal. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct fixture {
	int saved, reader;
	char text[8192];
};

/* Standard error goes to a pipe. */
static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int tube[2];

	assert_non_null(f);
	assert_int_equal(pipe2(tube, O_CLOEXEC | O_NONBLOCK), 0);
	f->saved = dup(STDERR_FILENO);
	assert_int_equal(dup2(tube[1], STDERR_FILENO), STDERR_FILENO);
	close(tube[1]);
	f->reader = tube[0];
	unsetenv("JOURNAL_STREAM");
	log_open();
	log_set_level(LOG_INFO);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	dup2(f->saved, STDERR_FILENO);
	close(f->saved);
	close(f->reader);
	free(f);
	return 0;
}

static const char *
written(struct fixture *f)
{
	ssize_t n = read(f->reader, f->text, sizeof(f->text) - 1);

	f->text[n > 0 ? n : 0] = '\0';
	return f->text;
}

static void
test_a_record_is_one_line_with_its_fields(void **state)
{
	log_record(LOG_NOTICE, LOG_FIELDS({"MTLSD_PLUGIN", "leak"}, {"MTLSD_NONE", NULL}, {"MTLSD_UID", "0"}),
		   "restart %s: %d", "leak", 7);
	assert_string_equal(written(*state), "mtlsd: notice: restart leak: 7 MTLSD_PLUGIN=leak MTLSD_UID=0\n");
	log_record(LOG_ERR, NULL, "%s", "plain");
	assert_string_equal(written(*state), "mtlsd: error: plain\n");
}

static void
test_values_cannot_forge_lines_or_fields(void **state)
{
	log_record(LOG_INFO,
		   LOG_FIELDS({"A", "two words"}, {"B", "quo\"te\\"}, {"C", ""}, {"D", "x=y"}, {"E", "a\nb\033"}),
		   "first\nmtlsd: error: second\033[2J");
	assert_string_equal(written(*state), "mtlsd: info: first?mtlsd: error: second?[2J"
					     " A=\"two words\" B=\"quo\\\"te\\\\\" C=\"\" D=\"x=y\" E=a?b?\n");
}

static void
test_levels_filter(void **state)
{
	log_set_level(LOG_WARNING);
	log_record(LOG_NOTICE, NULL, "%s", "quiet");
	assert_string_equal(written(*state), "");
	log_record(LOG_WARNING, NULL, "%s", "loud");
	assert_string_equal(written(*state), "mtlsd: warning: loud\n");
	log_set_level(LOG_DEBUG);
	log_debug("%s", "all");
	assert_string_equal(written(*state), "mtlsd: debug: all\n");
}

static void
test_level_names_go_both_ways(void **state)
{
	static const char *const names[] = {"error", "warning", "notice", "info", "debug"};
	int level = -1;

	(void) state;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		assert_int_equal(log_level_parse(names[i], &level), 0);
		assert_int_equal(level, LOG_ERR + (int) i);
		assert_string_equal(log_level_name(level), names[i]);
	}
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
	assert_int_equal(level, LOG_DEBUG);
	/* What is worse than an error is one. */
	assert_string_equal(log_level_name(LOG_CRIT), "error");
}

static void
test_long_records_are_cut_to_one_line(void **state)
{
	char big[6000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_record(LOG_INFO, LOG_FIELDS({"A", big}, {"B", big}), "%s", big);
	written(*state);
	assert_true(strlen(((struct fixture *) *state)->text) <= 4096);
	assert_ptr_equal(strchr(((struct fixture *) *state)->text, '\n'),
			 ((struct fixture *) *state)->text + strlen(((struct fixture *) *state)->text) - 1);
}

static void
test_a_reader_that_stands_still_loses_records_only(void **state)
{
	struct fixture *f = *state;
	struct pollfd full = {.fd = STDERR_FILENO, .events = POLLOUT};

	/* The pipe is filled to the brim; the next record must come back. */
	while (poll(&full, 1, 0) == 1)
		assert_true(write(STDERR_FILENO, "xxxxxxxxxxxxxxxx", 16) > 0);
	errno = E2BIG;
	log_record(LOG_NOTICE, NULL, "%s", "lost");
	assert_int_equal(errno, E2BIG);
	while (*written(f))
		assert_null(strstr(f->text, "lost"));
	log_record(LOG_NOTICE, NULL, "%s", "kept");
	assert_string_equal(written(f), "mtlsd: notice: kept\n");
}

static void
test_the_variable_alone_proves_no_journal(void **state)
{
	/* A child whose stderr was redirected inherits JOURNAL_STREAM all the same. */
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_open();
	log_record(LOG_NOTICE, NULL, "%s", "here");
	assert_string_equal(written(*state), "mtlsd: notice: here\n");
	setenv("JOURNAL_STREAM", "nonsense", 1);
	log_open();
	log_record(LOG_NOTICE, NULL, "%s", "here too");
	assert_string_equal(written(*state), "mtlsd: notice: here too\n");
	unsetenv("JOURNAL_STREAM");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_record_is_one_line_with_its_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values_cannot_forge_lines_or_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(test_levels_filter, setup, teardown),
		cmocka_unit_test_setup_teardown(test_level_names_go_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_records_are_cut_to_one_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_reader_that_stands_still_loses_records_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_variable_alone_proves_no_journal, setup, teardown),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
