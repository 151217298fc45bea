/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The heap layer under several threads: frees elsewhere, walks meanwhile, heaps that come and go. */
#include "heap-fixture.h"
#include "scope.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
	THREADS = 4,
};

struct worker {
	struct heap *heap;
	void *_Atomic *exchange;
	unsigned seed, slots;
	uint64_t errors;
};

/* Random work with a pattern in every block; blocks change hands through the exchange, so most frees are remote. */
static void *
work(void *arg)
{
	struct worker *worker = arg;
	unsigned random = worker->seed;

	for (unsigned round = 0; round < 60000; round++) {
		random = random * 1664525 + 1013904223;
		size_t size = 16 + (random >> 8) % (random % 64 == 0 ? 100000 : 1500);
		unsigned char *block = alloc_block(worker->heap, size, 0, 0, SITE_A);
		if (block == NULL) {
			worker->errors++;
			continue;
		}
		memcpy(block, &size, sizeof(size));
		memset(block + 8, (int) (size & 0xff), size - 8);
		random = random * 1664525 + 1013904223;
		unsigned char *other = __atomic_exchange_n((void **) &worker->exchange[(random >> 8) % worker->slots],
							   block, __ATOMIC_ACQ_REL);
		if (other == NULL)
			continue;
		memcpy(&size, other, sizeof(size));
		for (size_t i = 8; i < size; i += 61)
			worker->errors += other[i] != (unsigned char) size;
		if (random % 16 == 0) {
			other = alloc_resize(other, size * 2, SITE_B);
			worker->errors +=
				other == NULL || other[size - 1] != (unsigned char) (size > 8 ? size : other[size - 1]);
		}
		alloc_free(other, SITE_FREE);
	}
	return NULL;
}

static void
test_threads(void **state UNUSED)
{
	enum { SLOTS = 512 };
	static void *_Atomic exchange[SLOTS];
	struct heap *heap = new_heap(0);
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	uint64_t live = 0, objects = 0;

	seen.count = 0;
	heap_on_fault(note_fault, NULL);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.heap = heap, .exchange = exchange, .seed = i + 1, .slots = SLOTS};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	/* Walks meanwhile see whole blocks of the known sites only. */
	for (unsigned i = 0; i < 20; i++) {
		struct heap_profile *profile CLEANUP(heap_profile_free) = NULL;
		assert_int_equal(heap_profile_take(heap, 0, &profile), 0);
		for (size_t row = 0; row < profile->count; row++)
			assert_true(profile->sites[row].site == SITE_A || profile->sites[row].site == SITE_B);
		(void) heap_decay(i, 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(workers[i].errors, 0);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		if (exchange[i] != NULL) {
			live += alloc_usable(exchange[i]);
			objects++;
		}
	assert_int_equal(usage_of(heap).live_bytes, live);
	assert_int_equal(usage_of(heap).live_objects, objects);
	for (unsigned i = 0; i < SLOTS; i++) {
		if (exchange[i] != NULL)
			alloc_free(exchange[i], SITE_FREE);
		exchange[i] = NULL;
	}
	assert_int_equal(usage_of(heap).live_bytes, 0);
	assert_int_equal(usage_of(heap).live_objects, 0);
	/* The threads' bins went back to the stock when they ended: all pages can go. */
	(void) heap_trim(heap);
	assert_int_equal(usage_of(heap).resident_bytes, 0);
	assert_int_equal(seen.count, 0);
	heap_on_fault(NULL, NULL);
	heap_free(&heap);
}

/* Blocks that live through every walk are in every walk exactly once, whatever happens around them. */
static void
test_profile_exact(void **state UNUSED)
{
	enum { KEPT = 3000, SLOTS = 64 };
	static void *_Atomic exchange[SLOTS];
	struct heap *heap = new_heap(0);
	struct worker worker = {.heap = heap, .exchange = exchange, .seed = 9, .slots = SLOTS};
	pthread_t thread;

	for (unsigned i = 0; i < KEPT; i++)
		assert_non_null(alloc_block(heap, 16 + i % 1500, 0, 0, SITE_C));
	assert_int_equal(pthread_create(&thread, NULL, work, &worker), 0);
	for (unsigned walk = 0; walk < 50; walk++) {
		struct heap_profile *profile CLEANUP(heap_profile_free) = NULL;
		uint64_t found = 0;
		assert_int_equal(heap_profile_take(heap, 0, &profile), 0);
		for (size_t row = 0; row < profile->count; row++)
			if (profile->sites[row].site == SITE_C)
				found += profile->sites[row].objects;
		assert_int_equal(found, KEPT);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	heap_free(&heap);
	memset((void *) exchange, 0, sizeof(exchange));
}

struct mover {
	struct heap *heap;
	void *blocks[100];
	atomic_uint moves; /* begun; */
	atomic_uint moved; /* done */
	atomic_bool over;
};

static void *
move_about(void *arg)
{
	struct mover *mover = arg;

	for (unsigned i = 0; !atomic_load(&mover->over); i = (i + 1) % ARRAY_LENGTH(mover->blocks)) {
		size_t size = alloc_usable(mover->blocks[i]) < 500 ? 1000 : 20;
		atomic_fetch_add(&mover->moves, 1);
		mover->blocks[i] = alloc_resize(mover->blocks[i], size, SITE_B);
		atomic_fetch_add(&mover->moved, 1);
	}
	return NULL;
}

/* A block that realloc moves during a walk may be seen twice or not at all, but no more is wrong than was moved. */
static void
test_a_walk_is_off_by_what_moves_at_most(void **state UNUSED)
{
	struct heap *heap = new_heap(0);
	struct mover mover = {.heap = heap};
	pthread_t thread;

	for (unsigned i = 0; i < ARRAY_LENGTH(mover.blocks); i++)
		assert_non_null(mover.blocks[i] = alloc_block(heap, 20, 0, 0, SITE_B));
	assert_int_equal(pthread_create(&thread, NULL, move_about, &mover), 0);
	while (atomic_load(&mover.moved) == 0)
		(void) sched_yield();
	for (unsigned walk = 0; walk < 200; walk++) {
		struct heap_profile *profile CLEANUP(heap_profile_free) = NULL;
		unsigned before = atomic_load(&mover.moved);
		assert_int_equal(heap_profile_take(heap, 0, &profile), 0);
		unsigned moves = atomic_load(&mover.moves) - before;
		uint64_t found = profile->count != 0 ? profile->sites[0].objects : 0;
		assert_true(found <= ARRAY_LENGTH(mover.blocks) + moves);
		assert_true(found + moves >= ARRAY_LENGTH(mover.blocks));
	}
	atomic_store(&mover.over, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	struct heap_profile *profile CLEANUP(heap_profile_free) = NULL;
	assert_int_equal(heap_profile_take(heap, 0, &profile), 0);
	assert_int_equal(profile->count, 1);
	assert_int_equal(profile->sites[0].objects, ARRAY_LENGTH(mover.blocks));
	heap_free(&heap);
}

struct successor {
	pthread_barrier_t barrier;
	struct heap *heap;
	uint64_t errors;
};

/* Works in whatever heap there is in a round; its bins of the one before, in the same slot, are stale then. */
static void *
work_on(void *arg)
{
	struct successor *successor = arg;
	uint64_t errors = 0;

	for (unsigned round = 0; round < 60; round++) {
		unsigned char *blocks[300];
		pthread_barrier_wait(&successor->barrier);
		for (unsigned i = 0; i < ARRAY_LENGTH(blocks); i++) {
			size_t size = 16 + i * 37 % 3000;
			blocks[i] = alloc_block(successor->heap, size, 0, 0, SITE_A);
			memset(blocks[i], (int) i, size);
			errors += heap_of(blocks[i]) != successor->heap;
		}
		for (unsigned i = 0; i < ARRAY_LENGTH(blocks); i++)
			errors += *blocks[i] != (unsigned char) i;
		/* Some stay live, some lie in this thread's bins when the heap is destroyed. */
		for (unsigned i = 0; i < ARRAY_LENGTH(blocks); i += 3)
			alloc_free(blocks[i], SITE_FREE);
		pthread_barrier_wait(&successor->barrier);
	}
	/* A thread that ends flushes its bins: not while the last heap is looked at. */
	pthread_barrier_wait(&successor->barrier);
	__atomic_fetch_add(&successor->errors, errors, __ATOMIC_RELAXED);
	return NULL;
}

static void
test_heaps_come_and_go(void **state UNUSED)
{
	struct successor successor = {.errors = 0};
	pthread_t threads[2];

	seen.count = 0;
	heap_on_fault(note_fault, NULL);
	assert_int_equal(pthread_barrier_init(&successor.barrier, NULL, 3), 0);
	for (unsigned i = 0; i < ARRAY_LENGTH(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work_on, &successor), 0);
	for (unsigned round = 0; round < 60; round++) {
		successor.heap = new_heap(0);
		pthread_barrier_wait(&successor.barrier);
		pthread_barrier_wait(&successor.barrier);
		assert_int_equal(usage_of(successor.heap).live_objects, 2 * 200);
		heap_free(&successor.heap);
	}
	pthread_barrier_wait(&successor.barrier);
	for (unsigned i = 0; i < ARRAY_LENGTH(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(successor.errors, 0);
	assert_int_equal(seen.count, 0);
	heap_on_fault(NULL, NULL);
	pthread_barrier_destroy(&successor.barrier);
}

/* Pages and mappings of this process. */
static void
holdings(uint64_t *ret_pages, uint64_t *ret_mappings)
{
	FILE *statm = fopen("/proc/self/statm", "re"), *maps = fopen("/proc/self/maps", "re");
	unsigned long pages = 0;

	assert_non_null(statm);
	assert_non_null(maps);
	assert_int_equal(fscanf(statm, "%*u %lu", &pages), 1);
	*ret_pages = pages;
	*ret_mappings = 0;
	for (int c; (c = getc(maps)) != EOF;)
		*ret_mappings += c == '\n';
	(void) fclose(statm);
	(void) fclose(maps);
}

/* What a heap leaves behind after it is destroyed is nothing that adds up. */
static void
test_ten_thousand_heaps_leave_nothing(void **state UNUSED)
{
	enum { SETTLED = 1000, CYCLES = 10000, BLOCKS = 60 };
	uint64_t pages[2], mappings[2];

	for (unsigned cycle = 1; cycle <= CYCLES; cycle++) {
		struct heap *heap = new_heap(1 << 20);
		uint64_t bytes = 0;
		for (unsigned i = 0; i < BLOCKS; i++) {
			size_t size = 16u << (i % 12); /* up to a run of its own */
			unsigned char *block = alloc_block(heap, size, 0, 0, SITE_A);
			if (block == NULL)
				break;
			memset(block, (int) cycle, size);
			bytes += size;
			if (i % 3 == 2) {
				bytes -= size;
				alloc_free(block, SITE_FREE);
			}
		}
		assert_true(bytes > 100000 && usage_of(heap).live_bytes >= bytes);
		heap_free(&heap);
		if (cycle == SETTLED)
			holdings(&pages[0], &mappings[0]);
	}
	holdings(&pages[1], &mappings[1]);
	if (scope_active()) /* else a sanitizer may hold on to what the daemon freed */
		assert_in_range(pages[1], 0, pages[0] + 256);
	assert_in_range(mappings[1], 0, mappings[0] + 4);
}

struct neighbour {
	struct heap *heap;
	unsigned count, keep; /* blocks to make; of which one in so many stays */
	char *blocks[1024];
};

static void *
live_next_door(void *arg)
{
	struct neighbour *neighbour = arg;

	for (unsigned i = 0; i < neighbour->count; i++) {
		neighbour->blocks[i] = alloc_block(neighbour->heap, 1024, 0, 0, SITE_B);
		memset(neighbour->blocks[i], 1, 1024);
	}
	for (unsigned i = 0; i < neighbour->count; i++)
		if (i % neighbour->keep != 0)
			alloc_free(neighbour->blocks[i], SITE_FREE);
	return NULL;
}

static void
have_neighbour(struct neighbour *neighbour)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, live_next_door, neighbour), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static bool
lies_in_a_span_of(const char *block, char *const *blocks, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if ((uintptr_t) block >> 16 == (uintptr_t) blocks[i] >> 16)
			return true;
	return false;
}

/* What two threads write at every malloc and free must not lie in the same cache lines. */
static void
test_threads_get_spans_of_their_own(void **state UNUSED)
{
	struct neighbour neighbour = {.heap = new_heap(0), .count = 100, .keep = 1};
	char *mine[100];

	mine[0] = alloc_block(neighbour.heap, 1024, 0, 0, SITE_A);
	have_neighbour(&neighbour);
	for (unsigned i = 1; i < ARRAY_LENGTH(mine); i++) {
		mine[i] = alloc_block(neighbour.heap, 1024, 0, 0, SITE_A);
		assert_false(lies_in_a_span_of(mine[i], neighbour.blocks, neighbour.count));
	}
	/* Freed here, blocks lie in this thread's bin; given back, they are the other's again. */
	for (unsigned i = 1; i < neighbour.count; i++)
		alloc_free(neighbour.blocks[i], SITE_FREE);
	(void) heap_trim(neighbour.heap);
	for (unsigned i = 0; i < 20; i++)
		assert_true(
			lies_in_a_span_of(alloc_block(neighbour.heap, 1024, 0, 0, SITE_A), mine, ARRAY_LENGTH(mine)));
	heap_free(&neighbour.heap);
}

/* Idle memory is taken over, also from the spans of a thread that ended. */
static void
test_threads_share_what_is_idle(void **state UNUSED)
{
	struct neighbour neighbour = {.heap = new_heap(0), .count = 1024, .keep = 8};

	assert_non_null(alloc_block(neighbour.heap, 16, 0, 0, SITE_A));
	have_neighbour(&neighbour);
	uint64_t resident = usage_of(neighbour.heap).resident_bytes;
	for (unsigned i = 0; i < 1024 / 8 * 6; i++)
		assert_non_null(alloc_block(neighbour.heap, 1024, 0, 0, SITE_A));
	assert_int_equal(usage_of(neighbour.heap).resident_bytes, resident);
	heap_free(&neighbour.heap);
}

/* With nothing else left, the least a neighbour has is taken. */
static void
test_no_refusal_while_a_neighbour_has_some(void **state UNUSED)
{
	struct neighbour neighbour = {.heap = new_heap(0), .count = 1, .keep = 1};

	assert_non_null(alloc_block(neighbour.heap, 16, 0, 0, SITE_A));
	have_neighbour(&neighbour);
	while (alloc_block(neighbour.heap, 65536, 0, 0, SITE_A) != NULL)
		;
	for (unsigned i = 1; i < 64; i++)
		assert_non_null(alloc_block(neighbour.heap, 1024, 0, 0, SITE_A));
	assert_null(alloc_block(neighbour.heap, 1024, 0, 0, SITE_A));
	assert_int_equal(usage_of(neighbour.heap).refused, 2);
	heap_free(&neighbour.heap);
}

static int
reserve(void **state UNUSED)
{
	int r = heap_reserve(32, 1 << 28);

	return r == 0 && heap_reserve(32, 1 << 28) == -EALREADY ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_profile_exact),
		cmocka_unit_test(test_a_walk_is_off_by_what_moves_at_most),
		cmocka_unit_test(test_heaps_come_and_go),
		cmocka_unit_test(test_threads_get_spans_of_their_own),
		cmocka_unit_test(test_threads_share_what_is_idle),
		cmocka_unit_test(test_no_refusal_while_a_neighbour_has_some),
		cmocka_unit_test(test_ten_thousand_heaps_leave_nothing),
	};

	return cmocka_run_group_tests(tests, reserve, NULL);
}
