/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What outlives processes and machines, and what becomes of a file that does not. */
#include "nonces-file.h"
#include "nonces-place.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* --- what outlives the process ----------------------------------------------------------------------------------- */

static void
test_a_restart_forgets_nothing(void **state)
{
	struct place *place = *state;
	struct stat st;

	place_open(place, &nonces_usual, &nonces_noon);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(place_accept(place, i, NOON, NOON), 0);
	assert_int_equal(stat(place->file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, sizeof(struct nonces_header) + 2048 * sizeof(struct nonces_slot));
	/* Closed as it should be, it is whole after the machine's next start as well. */
	place_written_at(place, NOON);
	place_reopen(place, &nonces_usual, &(struct nonces_time){.now = NOON + 60, .boot = NOON + 50});
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(place_accept(place, i, NOON, NOON + 60), -EEXIST);
	assert_int_equal(place_accept(place, 500, NOON, NOON + 60), 0);
}

static void
test_a_crash_forgets_nothing(void **state)
{
	struct place *place = *state;

	place_open(place, &nonces_usual, &nonces_noon);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(place_accept(place, i, NOON, NOON), 0);
	place_written_at(place, NOON);
	place_lose(place);
	place_open(place, &nonces_usual, &nonces_noon);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(place_accept(place, i, NOON, NOON), -EEXIST);
	assert_int_equal(place_accept(place, 50, NOON, NOON), 0);
	assert_int_equal(place_report(place, NOON).horizon, 0);
}

/* What the disk may lack by then is made up for by the horizon; clients may have been ahead. */
static void
test_a_machine_that_stopped_lets_nothing_in_again(void **state)
{
	struct place *place = *state;
	const struct nonces_time next = {.now = NOON + 100, .boot = NOON + 60};

	place_open(place, &nonces_usual, &nonces_noon);
	place_written_at(place, NOON);
	place_lose(place);
	place_open(place, &nonces_usual, &next);
	assert_int_equal(place_accept(place, 1, NOON + 60 + SKEW - 1, next.now), -ETIME);
	assert_int_equal(place_accept(place, 1, NOON + 60 + SKEW, next.now), 0);
	/* The horizon is kept too. */
	place_written_at(place, next.now);
	place_lose(place);
	place_open(place, &nonces_usual, &next);
	assert_int_equal(place_accept(place, 2, NOON + 60 + SKEW - 1, next.now), -ETIME);
	assert_int_equal(place_accept(place, 1, NOON + 60 + SKEW, next.now), -EEXIST);
}

/* The machine's start is told by a clock that is behind: what can be done is done. */
static void
test_a_file_from_the_future(void **state)
{
	struct place *place = *state;

	place_open(place, &nonces_usual, &nonces_noon);
	place_written_at(place, NOON + 1);
	place_lose(place);
	place_open(place, &nonces_usual, &nonces_noon);
	assert_int_equal(place_accept(place, 1, NOON + SKEW - 1, NOON), -ETIME);
	assert_int_equal(place_accept(place, 1, NOON + SKEW, NOON), 0);
}

static void
test_a_damaged_file_lets_nothing_in_again(void **state)
{
	struct place *place = *state;
	struct stat st;

	place_open(place, &nonces_usual, &nonces_noon);
	assert_int_equal(place_accept(place, 1, NOON + SKEW, NOON), 0);
	for (unsigned kind = 0; kind < 5; kind++) {
		nonces_set(place->nonces, &nonces_none, NOON);
		assert_int_equal(stat(place->file, &st), 0);
		int fd = open(place->file, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		const uint32_t buckets[] = {0, 3, 1 << 19};
		if (kind < ARRAY_LENGTH(buckets))
			assert_int_equal(pwrite(fd, &buckets[kind], 4, offsetof(struct nonces_header, buckets)), 4);
		else if (kind == 3)
			assert_int_equal(pwrite(fd, "M", 1, 0), 1);
		else
			assert_int_equal(ftruncate(fd, st.st_size - 1), 0);
		(void) close(fd);
		place_open(place, &nonces_usual, &nonces_noon);
		assert_int_equal(place_accept(place, 1, NOON + SKEW - 1, NOON), -ETIME);
		assert_int_equal(place_accept(place, 2 + kind, NOON + SKEW, NOON), 0);
		assert_int_equal(place_report(place, NOON).horizon, NOON + SKEW);
	}
}

/* Each byte of the file overwritten, every cut: opening ends well, and what was accepted passes only if its own slot
 * was hit. */
static void
test_any_damage_ends_well(void **state)
{
	struct place *place = *state;
	struct nonces_settings small = nonces_usual;
	struct stat st;

	small.capacity = SMALL;
	place_open(place, &small, &nonces_noon);
	nonces_set(place->nonces, &nonces_none, NOON);
	assert_int_equal(stat(place->file, &st), 0);
	for (off_t at = 0; at < (off_t) sizeof(struct nonces_header) + 64; at++) {
		unsigned char byte;
		int fd = open(place->file, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
		byte ^= 0xff;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		(void) close(fd);
		place_open(place, &small, &nonces_noon);
		nonces_set(place->nonces, &nonces_none, NOON);
	}
	for (off_t size = 0; size < st.st_size; size += 61) {
		assert_int_equal(truncate(place->file, size), 0);
		place_open(place, &small, &nonces_noon);
		(void) place_accept(place, 1, NOON, NOON);
		nonces_set(place->nonces, &nonces_none, NOON);
		assert_int_equal(stat(place->file, &st), 0);
	}
}

/* --- what goes wrong --------------------------------------------------------------------------------------------- */

static void
test_what_cannot_be_opened(void **state)
{
	struct place *place = *state;
	struct error error = {0};
	struct nonces *other = NULL;

	assert_int_equal(nonces_open(place->nonces, "/nowhere", &nonces_usual, &nonces_noon, &error), -ENOENT);
	assert_non_null(strstr(error.text, "/nowhere/orders"));

	error = (struct error){0};
	assert_int_equal(mkdir(place->file, 0700), 0);
	assert_true(nonces_open(place->nonces, place->root, &nonces_usual, &nonces_noon, &error) < 0);
	assert_int_equal(rmdir(place->file), 0);

	error = (struct error){0};
	assert_int_equal(symlink("/etc/passwd", place->file), 0);
	assert_int_equal(nonces_open(place->nonces, place->root, &nonces_usual, &nonces_noon, &error), -ELOOP);
	assert_int_equal(unlink(place->file), 0);

	error = (struct error){0};
	assert_int_equal(mkfifo(place->file, 0600), 0);
	assert_int_equal(nonces_open(place->nonces, place->root, &nonces_usual, &nonces_noon, &error), -EINVAL);
	assert_non_null(strstr(error.text, "no regular file"));
	assert_int_equal(unlink(place->file), 0);

	/* One file, one owner. */
	place_open(place, &nonces_usual, &nonces_noon);
	error = (struct error){0};
	assert_int_equal(nonces_new("orders", &other), 0);
	assert_int_equal(nonces_open(other, place->root, &nonces_usual, &nonces_noon, &error), -EBUSY);
	assert_non_null(strstr(error.text, "another process"));
	nonces_free(&other);

	error = (struct error){0};
	assert_int_equal(nonces_open(place->nonces, "/elsewhere", &nonces_usual, &nonces_noon, &error), -EBUSY);
	assert_non_null(strstr(error.text, "move the file"));
	assert_int_equal(place_accept(place, 1, NOON, NOON), 0);
}

static void
allow_files_of(rlim_t size)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Refused while it cannot be written, for good; tried again once a second; whole when that succeeds. */
static void
test_a_full_disk(void **state)
{
	struct place *place = *state;
	void (*old)(int) = signal(SIGXFSZ, SIG_IGN);

	place_open(place, &nonces_usual, &nonces_noon);
	assert_int_equal(place_accept(place, 1, NOON, NOON), 0);
	allow_files_of(10);
	assert_int_equal(place_accept(place, 2, NOON, NOON), -EIO);
	assert_int_equal(place_accept(place, 2, NOON, NOON), -EEXIST);
	assert_int_equal(place_accept(place, 3, NOON, NOON + 1), -EIO);
	allow_files_of(RLIM_INFINITY);
	assert_int_equal(place_accept(place, 4, NOON, NOON + 1), -EIO); /* not tried twice in a second */
	assert_int_equal(place_accept(place, 5, NOON, NOON + 2), 0);
	assert_int_equal(access(place->draft, F_OK), -1);
	assert_int_equal(place_report(place, NOON).unwritten, 3);
	(void) signal(SIGXFSZ, old);
	place_written_at(place, NOON);
	place_lose(place);
	place_open(place, &nonces_usual, &nonces_noon);
	for (unsigned i = 1; i <= 5; i++)
		assert_int_equal(place_accept(place, i, NOON, NOON + 2), -EEXIST);
}

static void
test_a_full_disk_when_it_grows(void **state)
{
	struct place *place = *state;
	struct nonces_settings larger = nonces_usual;
	struct error error = {0};
	void (*old)(int) = signal(SIGXFSZ, SIG_IGN);

	larger.capacity = 4000;
	place_open(place, &nonces_usual, &nonces_noon);
	assert_int_equal(place_accept(place, 1, NOON, NOON), 0);
	allow_files_of(2048 * sizeof(struct nonces_slot) + sizeof(struct nonces_header));
	assert_int_equal(nonces_open(place->nonces, place->root, &larger, &nonces_noon, &error), -EFBIG);
	allow_files_of(RLIM_INFINITY);
	(void) signal(SIGXFSZ, old);
	assert_int_equal(access(place->draft, F_OK), -1);
	assert_int_equal(place_report(place, NOON).room, 2048);
	assert_int_equal(place_accept(place, 1, NOON, NOON), -EEXIST);
	assert_int_equal(place_accept(place, 2, NOON, NOON), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_restart_forgets_nothing, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_a_crash_forgets_nothing, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_a_machine_that_stopped_lets_nothing_in_again, place_setup,
						place_teardown),
		cmocka_unit_test_setup_teardown(test_a_file_from_the_future, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_a_damaged_file_lets_nothing_in_again, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_any_damage_ends_well, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_opened, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_a_full_disk, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_a_full_disk_when_it_grows, place_setup, place_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
