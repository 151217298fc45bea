/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nonces-file.h"
#include "nonces.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { NOON = 1893499200 /* 2030-01-01 12:00:00 UTC */, WINDOW = 300, SKEW = 30, SMALL = 64, ROOM = 128 };

static const struct nonces_settings usual = {.window = WINDOW, .skew = SKEW, .capacity = 1000};
static const struct nonces_settings none = {.window = 0};
/* Booted an hour ago. */
static const struct nonces_time noon = {.now = NOON, .boot = NOON - 3600};

struct place {
	char root[64], file[80], draft[96];
	struct nonces *nonces;
};

static int
set_up(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	strcpy(place->root, "/tmp/test-nonces.XXXXXX");
	assert_non_null(mkdtemp(place->root));
	(void) snprintf(place->file, sizeof(place->file), "%s/orders", place->root);
	(void) snprintf(place->draft, sizeof(place->draft), "%s.draft", place->file);
	assert_int_equal(nonces_new("orders", &place->nonces), 0);
	*state = place;
	return 0;
}

static int
tear_down(void **state)
{
	struct place *place = *state;

	nonces_free(&place->nonces);
	(void) unlink(place->file);
	assert_int_equal(rmdir(place->root), 0); /* nothing but the file was left */
	free(place);
	return 0;
}

static void
open_with(struct place *place, const struct nonces_settings *settings, const struct nonces_time *time)
{
	struct error error = {0};

	if (nonces_open(place->nonces, place->root, settings, time, &error) < 0)
		fail_msg("%s", error.text);
}

static int
accept_one(struct place *place, unsigned number, int64_t signed_at, int64_t now)
{
	char nonce[32];
	int length = snprintf(nonce, sizeof(nonce), "nonce %u", number);

	return nonces_accept(place->nonces, nonce, (size_t) length, signed_at, now);
}

/* As a process that dies leaves it. */
static void
lose(struct place *place)
{
	char kept[100];

	(void) snprintf(kept, sizeof(kept), "%s.kept", place->file);
	assert_int_equal(link(place->file, kept), 0);
	assert_int_equal(unlink(place->file), 0);
	/* What its destructor does to the other name's file is undone by writing the header back. */
	int fd = open(kept, O_RDWR | O_CLOEXEC);
	struct nonces_header header;
	struct stat st;
	assert_true(fd >= 0 && pread(fd, &header, sizeof(header), 0) == sizeof(header) && fstat(fd, &st) == 0);
	nonces_free(&place->nonces);
	assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
	const struct timespec times[2] = {st.st_atim, st.st_mtim};
	assert_int_equal(futimens(fd, times), 0);
	(void) close(fd);
	assert_int_equal(rename(kept, place->file), 0);
	assert_int_equal(nonces_new("orders", &place->nonces), 0);
}

static void
reopen(struct place *place, const struct nonces_settings *settings, const struct nonces_time *time)
{
	nonces_free(&place->nonces);
	assert_int_equal(nonces_new("orders", &place->nonces), 0);
	open_with(place, settings, time);
}

static void
written_at(const struct place *place, int64_t seconds)
{
	const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};

	assert_int_equal(utimensat(AT_FDCWD, place->file, times, 0), 0);
}

static struct nonces_report
report(struct place *place, int64_t now)
{
	struct nonces_report seen;

	nonces_read(place->nonces, now, &seen);
	return seen;
}

/* --- what is accepted -------------------------------------------------------------------------------------------- */

static void
test_once(void **state)
{
	struct place *place = *state;

	open_with(place, &usual, &noon);
	assert_int_equal(nonces_window(place->nonces), WINDOW);
	assert_int_equal(accept_one(place, 1, NOON, NOON), 0);
	assert_int_equal(accept_one(place, 1, NOON, NOON), -EEXIST);
	assert_int_equal(accept_one(place, 2, NOON, NOON + 1), 0);
	/* A nonce is a nonce, also with another time. */
	assert_int_equal(accept_one(place, 2, NOON + 1, NOON + 1), -EEXIST);

	struct nonces_report seen = report(place, NOON);
	assert_true(seen.open);
	assert_int_equal(seen.remembered, 2);
	assert_int_equal(seen.accepted, 2);
	assert_int_equal(seen.repeated, 2);
	assert_int_equal(seen.room, 2048);
	assert_int_equal(seen.settings.capacity, 1000);
}

static void
test_the_window(void **state)
{
	static const struct {
		int64_t ago;
		int result;
	} rows[] = {{WINDOW, 0}, {WINDOW + 1, -ETIME}, {-SKEW, 0}, {-SKEW - 1, -ETIME}, {NOON, -ETIME}};
	struct place *place = *state;

	open_with(place, &usual, &noon);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		assert_int_equal(accept_one(place, (unsigned) i, NOON - rows[i].ago, NOON), rows[i].result);
	assert_int_equal(accept_one(place, 10, INT64_MIN, NOON), -ETIME);
	assert_int_equal(accept_one(place, 11, INT64_MAX, NOON), -ETIME);
	assert_int_equal(report(place, NOON).untimely, 5);
}

/* As long as its message would pass, and no longer than that and the clocks' difference. */
static void
test_how_long_it_is_remembered(void **state)
{
	struct place *place = *state;

	open_with(place, &usual, &noon);
	assert_int_equal(accept_one(place, 1, NOON + SKEW, NOON), 0);
	assert_int_equal(accept_one(place, 1, NOON + SKEW, NOON + SKEW + WINDOW), -EEXIST);
	assert_int_equal(accept_one(place, 1, NOON + SKEW, NOON + SKEW + WINDOW + 1), -ETIME);
	assert_int_equal(report(place, NOON + WINDOW + 2 * SKEW).remembered, 1);
	assert_int_equal(report(place, NOON + WINDOW + 2 * SKEW + 1).remembered, 0);
}

static void
test_what_is_no_nonce(void **state)
{
	struct place *place = *state;
	char longest[NONCES_LENGTH + 1];

	memset(longest, 'n', sizeof(longest));
	assert_int_equal(nonces_accept(place->nonces, "n", 1, NOON, NOON), -EOPNOTSUPP);
	assert_int_equal(nonces_window(place->nonces), 0);
	open_with(place, &usual, &noon);
	assert_int_equal(nonces_accept(place->nonces, NULL, 1, NOON, NOON), -EINVAL);
	assert_int_equal(nonces_accept(place->nonces, "", 0, NOON, NOON), -EINVAL);
	assert_int_equal(nonces_accept(place->nonces, longest, sizeof(longest), NOON, NOON), -EINVAL);
	assert_int_equal(nonces_accept(place->nonces, longest, sizeof(longest) - 1, NOON, NOON), 0);
	assert_int_equal(nonces_accept(place->nonces, longest, sizeof(longest) - 2, NOON, NOON), 0);
	assert_int_equal(nonces_accept(place->nonces, "a\0b", 3, NOON, NOON), 0);
	assert_int_equal(nonces_accept(place->nonces, "a\0c", 3, NOON, NOON), 0);
}

/* It refuses rather than forget, and has room again when the window has passed. */
static void
test_a_full_one_refuses(void **state)
{
	struct place *place = *state;
	struct nonces_settings small = usual;
	unsigned accepted = 0;

	small.capacity = SMALL;
	open_with(place, &small, &noon);
	for (unsigned i = 0; i < 4 * ROOM; i++) {
		int r = accept_one(place, i, NOON, NOON);
		assert_true(r == 0 || r == -ENOSPC);
		accepted += r == 0;
		if (i < SMALL)
			assert_int_equal(r, 0);
	}
	struct nonces_report seen = report(place, NOON);
	assert_int_equal(seen.room, ROOM);
	assert_in_range(accepted, SMALL, ROOM);
	assert_int_equal(seen.remembered, accepted);
	assert_int_equal(seen.full, 4 * ROOM - accepted);
	for (unsigned i = 0, again = 0; i < 4 * ROOM && again < accepted; i++) {
		int r = accept_one(place, i, NOON, NOON + 1);
		assert_true(r == -EEXIST || r == -ENOSPC);
		again += r == -EEXIST;
	}
	int64_t later = NOON + WINDOW + SKEW + 1;
	assert_int_equal(accept_one(place, 10000, later, later), 0);
	assert_int_equal(report(place, later).remembered, 1);
}

/* --- what outlives the process ----------------------------------------------------------------------------------- */

static void
test_a_restart_forgets_nothing(void **state)
{
	struct place *place = *state;
	struct stat st;

	open_with(place, &usual, &noon);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(accept_one(place, i, NOON, NOON), 0);
	assert_int_equal(stat(place->file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, sizeof(struct nonces_header) + 2048 * sizeof(struct nonces_slot));
	/* Closed as it should be, it is whole after the machine's next start as well. */
	written_at(place, NOON);
	reopen(place, &usual, &(struct nonces_time){.now = NOON + 60, .boot = NOON + 50});
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(accept_one(place, i, NOON, NOON + 60), -EEXIST);
	assert_int_equal(accept_one(place, 500, NOON, NOON + 60), 0);
}

static void
test_a_crash_forgets_nothing(void **state)
{
	struct place *place = *state;

	open_with(place, &usual, &noon);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(accept_one(place, i, NOON, NOON), 0);
	written_at(place, NOON);
	lose(place);
	open_with(place, &usual, &noon);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(accept_one(place, i, NOON, NOON), -EEXIST);
	assert_int_equal(accept_one(place, 50, NOON, NOON), 0);
	assert_int_equal(report(place, NOON).horizon, 0);
}

/* What the disk may lack by then is made up for by the horizon; clients may have been ahead. */
static void
test_a_machine_that_stopped_lets_nothing_in_again(void **state)
{
	struct place *place = *state;
	const struct nonces_time next = {.now = NOON + 100, .boot = NOON + 60};

	open_with(place, &usual, &noon);
	written_at(place, NOON);
	lose(place);
	open_with(place, &usual, &next);
	assert_int_equal(accept_one(place, 1, NOON + 60 + SKEW - 1, next.now), -ETIME);
	assert_int_equal(accept_one(place, 1, NOON + 60 + SKEW, next.now), 0);
	/* The horizon is kept too. */
	written_at(place, next.now);
	lose(place);
	open_with(place, &usual, &next);
	assert_int_equal(accept_one(place, 2, NOON + 60 + SKEW - 1, next.now), -ETIME);
	assert_int_equal(accept_one(place, 1, NOON + 60 + SKEW, next.now), -EEXIST);
}

static void
test_a_damaged_file_lets_nothing_in_again(void **state)
{
	struct place *place = *state;
	struct stat st;

	open_with(place, &usual, &noon);
	assert_int_equal(accept_one(place, 1, NOON + SKEW, NOON), 0);
	for (unsigned kind = 0; kind < 5; kind++) {
		nonces_set(place->nonces, &none, NOON);
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
		open_with(place, &usual, &noon);
		assert_int_equal(accept_one(place, 1, NOON + SKEW - 1, NOON), -ETIME);
		assert_int_equal(accept_one(place, 2 + kind, NOON + SKEW, NOON), 0);
		assert_int_equal(report(place, NOON).horizon, NOON + SKEW);
	}
}

/* Each byte of the file overwritten, every cut: opening ends well, and what was accepted passes only if its own slot
 * was hit. */
static void
test_any_damage_ends_well(void **state)
{
	struct place *place = *state;
	struct nonces_settings small = usual;
	struct stat st;

	small.capacity = SMALL;
	open_with(place, &small, &noon);
	nonces_set(place->nonces, &none, NOON);
	assert_int_equal(stat(place->file, &st), 0);
	for (off_t at = 0; at < (off_t) sizeof(struct nonces_header) + 64; at++) {
		unsigned char byte;
		int fd = open(place->file, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
		byte ^= 0xff;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		(void) close(fd);
		open_with(place, &small, &noon);
		nonces_set(place->nonces, &none, NOON);
	}
	for (off_t size = 0; size < st.st_size; size += 61) {
		assert_int_equal(truncate(place->file, size), 0);
		open_with(place, &small, &noon);
		(void) accept_one(place, 1, NOON, NOON);
		nonces_set(place->nonces, &none, NOON);
		assert_int_equal(stat(place->file, &st), 0);
	}
}

/* --- settings ---------------------------------------------------------------------------------------------------- */

/* What was forgotten under a short window must not pass under a longer one. */
static void
test_a_longer_window(void **state)
{
	struct place *place = *state;
	struct nonces_settings longer = usual;
	int64_t later = NOON + WINDOW + SKEW + 1;

	longer.window = 4 * WINDOW;
	open_with(place, &usual, &noon);
	assert_int_equal(accept_one(place, 1, NOON, NOON), 0);
	assert_int_equal(accept_one(place, 2, NOON + 2, NOON + 2), 0);
	nonces_set(place->nonces, &longer, later);
	assert_int_equal(accept_one(place, 1, NOON, later), -ETIME);
	assert_int_equal(accept_one(place, 2, NOON + 2, later), -EEXIST);
	assert_int_equal(accept_one(place, 3, NOON + 2, later), 0);
	/* Also when it became longer while no daemon ran. */
	nonces_set(place->nonces, &usual, later);
	nonces_set(place->nonces, &none, later);
	int64_t latest = later + WINDOW + SKEW + 1;
	open_with(place, &longer, &(struct nonces_time){.now = latest, .boot = noon.boot});
	assert_int_equal(accept_one(place, 4, later, latest), -ETIME);
	assert_int_equal(accept_one(place, 4, later + 1, latest), 0);
}

static void
test_more_and_less_room(void **state)
{
	struct place *place = *state;
	struct nonces_settings other = usual;
	struct error error = {0};

	open_with(place, &usual, &noon);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(accept_one(place, i, NOON, NOON), 0);
	other.capacity = 50000;
	open_with(place, &other, &noon);
	assert_int_equal(report(place, NOON).room, 131072);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(accept_one(place, i, NOON, NOON), -EEXIST);
	/* Less than what is remembered is refused, and nothing changed. */
	other.capacity = SMALL;
	assert_int_equal(nonces_open(place->nonces, place->root, &other, &noon, &error), -ENOSPC);
	assert_non_null(strstr(error.text, "capacity of 64"));
	assert_int_equal(report(place, NOON).room, 131072);
	assert_int_equal(accept_one(place, 999, NOON, NOON), -EEXIST);
	/* Later it is taken. */
	struct nonces_time later = {.now = NOON + WINDOW + SKEW + 1, .boot = noon.boot};
	open_with(place, &other, &later);
	assert_int_equal(report(place, later.now).room, ROOM);
	/* A file of another size than wanted is fitted when it is opened. */
	assert_int_equal(accept_one(place, 1, later.now, later.now), 0);
	reopen(place, &usual, &later);
	assert_int_equal(report(place, later.now).room, 2048);
	assert_int_equal(accept_one(place, 1, later.now, later.now), -EEXIST);
}

static void
test_closed_and_opened_again(void **state)
{
	struct place *place = *state;

	open_with(place, &usual, &noon);
	assert_int_equal(accept_one(place, 1, NOON, NOON), 0);
	nonces_set(place->nonces, &none, NOON);
	assert_int_equal(accept_one(place, 2, NOON, NOON), -EOPNOTSUPP);
	assert_false(report(place, NOON).open);
	assert_int_equal(nonces_drop(place->nonces, NOON, NULL), 0);
	open_with(place, &usual, &noon);
	assert_int_equal(accept_one(place, 1, NOON, NOON), -EEXIST);
}

/* Room at once, and still nothing passes twice, not after a restart either. */
static void
test_dropping(void **state)
{
	struct place *place = *state;

	open_with(place, &usual, &noon);
	assert_int_equal(accept_one(place, 1, NOON, NOON), 0);
	assert_int_equal(accept_one(place, 2, NOON + SKEW - 1, NOON), 0);
	assert_int_equal(nonces_drop(place->nonces, NOON, NULL), 0);
	assert_int_equal(report(place, NOON).remembered, 0);
	reopen(place, &usual, &noon);
	assert_int_equal(accept_one(place, 1, NOON, NOON), -ETIME);
	assert_int_equal(accept_one(place, 2, NOON + SKEW - 1, NOON), -ETIME);
	assert_int_equal(accept_one(place, 3, NOON + SKEW, NOON), 0);
}

/* --- what goes wrong --------------------------------------------------------------------------------------------- */

static void
test_what_cannot_be_opened(void **state)
{
	struct place *place = *state;
	struct error error = {0};
	struct nonces *other = NULL;

	assert_int_equal(nonces_open(place->nonces, "/nowhere", &usual, &noon, &error), -ENOENT);
	assert_non_null(strstr(error.text, "/nowhere/orders"));

	error = (struct error){0};
	assert_int_equal(mkdir(place->file, 0700), 0);
	assert_true(nonces_open(place->nonces, place->root, &usual, &noon, &error) < 0);
	assert_int_equal(rmdir(place->file), 0);

	error = (struct error){0};
	assert_int_equal(symlink("/etc/passwd", place->file), 0);
	assert_int_equal(nonces_open(place->nonces, place->root, &usual, &noon, &error), -ELOOP);
	assert_int_equal(unlink(place->file), 0);

	error = (struct error){0};
	assert_int_equal(mkfifo(place->file, 0600), 0);
	assert_int_equal(nonces_open(place->nonces, place->root, &usual, &noon, &error), -EINVAL);
	assert_non_null(strstr(error.text, "no regular file"));
	assert_int_equal(unlink(place->file), 0);

	/* One file, one owner. */
	open_with(place, &usual, &noon);
	error = (struct error){0};
	assert_int_equal(nonces_new("orders", &other), 0);
	assert_int_equal(nonces_open(other, place->root, &usual, &noon, &error), -EBUSY);
	assert_non_null(strstr(error.text, "another process"));
	nonces_free(&other);

	error = (struct error){0};
	assert_int_equal(nonces_open(place->nonces, "/elsewhere", &usual, &noon, &error), -EBUSY);
	assert_non_null(strstr(error.text, "move the file"));
	assert_int_equal(accept_one(place, 1, NOON, NOON), 0);
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

	open_with(place, &usual, &noon);
	assert_int_equal(accept_one(place, 1, NOON, NOON), 0);
	allow_files_of(10);
	assert_int_equal(accept_one(place, 2, NOON, NOON), -EIO);
	assert_int_equal(accept_one(place, 2, NOON, NOON), -EEXIST);
	assert_int_equal(accept_one(place, 3, NOON, NOON + 1), -EIO);
	allow_files_of(RLIM_INFINITY);
	assert_int_equal(accept_one(place, 4, NOON, NOON + 1), -EIO); /* not tried twice in a second */
	assert_int_equal(accept_one(place, 5, NOON, NOON + 2), 0);
	assert_int_equal(access(place->draft, F_OK), -1);
	assert_int_equal(report(place, NOON).unwritten, 3);
	(void) signal(SIGXFSZ, old);
	written_at(place, NOON);
	lose(place);
	open_with(place, &usual, &noon);
	for (unsigned i = 1; i <= 5; i++)
		assert_int_equal(accept_one(place, i, NOON, NOON + 2), -EEXIST);
}

static void
test_a_full_disk_when_it_grows(void **state)
{
	struct place *place = *state;
	struct nonces_settings larger = usual;
	struct error error = {0};
	void (*old)(int) = signal(SIGXFSZ, SIG_IGN);

	larger.capacity = 4000;
	open_with(place, &usual, &noon);
	assert_int_equal(accept_one(place, 1, NOON, NOON), 0);
	allow_files_of(2048 * sizeof(struct nonces_slot) + sizeof(struct nonces_header));
	assert_int_equal(nonces_open(place->nonces, place->root, &larger, &noon, &error), -EFBIG);
	allow_files_of(RLIM_INFINITY);
	(void) signal(SIGXFSZ, old);
	assert_int_equal(access(place->draft, F_OK), -1);
	assert_int_equal(report(place, NOON).room, 2048);
	assert_int_equal(accept_one(place, 1, NOON, NOON), -EEXIST);
	assert_int_equal(accept_one(place, 2, NOON, NOON), 0);
}

/* --- threads ----------------------------------------------------------------------------------------------------- */

enum { THREADS = 4, EACH = 2000 };

static void *
ask(void *arg)
{
	struct place *place = arg;
	uintptr_t accepted = 0;

	for (unsigned i = 0; i < EACH; i++)
		accepted += accept_one(place, i, NOON, NOON) == 0;
	return (void *) accepted;
}

/* All ask for the same nonces: each is given once. */
static void
test_one_of_many_threads(void **state)
{
	struct place *place = *state;
	struct nonces_settings settings = usual;
	pthread_t threads[THREADS];
	uintptr_t accepted = 0;

	settings.capacity = EACH;
	open_with(place, &settings, &noon);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask, place), 0);
	settings.capacity = 8 * EACH;
	open_with(place, &settings, &noon); /* grows meanwhile */
	for (unsigned i = 0; i < THREADS; i++) {
		void *part;
		assert_int_equal(pthread_join(threads[i], &part), 0);
		accepted += (uintptr_t) part;
	}
	assert_int_equal(accepted, EACH);
	assert_int_equal(report(place, NOON).remembered, EACH);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_window, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_how_long_it_is_remembered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_no_nonce, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_full_one_refuses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_restart_forgets_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_crash_forgets_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_machine_that_stopped_lets_nothing_in_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_damaged_file_lets_nothing_in_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_any_damage_ends_well, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_longer_window, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_more_and_less_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_closed_and_opened_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_dropping, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_opened, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_full_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_full_disk_when_it_grows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_of_many_threads, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
