/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that are replaced in every way there is, in folders of its own. */
#include "tls-watch.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { QUIET = 2000, PATIENCE = 30000000 };

struct fixture {
	char folder[64];
	sd_event *event;
	struct tls_watch *watch;
	unsigned told;
};

static void
on_change(void *arg)
{
	struct fixture *f = arg;
	f->told++;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	strcpy(f->folder, "/tmp/mtlsd-watch-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	assert_int_equal(chdir(f->folder), 0); /* names in the tests are relative to it */
	assert_true(sd_event_new(&f->event) >= 0);
	assert_int_equal(tls_watch_new(f->event, QUIET, on_change, f, &f->watch), 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];
	tls_watch_free(&f->watch);
	tls_watch_free(&f->watch);
	sd_event_unref(f->event);
	assert_int_equal(chdir("/"), 0);
	snprintf(command, sizeof(command), "rm -r %s", f->folder);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void
put(const char *name, const char *text)
{
	FILE *file = fopen(name, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void
watch_one(struct fixture *f, const char *name)
{
	char path[PATH_MAX];
	const char *paths[] = {path};
	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	assert_int_equal(tls_watch_set(f->watch, paths, 1), 0);
}

/* Everything the kernel has said by now is told: a file that is certainly watched is touched last, in a way that is
 * told too. */
static unsigned
told_after(struct fixture *f)
{
	uint64_t before = f->told;
	for (int64_t left = PATIENCE; f->told == before && left > 0; left -= 100000)
		assert_true(sd_event_run(f->event, 100000) >= 0);
	return f->told - (unsigned) before;
}

static void
settle(struct fixture *f)
{
	/* Until the loop has nothing to do for much longer than the quiet time. */
	while (sd_event_run(f->event, 50 * QUIET) > 0)
		;
	f->told = 0;
}

static void
test_written_and_moved_over(void **state)
{
	struct fixture *f = *state;
	put("cert", "1");
	watch_one(f, "cert");
	settle(f);
	put("cert", "2");
	assert_int_equal(told_after(f), 1);
	put("cert.new", "3");
	assert_int_equal(rename("cert.new", "cert"), 0);
	assert_int_equal(told_after(f), 1);
	assert_int_equal(unlink("cert"), 0);
	assert_int_equal(told_after(f), 1);
	put("cert", "4");
	assert_int_equal(told_after(f), 1);
}

static void
test_neighbours_are_nobodys_business(void **state)
{
	struct fixture *f = *state;
	put("cert", "1");
	watch_one(f, "cert");
	settle(f);
	put("cert2", "1");
	put("certs", "1");
	put("cer", "1");
	assert_int_equal(unlink("cer"), 0);
	while (sd_event_run(f->event, 50 * QUIET) > 0)
		;
	assert_int_equal(f->told, 0);
	put("cert", "2");
	assert_int_equal(told_after(f), 1);
}

static void
test_what_comes_together_is_told_once(void **state)
{
	struct fixture *f = *state;
	char cert[PATH_MAX], key[PATH_MAX];
	const char *paths[] = {cert, key};
	snprintf(cert, sizeof(cert), "%s/cert", f->folder);
	snprintf(key, sizeof(key), "%s/key", f->folder);
	assert_int_equal(tls_watch_set(f->watch, paths, 2), 0);
	assert_int_equal(tls_watch_folders(f->watch), 1);
	settle(f);
	for (unsigned i = 0; i < 50; i++) {
		put("cert", "2");
		put("key", "2");
	}
	assert_int_equal(told_after(f), 1);
	while (sd_event_run(f->event, 50 * QUIET) > 0)
		;
	assert_int_equal(f->told, 1);
}

/* live/cert -> ../archive/cert1, and the link is replaced. */
static void
test_a_link_that_is_moved(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(mkdir("archive", 0700) | mkdir("live", 0700), 0);
	put("archive/cert1", "1");
	put("archive/cert2", "2");
	assert_int_equal(symlink("../archive/cert1", "live/cert"), 0);
	watch_one(f, "live/cert");
	assert_int_equal(tls_watch_folders(f->watch), 2);
	settle(f);
	assert_int_equal(symlink("../archive/cert2", "live/new"), 0);
	assert_int_equal(rename("live/new", "live/cert"), 0);
	assert_int_equal(told_after(f), 1);
	/* It is the new target now that matters. */
	put("archive/cert2", "3");
	assert_int_equal(told_after(f), 1);
	put("archive/cert1", "4");
	while (sd_event_run(f->event, 50 * QUIET) > 0)
		;
	assert_int_equal(f->told, 2);
}

/* cert -> ..data/cert, ..data -> ..v1, and the link of the folder is replaced. */
static void
test_a_link_of_a_folder_on_the_way(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(mkdir("..v1", 0700) | mkdir("..v2", 0700), 0);
	put("..v1/cert", "1");
	put("..v2/cert", "2");
	assert_int_equal(symlink("..v1", "..data") | symlink("..data/cert", "cert"), 0);
	watch_one(f, "cert");
	settle(f);
	assert_int_equal(symlink("..v2", "..new"), 0);
	assert_int_equal(rename("..new", "..data"), 0);
	assert_int_equal(told_after(f), 1);
	put("..v2/cert", "3");
	assert_int_equal(told_after(f), 1);
}

static void
test_a_folder_that_comes_later(void **state)
{
	struct fixture *f = *state;
	watch_one(f, "later/inside/cert");
	settle(f);
	assert_int_equal(mkdir("later", 0700), 0);
	assert_int_equal(told_after(f), 1);
	assert_int_equal(mkdir("later/inside", 0700), 0);
	assert_int_equal(told_after(f), 1);
	put("later/inside/cert", "1");
	assert_int_equal(told_after(f), 1);
	/* And goes, and comes again. */
	assert_int_equal(rename("later/inside", "later/outside"), 0);
	assert_int_equal(told_after(f), 1);
	assert_int_equal(mkdir("later/inside", 0700), 0);
	assert_int_equal(told_after(f), 1);
	put("later/inside/cert", "2");
	assert_true(told_after(f) >= 1);
}

static void
test_links_in_a_circle_end(void **state)
{
	struct fixture *f = *state;
	char path[PATH_MAX];
	const char *paths[] = {path};
	assert_int_equal(symlink("b", "a") | symlink("a", "b"), 0);
	snprintf(path, sizeof(path), "%s/a", f->folder);
	assert_int_equal(tls_watch_set(f->watch, paths, 1), -ELOOP);
	settle(f);
	assert_int_equal(unlink("a"), 0);
	assert_int_equal(told_after(f), 1);
}

static void
test_what_is_not_watched_any_more(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(mkdir("one", 0700) | mkdir("two", 0700), 0);
	watch_one(f, "one/cert");
	watch_one(f, "two/cert");
	settle(f);
	put("one/cert", "1");
	while (sd_event_run(f->event, 50 * QUIET) > 0)
		;
	assert_int_equal(f->told, 0);
	put("two/cert", "1");
	assert_int_equal(told_after(f), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_written_and_moved_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_neighbours_are_nobodys_business, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_comes_together_is_told_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_link_that_is_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_link_of_a_folder_on_the_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_folder_that_comes_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links_in_a_circle_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_not_watched_any_more, setup, teardown),
	};
	return cmocka_run_group_tests_name("tls-watch", tests, NULL, NULL);
}
