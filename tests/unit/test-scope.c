/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The interposed layer as the daemon links it, with real shared objects in the plugin's place: who gets what memory, up
 * to which limit, on whose account. */
#include "scope-fixture.h"
#include "symbol.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>

static void
test_who_gets_what(void **state)
{
	struct fixture *fixture = *state;
	struct heap *own = scope_space_own(fixture->space);
	int (*all)(void **) = symbol_of(&fixture->c, "image_all");
	void **made_at_load = symbol_of(&fixture->c, "image_made_at_load");
	struct scope_frame frame, inner;
	void *blocks[32], *daemons;

	assert_ptr_equal(heap_of(*made_at_load), own);
	uint64_t before = usage_of(own).live_objects, foreign_before = usage_of(fixture->foreign).live_objects;
	scope_enter(&frame, fixture->space, NULL);
	int count = all(blocks);
	scope_enter_daemon(&inner);
	daemons = malloc(100);
	scope_leave(&inner);
	void *executables = malloc(100); /* not from the image: on its behalf */
	scope_leave(&frame);
	assert_int_equal(count, 13);
	for (int i = 0; i < count - 1; i++) {
		assert_non_null(blocks[i]);
		assert_ptr_equal(heap_of(blocks[i]), own);
		assert_true(malloc_usable_size(blocks[i]) > 0);
	}
	assert_int_equal((uintptr_t) blocks[4] % 256, 0);
	assert_int_equal((uintptr_t) blocks[5] % 64, 0);
	assert_int_equal((uintptr_t) blocks[6] % 4096, 0);
	assert_int_equal((uintptr_t) blocks[7] % 4096, 0);
	assert_string_equal(blocks[9], "duplicate");
	assert_string_equal(blocks[10], "dup");
	assert_string_equal(blocks[11], "5 five");
	assert_string_equal(blocks[12], "line\n");
	assert_ptr_equal(heap_of(blocks[12]), fixture->foreign);
	assert_ptr_equal(heap_of(executables), fixture->foreign);
	assert_null(heap_of(daemons));
	assert_int_equal(usage_of(own).live_objects, before + (unsigned) count - 1);
	for (int i = 0; i < count; i++)
		free(blocks[i]);
	free(executables);
	free(daemons);
	assert_int_equal(usage_of(own).live_objects, before);
	assert_true(usage_of(fixture->foreign).live_objects <= foreign_before + 1);
}

static void
test_realloc_stays(void **state)
{
	struct fixture *fixture = *state;
	void *(*take)(size_t) = symbol_of(&fixture->c, "image_malloc");
	void *(*resize)(void *, size_t) = symbol_of(&fixture->c, "image_realloc");
	struct heap *own = scope_space_own(fixture->space);
	struct scope_frame frame;
	char *daemons = malloc(10);

	strcpy(daemons, "daemon");
	scope_enter(&frame, fixture->space, NULL);
	char *mine = take(10);
	daemons = resize(daemons, 10000);
	scope_leave(&frame);
	assert_null(heap_of(daemons));
	assert_string_equal(daemons, "daemon");
	strcpy(mine, "plugin");
	mine = realloc(mine, 100000);
	assert_ptr_equal(heap_of(mine), own);
	assert_string_equal(mine, "plugin");
	assert_null(realloc(mine, 0));
	free(daemons);
}

static void
test_limit(void **state)
{
	struct fixture *fixture = *state;
	void *(*take)(size_t) = symbol_of(&fixture->c, "image_malloc");
	struct heap *own = scope_space_own(fixture->space);
	struct heap_limits limits = {.hard = 2 << 20};
	struct scope_frame frame;
	void *blocks[64], *small[4];
	unsigned count = 0;

	scope_space_set_limits(fixture->space, &limits);
	scope_enter(&frame, fixture->space, NULL);
	errno = 0;
	while (count < ARRAY_LENGTH(blocks) && (blocks[count] = take(64000)) != NULL)
		count++;
	int error = errno;
	/* Refused once, the error path still has a little memory, for this call. */
	for (unsigned i = 0; i < ARRAY_LENGTH(small); i++)
		small[i] = take(100);
	scope_leave(&frame);
	assert_int_equal(error, ENOMEM);
	assert_true(count > 25 && count < ARRAY_LENGTH(blocks));
	for (unsigned i = 0; i < ARRAY_LENGTH(small); i++)
		assert_non_null(small[i]);
	struct symbol symbol;
	struct symbol_resolver *resolver = NULL;
	assert_int_equal(symbol_resolver_new(fixture->c.fd, fixture->c.start, fixture->c.end, "image#1", &resolver), 0);
	symbol_resolve(resolver, usage_of(own).refused_site, &symbol);
	assert_string_equal(symbol.function, "image_malloc");
	symbol_resolver_free(&resolver);
	while (count > 0)
		free(blocks[--count]);
	for (unsigned i = 0; i < ARRAY_LENGTH(small); i++)
		free(small[i]);
}

static void
test_reserve_survives_host_calls(void **state)
{
	struct fixture *fixture = *state;
	void *(*take)(size_t) = symbol_of(&fixture->c, "image_malloc");
	struct heap_limits limits = {.hard = 1 << 20};
	struct scope_frame frame, inner;
	static void *blocks[70000];
	unsigned count = 0, more = 0;

	scope_space_set_limits(fixture->space, &limits);
	scope_enter(&frame, fixture->space, NULL);
	while (count < ARRAY_LENGTH(blocks) && (blocks[count] = take(16)) != NULL)
		count++;
	/* The error path logs through the host, then goes on needing memory. */
	scope_enter_daemon(&inner);
	scope_leave(&inner);
	while (count + more < ARRAY_LENGTH(blocks) && (blocks[count + more] = take(16)) != NULL)
		more++;
	scope_leave(&frame);
	assert_true(more >= 512 && more <= 1024); /* a 64th of the limit, and no more */
	/* In the next call the limit is the limit again. */
	scope_enter(&frame, fixture->space, NULL);
	void *none = take(16);
	scope_leave(&frame);
	assert_null(none);
	for (unsigned i = 0; i < count + more; i++)
		free(blocks[i]);
}

static void
test_fail_nth(void **state)
{
	struct fixture *fixture = *state;
	int (*all)(void **) = symbol_of(&fixture->c, "image_all");
	void *(*take)(size_t) = symbol_of(&fixture->c, "image_malloc");
	void *(*resize)(void *, size_t) = symbol_of(&fixture->c, "image_realloc");
	struct scope_frame frame;
	void *blocks[32] = {NULL};

	for (uint64_t nth = 1; nth <= 9; nth++) {
		scope_enter(&frame, fixture->space, NULL);
		scope_space_fail_nth(fixture->space, nth);
		int count = all(blocks);
		scope_space_fail_nth(fixture->space, 0);
		scope_leave(&frame);
		if (nth == 5) { /* posix_memalign: the caller gives up */
			assert_int_equal(count, -1);
			count = 4;
		}
		for (int i = 0; i < count; i++) {
			assert_int_equal(blocks[i] == NULL, nth != 5 && (uint64_t) i == nth - 1);
			free(blocks[i]);
		}
	}
	scope_enter(&frame, fixture->space, NULL);
	scope_space_fail_nth(fixture->space, 2);
	void *block = take(10), *moved = resize(block, 1000), *again = resize(block, 1000);
	scope_space_fail_nth(fixture->space, 0);
	scope_leave(&frame);
	assert_null(moved);
	assert_non_null(again);
	free(again);
}

struct found {
	struct scope_escape rows[8];
	unsigned count;
};

static void
collect(const struct scope_escape *escape, void *ctx)
{
	struct found *found = ctx;

	if (found->count < ARRAY_LENGTH(found->rows))
		found->rows[found->count++] = *escape;
}

static void *
free_it(void *block)
{
	free(block);
	return NULL;
}

static void
test_escapes(void **state)
{
	struct fixture *fixture = *state;
	void *(*take)(size_t) = symbol_of(&fixture->c, "image_malloc");
	void *(*zeroed)(size_t, size_t) = symbol_of(&fixture->c, "image_calloc");
	void *(*resize)(void *, size_t) = symbol_of(&fixture->c, "image_realloc");
	void (*drop)(void *) = symbol_of(&fixture->c, "image_free");
	struct scope_booking *booking = NULL, *other = NULL;
	struct scope_frame frame, inner;
	uint64_t bytes = 1, blocks = 1;
	pthread_t thread;

	/* Nothing kept, nothing escapes. */
	assert_int_equal(scope_booking_open(fixture->space, &booking), 0);
	scope_enter(&frame, fixture->space, booking);
	for (unsigned i = 0; i < 1000; i++)
		drop(take(100 + i));
	scope_leave(&frame);
	scope_booking_close(&booking, 0, 2, &bytes, &blocks);
	assert_null(booking);
	assert_int_equal(bytes, 0);
	assert_int_equal(blocks, 0);

	/* Two requests at once, nested; a host service and a free on another thread in between. */
	uint32_t epoch = usage_of(fixture->foreign).epoch;
	assert_int_equal(scope_booking_open(fixture->space, &booking), 0);
	assert_int_equal(scope_booking_open(fixture->space, &other), 0);
	assert_int_equal(usage_of(fixture->foreign).epoch, epoch + 2);
	scope_enter(&frame, fixture->space, booking);
	void *kept = take(1000), *elsewhere = take(2000);
	scope_enter(&inner, fixture->space, other);
	void *others = zeroed(1, 3000);
	scope_leave(&inner);
	scope_enter_daemon(&inner);
	void *daemons = malloc(4000);
	scope_leave(&inner);
	void *again = take(60);
	for (unsigned i = 0; i < 10000; i++) { /* the same address over and over, live at the end */
		drop(again);
		again = take(60);
	}
	void *grown = resize(take(20), 500);
	scope_leave(&frame);
	/* The request is finished on another thread. */
	assert_int_equal(pthread_create(&thread, NULL, free_it, elsewhere), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	scope_booking_close(&booking, 7, 4, &bytes, &blocks);
	assert_int_equal(blocks, 3);
	assert_int_equal(bytes, malloc_usable_size(kept) + malloc_usable_size(again) + malloc_usable_size(grown));
	scope_booking_close(&other, 7, 5, &bytes, &blocks);
	assert_int_equal(blocks, 1);
	assert_int_equal(bytes, malloc_usable_size(others));
	scope_booking_close(&other, 7, 5, &bytes, &blocks);

	struct found found = {.count = 0};
	scope_escapes(fixture->space, collect, &found);
	assert_int_equal(found.count, 3);
	for (unsigned i = 0; i < found.count; i++) {
		const struct scope_escape *row = &found.rows[i];
		assert_int_equal(row->route, 7);
		assert_int_equal(row->requests, 1);
		assert_true(row->site >= fixture->c.start && row->site < fixture->c.end);
		if (row->status_class == 5)
			assert_int_equal(row->blocks, 1);
		else
			assert_int_equal(row->status_class, 4);
	}
	/* Many blocks: the journal grows. */
	static void *many[5000];
	assert_int_equal(scope_booking_open(fixture->space, &booking), 0);
	scope_enter(&frame, fixture->space, booking);
	for (unsigned i = 0; i < ARRAY_LENGTH(many); i++)
		many[i] = take(i % 300);
	for (unsigned i = 0; i < ARRAY_LENGTH(many); i += 2)
		drop(many[i]);
	scope_leave(&frame);
	scope_booking_close(&booking, 7, 2, &bytes, &blocks);
	assert_int_equal(blocks, ARRAY_LENGTH(many) / 2);
	for (unsigned i = 1; i < ARRAY_LENGTH(many); i += 2)
		free(many[i]);
	free(kept);
	free(others);
	free(daemons);
	free(again);
	free(grown);
}

/* What a request adds to blocks of earlier ones is its own; the blocks stay theirs. */
static void
test_growth_escapes(void **state)
{
	struct fixture *fixture = *state;
	void *(*take)(size_t) = symbol_of(&fixture->c, "image_malloc");
	void *(*resize)(void *, size_t) = symbol_of(&fixture->c, "image_realloc");
	void (*drop)(void *) = symbol_of(&fixture->c, "image_free");
	struct scope_booking *booking = NULL, *other = NULL;
	struct scope_frame frame;
	uint64_t bytes, blocks;
	void *vector, *large, *shrunk, *doomed, *many[300];

	assert_int_equal(scope_booking_open(fixture->space, &booking), 0);
	scope_enter(&frame, fixture->space, booking);
	vector = take(64);
	large = take(200000);
	shrunk = take(4000);
	doomed = take(64);
	for (unsigned i = 0; i < ARRAY_LENGTH(many); i++)
		many[i] = take(64);
	scope_leave(&frame);
	scope_booking_close(&booking, 1, 2, &bytes, &blocks);
	assert_int_equal(blocks, 4 + ARRAY_LENGTH(many));
	size_t before = malloc_usable_size(vector) + malloc_usable_size(large);
	uint32_t epoch = usage_of(scope_space_own(fixture->space)).epoch;

	/* Step by step, small and large, in place and moved; what shrinks and what is freed counts nothing. */
	assert_int_equal(scope_booking_open(fixture->space, &booking), 0);
	scope_enter(&frame, fixture->space, booking);
	for (size_t size = 128; size <= 100000; size *= 2)
		vector = resize(vector, size);
	large = resize(large, 250000);
	large = resize(large, 3000000);
	shrunk = resize(shrunk, 100);
	doomed = resize(doomed, 5000);
	drop(doomed);
	doomed = take(5000); /* likely at the same place, and the request's own */
	scope_leave(&frame);
	scope_booking_close(&booking, 2, 2, &bytes, &blocks);
	assert_int_equal(blocks, 1);
	assert_int_equal(bytes,
			 malloc_usable_size(vector) + malloc_usable_size(large) - before + malloc_usable_size(doomed));
	free(doomed);

	/* Growth that was undone, and growth another request took over. */
	before = malloc_usable_size(vector);
	assert_int_equal(scope_booking_open(fixture->space, &booking), 0);
	assert_int_equal(scope_booking_open(fixture->space, &other), 0);
	scope_enter(&frame, fixture->space, booking);
	vector = resize(vector, 900000);
	vector = resize(vector, before);
	shrunk = resize(shrunk, 8000);
	scope_leave(&frame);
	scope_enter(&frame, fixture->space, other);
	shrunk = resize(shrunk, 20000);
	scope_leave(&frame);
	scope_booking_close(&booking, 3, 2, &bytes, &blocks);
	assert_int_equal(bytes, 0);
	assert_int_equal(blocks, 0);
	scope_booking_close(&other, 4, 2, &bytes, &blocks);
	assert_in_range(bytes, 11000, 13000);
	assert_int_equal(blocks, 0);

	/* So many grow that the last of them are not noted. */
	assert_int_equal(scope_booking_open(fixture->space, &booking), 0);
	scope_enter(&frame, fixture->space, booking);
	for (unsigned i = 0; i < ARRAY_LENGTH(many); i++)
		many[i] = resize(many[i], 128);
	scope_leave(&frame);
	scope_booking_close(&booking, 5, 2, &bytes, &blocks);
	assert_int_equal(bytes, 256 * (malloc_usable_size(many[0]) - 64));

	/* They are as old as they were, and their rows have bytes without blocks. */
	struct heap_profile *profile = NULL;
	assert_int_equal(heap_profile_take(scope_space_own(fixture->space), 1, &profile), 0);
	for (size_t i = 0; i < profile->count; i++)
		assert_true(profile->sites[i].last_epoch <= epoch);
	heap_profile_free(&profile);
	struct found found = {.count = 0};
	scope_escapes(fixture->space, collect, &found);
	for (unsigned i = 0; i < found.count; i++) {
		const struct scope_escape *row = &found.rows[i];
		if (row->route >= 4)
			assert_int_equal(row->blocks, 0);
		assert_true(row->bytes > 0);
	}
	free(vector);
	free(large);
	free(shrunk);
	for (unsigned i = 0; i < ARRAY_LENGTH(many); i++)
		free(many[i]);
}

static void
test_arena(void **state)
{
	struct fixture *fixture = *state;
	struct heap *own = scope_space_own(fixture->space);
	struct scope_booking *booking = NULL;
	struct scope_arena *arena = NULL;
	struct scope_frame frame;
	uint64_t bytes, blocks, live = usage_of(own).live_bytes;
	char *pieces[200];

	assert_int_equal(scope_booking_open(fixture->space, &booking), 0);
	scope_enter(&frame, fixture->space, booking);
	for (unsigned i = 0; i < ARRAY_LENGTH(pieces); i++) {
		size_t size = i == 100 ? 100000 : i * 10;
		pieces[i] = scope_arena_alloc(&arena, fixture->space, size);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t) pieces[i] % 16, 0);
		assert_ptr_equal(heap_of(pieces[i]), own);
		memset(pieces[i], (int) i, size);
	}
	scope_leave(&frame);
	for (unsigned i = 0; i < ARRAY_LENGTH(pieces); i++)
		for (size_t k = 0; k < (i == 100 ? 100000 : i * 10); k++)
			assert_int_equal((unsigned char) pieces[i][k], i);
	assert_true(usage_of(own).arena_bytes >= 299000);
	assert_int_equal(usage_of(own).live_bytes, live + usage_of(own).arena_bytes);
	scope_booking_close(&booking, 0, 2, &bytes, &blocks);
	assert_int_equal(blocks, 0);
	scope_arena_free(&arena);
	assert_null(arena);
	scope_arena_free(&arena);
	assert_int_equal(usage_of(own).arena_bytes, 0);
	assert_int_equal(usage_of(own).live_bytes, live);

	struct heap_limits limits = {.hard = 1 << 20};
	scope_space_set_limits(fixture->space, &limits);
	errno = 0;
	assert_null(scope_arena_alloc(&arena, fixture->space, 2 << 20));
	assert_int_equal(errno, ENOMEM);
	scope_arena_free(&arena);
}

/* Without the layer everything can be called, nothing is counted, and plugins use the C library's memory. */
static void
test_without_layer(void **state UNUSED)
{
	struct heap *foreign = NULL;
	struct scope_space *space = NULL;
	struct scope_booking *booking = NULL;
	struct scope_arena *arena = NULL;
	struct scope_frame frame, inner;
	uint64_t bytes = 1, blocks = 1;

	assert_int_equal(heap_new("off/foreign", NULL, false, &foreign), 0);
	assert_int_equal(scope_space_new("off", 1, foreign, NULL, &space), 0);
	scope_space_set_image(space, (uintptr_t) test_without_layer, (uintptr_t) test_without_layer + 4096);
	assert_int_equal(scope_booking_open(space, &booking), 0);
	scope_enter(&frame, space, booking);
	char *plain = malloc(100);
	assert_non_null(scope_arena_alloc(&arena, space, 100));
	scope_enter_daemon(&inner);
	scope_leave(&inner);
	scope_leave(&frame);
	assert_null(heap_of(plain));
	free(plain);
	scope_booking_close(&booking, 0, 2, &bytes, &blocks);
	assert_int_equal(bytes, 0);
	assert_int_equal(blocks, 0);
	scope_arena_free(&arena);
	assert_int_equal(scope_space_threads(space), 0);
	assert_int_equal(usage_of(scope_space_own(space)).live_bytes, 0);
	scope_space_free(&space);
	heap_free(&foreign);
}

int
main(void)
{
	const struct CMUnitTest off[] = {cmocka_unit_test(test_without_layer)};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_who_gets_what, setup, teardown),
		cmocka_unit_test_setup_teardown(test_realloc_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reserve_survives_host_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fail_nth, setup, teardown),
		cmocka_unit_test_setup_teardown(test_escapes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_growth_escapes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_arena, setup, teardown),
	};

	if (!scope_active())
		return cmocka_run_group_tests(off, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
