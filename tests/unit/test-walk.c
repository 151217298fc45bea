/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "heap.h"
#include "walk.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 100 };

static struct heap_site_usage own_sites[MANY], foreign_sites[MANY];
static struct heap_profile own, foreign;
static struct verdict_site sites[WALK_SITES];
static struct walk *walk;

static int
setup(void **state)
{
	(void) state;
	for (unsigned i = 0; i < MANY; i++) {
		own_sites[i] = (struct heap_site_usage){.site = 0x1000 + i, .bytes = 48 + i, .objects = 3};
		own_sites[i].age_bytes[0] = 16;
		own_sites[i].age_bytes[31] = 32 + i;
		foreign_sites[i] = (struct heap_site_usage){.site = 0x9000 + i, .bytes = 7, .objects = 1};
	}
	own = (struct heap_profile){.epoch = 77, .count = MANY, .sites = own_sites};
	foreign = (struct heap_profile){.epoch = 77, .count = MANY, .sites = foreign_sites};
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	walk_free(&walk);
	assert_null(walk);
	return 0;
}

static void
sites_come_back_as_they_were(void **state)
{
	(void) state;
	own.count = 5;
	own_sites[1].arena = true;
	own_sites[2].age_bytes[9] = UINT64_C(1) << 40;
	assert_int_equal(walk_new(&own, NULL, 4711, &walk), 0);
	assert_int_equal(walk_epoch(walk), 77);
	assert_int_equal(walk_requests(walk), 4711);
	assert_int_equal(walk_count(walk), 4);
	walk_sites(walk, sites);
	for (unsigned i = 0; i < 4; i++) {
		const struct heap_site_usage *was = &own_sites[i + (i > 0)];
		assert_int_equal(sites[i].site, was->site);
		assert_int_equal(sites[i].bytes, was->bytes);
		assert_int_equal(sites[i].objects, was->objects);
		assert_false(sites[i].foreign);
		assert_memory_equal(sites[i].age_bytes, was->age_bytes, sizeof(was->age_bytes));
	}
}

static void
libraries_leave_half_the_room(void **state)
{
	(void) state;
	assert_int_equal(walk_new(&own, &foreign, 0, &walk), 0);
	assert_int_equal(walk_count(walk), WALK_SITES);
	walk_sites(walk, sites);
	for (unsigned i = 0; i < WALK_SITES; i++)
		assert_int_equal(sites[i].foreign, i < WALK_SITES / 2);
	assert_int_equal(sites[WALK_SITES / 2].site, 0x1000);
	assert_int_equal(sites[WALK_SITES / 2].age_bytes[31], 32);
}

static void
nothing_is_a_walk_too(void **state)
{
	(void) state;
	own.count = 0;
	assert_int_equal(walk_count(NULL), 0);
	assert_int_equal(walk_new(&own, NULL, 0, &walk), 0);
	assert_int_equal(walk_count(walk), 0);
	walk_sites(walk, sites);
}

static void
ten_sites_take_a_kilobyte(void **state)
{
	(void) state;
	own.count = 10;
	for (unsigned i = 0; i < 10; i++)
		for (unsigned k = 0; k < 12; k++)
			own_sites[i].age_bytes[k] = 16;
	assert_int_equal(walk_new(&own, NULL, 0, &walk), 0);
	assert_in_range(malloc_usable_size(walk), 1, 1024);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sites_come_back_as_they_were, setup, teardown),
		cmocka_unit_test_setup_teardown(libraries_leave_half_the_room, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_a_walk_too, setup, teardown),
		cmocka_unit_test_setup_teardown(ten_sites_take_a_kilobyte, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
