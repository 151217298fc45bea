/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is accepted, once, and how settings change it. */
#include "nonces-place.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* --- what is accepted -------------------------------------------------------------------------------------------- */

static void
test_once(void **state)
{
	struct place *place = *state;

	place_open(place, &nonces_usual, &nonces_noon);
	assert_int_equal(nonces_window(place->nonces), WINDOW);
	assert_int_equal(place_accept(place, 1, NOON, NOON), 0);
	assert_int_equal(place_accept(place, 1, NOON, NOON), -EEXIST);
	assert_int_equal(place_accept(place, 2, NOON, NOON + 1), 0);
	/* A nonce is a nonce, also with another time. */
	assert_int_equal(place_accept(place, 2, NOON + 1, NOON + 1), -EEXIST);

	struct nonces_report seen = place_report(place, NOON);
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

	place_open(place, &nonces_usual, &nonces_noon);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		assert_int_equal(place_accept(place, (unsigned) i, NOON - rows[i].ago, NOON), rows[i].result);
	assert_int_equal(place_accept(place, 10, INT64_MIN, NOON), -ETIME);
	assert_int_equal(place_accept(place, 11, INT64_MAX, NOON), -ETIME);
	assert_int_equal(place_report(place, NOON).untimely, 5);
}

/* As long as its message would pass, and no longer than that and the clocks' difference. */
static void
test_how_long_it_is_remembered(void **state)
{
	struct place *place = *state;

	place_open(place, &nonces_usual, &nonces_noon);
	assert_int_equal(place_accept(place, 1, NOON + SKEW, NOON), 0);
	assert_int_equal(place_accept(place, 1, NOON + SKEW, NOON + SKEW + WINDOW), -EEXIST);
	assert_int_equal(place_accept(place, 1, NOON + SKEW, NOON + SKEW + WINDOW + 1), -ETIME);
	assert_int_equal(place_report(place, NOON + WINDOW + 2 * SKEW).remembered, 1);
	assert_int_equal(place_report(place, NOON + WINDOW + 2 * SKEW + 1).remembered, 0);
}

static void
test_what_is_no_nonce(void **state)
{
	struct place *place = *state;
	char longest[NONCES_LENGTH + 1];

	memset(longest, 'n', sizeof(longest));
	assert_int_equal(nonces_accept(place->nonces, "n", 1, NOON, NOON), -EOPNOTSUPP);
	assert_int_equal(nonces_window(place->nonces), 0);
	place_open(place, &nonces_usual, &nonces_noon);
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
	struct nonces_settings small = nonces_usual;
	unsigned accepted = 0;

	small.capacity = SMALL;
	place_open(place, &small, &nonces_noon);
	for (unsigned i = 0; i < 4 * ROOM; i++) {
		int r = place_accept(place, i, NOON, NOON);
		assert_true(r == 0 || r == -ENOSPC);
		accepted += r == 0;
		if (i < SMALL)
			assert_int_equal(r, 0);
	}
	struct nonces_report seen = place_report(place, NOON);
	assert_int_equal(seen.room, ROOM);
	assert_in_range(accepted, SMALL, ROOM);
	assert_int_equal(seen.remembered, accepted);
	assert_int_equal(seen.full, 4 * ROOM - accepted);
	for (unsigned i = 0, again = 0; i < 4 * ROOM && again < accepted; i++) {
		int r = place_accept(place, i, NOON, NOON + 1);
		assert_true(r == -EEXIST || r == -ENOSPC);
		again += r == -EEXIST;
	}
	int64_t later = NOON + WINDOW + SKEW + 1;
	assert_int_equal(place_accept(place, 10000, later, later), 0);
	assert_int_equal(place_report(place, later).remembered, 1);
}

/* --- settings ---------------------------------------------------------------------------------------------------- */

/* What was forgotten under a short window must not pass under a longer one. */
static void
test_a_longer_window(void **state)
{
	struct place *place = *state;
	struct nonces_settings longer = nonces_usual;
	int64_t later = NOON + WINDOW + SKEW + 1;

	longer.window = 4 * WINDOW;
	place_open(place, &nonces_usual, &nonces_noon);
	assert_int_equal(place_accept(place, 1, NOON, NOON), 0);
	assert_int_equal(place_accept(place, 2, NOON + 2, NOON + 2), 0);
	nonces_set(place->nonces, &longer, later);
	assert_int_equal(place_accept(place, 1, NOON, later), -ETIME);
	assert_int_equal(place_accept(place, 2, NOON + 2, later), -EEXIST);
	assert_int_equal(place_accept(place, 3, NOON + 2, later), 0);
	/* Also when it became longer while no daemon ran. */
	nonces_set(place->nonces, &nonces_usual, later);
	nonces_set(place->nonces, &nonces_none, later);
	int64_t latest = later + WINDOW + SKEW + 1;
	place_open(place, &longer, &(struct nonces_time){.now = latest, .boot = nonces_noon.boot});
	assert_int_equal(place_accept(place, 4, later, latest), -ETIME);
	assert_int_equal(place_accept(place, 4, later + 1, latest), 0);
}

static void
test_more_and_less_room(void **state)
{
	struct place *place = *state;
	struct nonces_settings other = nonces_usual;
	struct error error = {0};

	place_open(place, &nonces_usual, &nonces_noon);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(place_accept(place, i, NOON, NOON), 0);
	other.capacity = 50000;
	place_open(place, &other, &nonces_noon);
	assert_int_equal(place_report(place, NOON).room, 131072);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(place_accept(place, i, NOON, NOON), -EEXIST);
	/* Less than what is remembered is refused, and nothing changed. */
	other.capacity = SMALL;
	assert_int_equal(nonces_open(place->nonces, place->root, &other, &nonces_noon, &error), -ENOSPC);
	assert_non_null(strstr(error.text, "capacity of 64"));
	assert_int_equal(place_report(place, NOON).room, 131072);
	assert_int_equal(place_accept(place, 999, NOON, NOON), -EEXIST);
	/* Later it is taken. */
	struct nonces_time later = {.now = NOON + WINDOW + SKEW + 1, .boot = nonces_noon.boot};
	place_open(place, &other, &later);
	assert_int_equal(place_report(place, later.now).room, ROOM);
	/* A file of another size than wanted is fitted when it is opened. */
	assert_int_equal(place_accept(place, 1, later.now, later.now), 0);
	place_reopen(place, &nonces_usual, &later);
	assert_int_equal(place_report(place, later.now).room, 2048);
	assert_int_equal(place_accept(place, 1, later.now, later.now), -EEXIST);
}

static void
test_closed_and_opened_again(void **state)
{
	struct place *place = *state;

	place_open(place, &nonces_usual, &nonces_noon);
	assert_int_equal(place_accept(place, 1, NOON, NOON), 0);
	nonces_set(place->nonces, &nonces_none, NOON);
	assert_int_equal(place_accept(place, 2, NOON, NOON), -EOPNOTSUPP);
	assert_false(place_report(place, NOON).open);
	assert_int_equal(nonces_drop(place->nonces, NOON, NULL), 0);
	place_open(place, &nonces_usual, &nonces_noon);
	assert_int_equal(place_accept(place, 1, NOON, NOON), -EEXIST);
}

/* Room at once, and still nothing passes twice, not after a restart either. */
static void
test_dropping(void **state)
{
	struct place *place = *state;

	place_open(place, &nonces_usual, &nonces_noon);
	assert_int_equal(place_accept(place, 1, NOON, NOON), 0);
	assert_int_equal(place_accept(place, 2, NOON + SKEW - 1, NOON), 0);
	assert_int_equal(nonces_drop(place->nonces, NOON, NULL), 0);
	assert_int_equal(place_report(place, NOON).remembered, 0);
	place_reopen(place, &nonces_usual, &nonces_noon);
	assert_int_equal(place_accept(place, 1, NOON, NOON), -ETIME);
	assert_int_equal(place_accept(place, 2, NOON + SKEW - 1, NOON), -ETIME);
	assert_int_equal(place_accept(place, 3, NOON + SKEW, NOON), 0);
}

/* --- threads ----------------------------------------------------------------------------------------------------- */

enum { THREADS = 4, EACH = 2000 };

static void *
ask(void *arg)
{
	struct place *place = arg;
	uintptr_t accepted = 0;

	for (unsigned i = 0; i < EACH; i++)
		accepted += place_accept(place, i, NOON, NOON) == 0;
	return (void *) accepted;
}

/* All ask for the same nonces: each is given once. */
static void
test_one_of_many_threads(void **state)
{
	struct place *place = *state;
	struct nonces_settings settings = nonces_usual;
	pthread_t threads[THREADS];
	uintptr_t accepted = 0;

	settings.capacity = EACH;
	place_open(place, &settings, &nonces_noon);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask, place), 0);
	settings.capacity = 8 * EACH;
	place_open(place, &settings, &nonces_noon); /* grows meanwhile */
	for (unsigned i = 0; i < THREADS; i++) {
		void *part;
		assert_int_equal(pthread_join(threads[i], &part), 0);
		accepted += (uintptr_t) part;
	}
	assert_int_equal(accepted, EACH);
	assert_int_equal(place_report(place, NOON).remembered, EACH);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_once, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_the_window, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_how_long_it_is_remembered, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_what_is_no_nonce, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_a_full_one_refuses, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_a_longer_window, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_more_and_less_room, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_closed_and_opened_again, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_dropping, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_one_of_many_threads, place_setup, place_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
