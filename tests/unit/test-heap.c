/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The heap layer called directly: contract, counts, limits, faults, memory back, profile. */
#include "heap-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void
test_sizes(void **state UNUSED)
{
	struct heap *heap = new_heap(0);
	static const size_t aligns[] = {0, 16, 32, 64, 256, 4096, 65536, 1 << 20};

	for (size_t size = 0; size <= 300000; size = size < 2100 ? size + 1 : size + size / 7) {
		unsigned char *block = alloc_block(heap, size, 0, 0, SITE_A);
		assert_non_null(block);
		assert_int_equal((uintptr_t) block % 16, 0);
		size_t usable = alloc_usable(block);
		assert_true(usable >= size && usable >= 16);
		/* No class wastes more than an eighth beyond its 16-byte step, no large block more than a page. */
		assert_true(usable - size <= (size > 32768 ? 4095 : size / 8 + 16));
		memset(block, 0xa5, usable);
		assert_int_equal(usage_of(heap).live_bytes, usable);
		assert_int_equal(usage_of(heap).live_objects, 1);
		assert_ptr_equal(heap_of(block), heap);
		alloc_free(block, SITE_FREE);
	}
	for (unsigned i = 0; i < ARRAY_LENGTH(aligns); i++)
		for (size_t size = 1; size < 200000; size = size * 3 + 1) {
			char *block = alloc_block(heap, size, aligns[i], 0, SITE_A);
			char *second = alloc_block(heap, size, aligns[i], 0, SITE_A);
			assert_non_null(block);
			assert_non_null(second);
			if (aligns[i] != 0) {
				assert_int_equal((uintptr_t) block % aligns[i], 0);
				assert_int_equal((uintptr_t) second % aligns[i], 0);
			}
			assert_true(block + alloc_usable(block) <= second || second + alloc_usable(second) <= block);
			memset(block, 1, size);
			memset(second, 2, size);
			alloc_free(block, SITE_FREE);
			alloc_free(second, SITE_FREE);
		}
	errno = 0;
	assert_null(alloc_block(heap, (size_t) PTRDIFF_MAX + 1, 0, 0, SITE_A));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(alloc_block(heap, PTRDIFF_MAX, 0, 0, SITE_A));
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(usage_of(heap).live_bytes, 0);
	assert_int_equal(usage_of(heap).live_objects, 0);
	heap_free(&heap);
	assert_null(heap);
	heap_free(&heap);
}

/* Zeroed memory is zero also where a dirty block lay before. */
static void
test_zero(void **state UNUSED)
{
	struct heap *heap = new_heap(0);
	static const size_t sizes[] = {1, 100, 5000, 32768, 32769, 70000, 1000000};

	for (unsigned i = 0; i < ARRAY_LENGTH(sizes); i++)
		for (int round = 0; round < 3; round++) {
			unsigned char *block = alloc_block(heap, sizes[i], 0, ALLOC_ZERO, SITE_A);
			for (size_t at = 0; at < sizes[i]; at++)
				assert_int_equal(block[at], 0);
			memset(block, 0xff, alloc_usable(block));
			alloc_free(block, SITE_FREE);
		}
	heap_free(&heap);
}

static void
test_resize(void **state UNUSED)
{
	struct heap *heap = new_heap(0);
	size_t size = 1;
	unsigned char *block = alloc_block(heap, size, 0, 0, SITE_A);

	block[0] = 1;
	for (unsigned step = 0; step < 200; step++) {
		size_t next = step % 3 == 2 ? size / 2 + 1 : size * 2 > 3000000 ? 17 : size * 2 + step;
		block = alloc_resize(block, next, SITE_B);
		assert_non_null(block);
		for (size_t i = 0; i < (next < size ? next : size); i += 97)
			assert_int_equal(block[i], (unsigned char) (i * 7 + 1));
		for (size_t i = 0; i < next; i++)
			block[i] = (unsigned char) (i * 7 + 1);
		size = next;
		assert_int_equal(usage_of(heap).live_objects, 1);
		assert_int_equal(usage_of(heap).live_bytes, alloc_usable(block));
	}
	/* A large block with room behind grows where it lies, and gives its tail back. */
	unsigned char *large = alloc_block(heap, 1 << 20, 0, 0, SITE_A);
	assert_ptr_equal(alloc_resize(large, 3 << 20, SITE_A), large);
	assert_int_equal(alloc_usable(large), 3 << 20);
	assert_ptr_equal(alloc_resize(large, 100000, SITE_A), large);
	assert_int_equal(alloc_usable(large), 102400);
	alloc_free(large, SITE_FREE);
	alloc_free(block, SITE_FREE);
	assert_int_equal(usage_of(heap).live_bytes, 0);
	heap_free(&heap);
}

static void
test_limit(void **state UNUSED)
{
	enum { HARD = 4 << 20 };
	static const size_t sizes[] = {16, 200, 4000, 30000, 100000};

	for (unsigned i = 0; i < ARRAY_LENGTH(sizes); i++) {
		struct heap *heap = new_heap(HARD);
		void **list = NULL, *block;
		errno = 0;
		while ((block = alloc_block(heap, sizes[i], 0, 0, SITE_B)) != NULL) {
			*(void **) block = list;
			list = block;
		}
		assert_int_equal(errno, ENOMEM);
		struct heap_usage usage = usage_of(heap);
		assert_true(usage.live_bytes <= HARD);
		assert_true(usage.live_bytes + 102400 > HARD); /* the next block really would not have fitted */
		if (sizes[i] <= 30000)
			assert_true(usage.live_bytes >= HARD / 100 * 98);
		assert_int_equal(usage.refused, 1);
		assert_int_equal(usage.refused_site, SITE_B);
		/* One freed, one had again. */
		block = list;
		list = *(void **) block;
		alloc_free(block, SITE_FREE);
		assert_non_null(block = alloc_block(heap, sizes[i], 0, 0, SITE_B));
		alloc_free(block, SITE_FREE);
		while (list != NULL) {
			void **next = *list;
			alloc_free(list, SITE_FREE);
			list = next;
		}
		assert_int_equal(usage_of(heap).live_bytes, 0);
		assert_int_equal(usage_of(heap).peak_bytes > HARD / 100 * 95, 1);
		heap_free(&heap);
	}
	/* A heap that never refuses only counts. */
	struct heap_limits limits = {.hard = 1 << 20};
	struct heap *foreign = NULL;
	assert_int_equal(heap_new("test/foreign", &limits, false, &foreign), 0);
	for (unsigned i = 0; i < 64; i++)
		assert_non_null(alloc_block(foreign, 100000, 0, 0, SITE_A));
	assert_true(usage_of(foreign).live_bytes > 64 * 100000);
	assert_int_equal(usage_of(foreign).refused, 0);
	heap_free(&foreign);
}

static void
test_faults(void **state UNUSED)
{
	struct heap *heap = new_heap(0);
	char *small = alloc_block(heap, 100, 0, 0, SITE_A), *large = alloc_block(heap, 300000, 0, 0, SITE_A);
	char *kept = alloc_block(heap, 100, 0, 0, SITE_A);

	heap_on_fault(note_fault, NULL);
	seen.count = 0;
	alloc_free(small + 16, SITE_FREE);
	expect_fault(HEAP_FAULT_INTERIOR_FREE, small + 16);
	assert_string_equal(seen.fault.heap, "test#1");
	alloc_free(small + 1, SITE_FREE);
	expect_fault(HEAP_FAULT_INTERIOR_FREE, small + 1);
	alloc_free(large + 16, SITE_FREE);
	expect_fault(HEAP_FAULT_INTERIOR_FREE, large + 16);
	alloc_free(large + 70000, SITE_FREE);
	expect_fault(HEAP_FAULT_INTERIOR_FREE, large + 70000);
	alloc_free(kept + (1 << 26), SITE_FREE);
	expect_fault(HEAP_FAULT_FOREIGN_FREE, kept + (1 << 26));
	alloc_free(small, SITE_FREE);
	assert_int_equal(seen.count, 0);
	alloc_free(small, SITE_FREE);
	expect_fault(HEAP_FAULT_DOUBLE_FREE, small);
	errno = 0;
	assert_null(alloc_resize(small, 10, SITE_FREE));
	expect_fault(HEAP_FAULT_DOUBLE_FREE, small);
	alloc_free(large, SITE_FREE);
	alloc_free(large, SITE_FREE);
	expect_fault(HEAP_FAULT_DOUBLE_FREE, large);
	assert_int_equal(alloc_usable(small), 0);
	assert_int_equal(usage_of(heap).faults, 8);
	/* Nothing was corrupted: the same block is not handed out twice. */
	char *one = alloc_block(heap, 100, 0, 0, SITE_A), *two = alloc_block(heap, 100, 0, 0, SITE_A);
	assert_ptr_not_equal(one, two);
	assert_int_equal(usage_of(heap).live_objects, 3);
	heap_free(&heap);
	alloc_free(kept, SITE_FREE);
	expect_fault(HEAP_FAULT_STALE_FREE, kept);
	assert_string_equal(seen.fault.heap, "test#1");
	heap_on_fault(NULL, NULL);
}

static void
test_memory_back(void **state UNUSED)
{
	enum { COUNT = 2000 };
	struct heap *heap = new_heap(0);
	static char *blocks[COUNT];
	uint32_t now = 100;

	(void) heap_decay(now, 10);
	for (unsigned i = 0; i < COUNT; i++) {
		blocks[i] = alloc_block(heap, 5000, 0, 0, SITE_A);
		memset(blocks[i], 1, 5000);
	}
	uint64_t full = usage_of(heap).resident_bytes;
	assert_true(full >= COUNT * 5000UL);
	for (unsigned i = 0; i < COUNT; i++)
		alloc_free(blocks[i], SITE_FREE);
	struct heap_usage usage = usage_of(heap);
	assert_true(usage.retained_bytes > full / 2);
	assert_int_equal(heap_decay(now + 9, 10), 0);
	assert_true(heap_decay(now + 10, 10) >= usage.retained_bytes);
	assert_int_equal(usage_of(heap).retained_bytes, 0);
	(void) heap_trim(heap);
	assert_int_equal(usage_of(heap).resident_bytes, 0);
	/* What went is usable again, and zero. */
	for (unsigned i = 0; i < COUNT; i++) {
		blocks[i] = alloc_block(heap, 5000, 0, 0, SITE_A);
		memset(blocks[i], 1, 5000);
	}
	assert_int_equal(usage_of(heap).resident_bytes, full);
	heap_free(&heap);
}

/* Freed neighbours become one run again: what was small pieces serves one large block of the same total. */
static void
test_coalescing(void **state UNUSED)
{
	enum { COUNT = 64, PIECE = 1 << 18 };
	struct heap *heap = new_heap(0);
	char *blocks[COUNT], *lowest = NULL;

	for (unsigned i = 0; i < COUNT; i++) {
		blocks[i] = alloc_block(heap, PIECE, 0, 0, SITE_A);
		if (lowest == NULL || blocks[i] < lowest)
			lowest = blocks[i];
	}
	for (unsigned i = 0; i < COUNT; i += 2)
		alloc_free(blocks[i], SITE_FREE);
	for (unsigned i = 1; i < COUNT; i += 2)
		alloc_free(blocks[i], SITE_FREE);
	assert_ptr_equal(alloc_block(heap, (size_t) COUNT * PIECE, 0, 0, SITE_A), lowest);
	heap_free(&heap);
}

static void
test_profile(void **state UNUSED)
{
	enum { COUNT = 5000 };
	struct heap *heap = new_heap(0);
	struct heap_profile *profile CLEANUP(heap_profile_free) = NULL;
	static void *blocks[COUNT];

	for (unsigned i = 0; i < COUNT; i++)
		blocks[i] = alloc_block(heap, 48, 0, 0, SITE_A);
	for (unsigned i = 0; i < 10; i++)
		assert_non_null(alloc_block(heap, 40000, 0, 0, SITE_B));
	assert_non_null(alloc_block(heap, 4096, 0, ALLOC_ARENA, SITE_C));
	for (unsigned i = 0; i < COUNT; i += 2)
		alloc_free(blocks[i], SITE_FREE);
	assert_int_equal(usage_of(heap).arena_bytes, 4096);
	assert_int_equal(heap_profile_take(heap, 0, &profile), 0);
	assert_int_equal(profile->count, 3);
	assert_int_equal(profile->sites[0].site, SITE_B);
	assert_int_equal(profile->sites[0].objects, 10);
	assert_int_equal(profile->sites[0].bytes, 10 * 40960);
	assert_int_equal(profile->sites[1].site, SITE_A);
	assert_int_equal(profile->sites[1].objects, COUNT / 2);
	assert_int_equal(profile->sites[1].bytes, COUNT / 2 * 48);
	assert_false(profile->sites[1].arena);
	assert_int_equal(profile->sites[2].site, SITE_C);
	assert_true(profile->sites[2].arena);
	assert_int_equal(profile->age_bytes[0], usage_of(heap).live_bytes);
	heap_profile_free(&profile);
	/* All is of this epoch: nothing is one epoch old. */
	assert_int_equal(heap_profile_take(heap, 1, &profile), 0);
	assert_int_equal(profile->count, 0);
	heap_free(&heap);
}

static unsigned
count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned lines = 0;

	assert_non_null(maps);
	for (int c; (c = fgetc(maps)) != EOF;)
		lines += c == '\n';
	(void) fclose(maps);
	return lines;
}

static void
test_cycles(void **state UNUSED)
{
	unsigned before = 0;

	for (unsigned i = 0; i < 300; i++) {
		struct heap *heap = new_heap(0);
		for (unsigned k = 0; k < 50; k++)
			memset(alloc_block(heap, 100 * k, 0, 0, SITE_A), 1, 100UL * k);
		memset(alloc_block(heap, 300000, 0, 0, SITE_A), 1, 300000);
		assert_int_equal(usage_of(heap).live_objects, 51);
		heap_free(&heap);
		if (i == 150)
			before = count_mappings();
	}
	/* 149 more cycles: one mapping kept by each would show; a few are the sanitizers' own. */
	assert_in_range(count_mappings(), 0, before + 16);
}

static void
test_fork(void **state UNUSED)
{
	struct heap *heap = new_heap(0);
	char *block = alloc_block(heap, 1000, 0, 0, SITE_A);
	int status;

	strcpy(block, "parent");
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		char *other = alloc_block(heap, 1000, 0, 0, SITE_A);
		bool fine = other != NULL && strcmp(block, "parent") == 0;
		if (fine)
			strcpy(block, "child");
		alloc_free(block, SITE_FREE);
		alloc_free(other, SITE_FREE);
		_exit(fine && usage_of(heap).live_bytes == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_string_equal(block, "parent");
	alloc_free(block, SITE_FREE);
	assert_int_equal(usage_of(heap).live_bytes, 0);
	heap_free(&heap);
}

static void
test_slots_run_out(void **state UNUSED)
{
	struct heap *heaps[64] = {NULL};
	unsigned made = 0;
	int r = 0;

	while (made < ARRAY_LENGTH(heaps) && (r = heap_new("many", NULL, true, &heaps[made])) == 0)
		made++;
	assert_int_equal(made, 32);
	assert_int_equal(r, -ENOMEM);
	assert_null(heaps[made]);
	void *stale = alloc_block(heaps[7], 10, 0, 0, SITE_A);
	heap_free(&heaps[7]);
	assert_null(heap_of(stale));
	assert_int_equal(heap_new("again", NULL, true, &heaps[7]), 0);
	assert_non_null(alloc_block(heaps[7], 10, 0, 0, SITE_A));
	for (unsigned i = 0; i < made; i++)
		heap_free(&heaps[i]);
}

static int
reserve(void **state UNUSED)
{
	int r = heap_reserve(32, 1 << 28);

	return r == 0 && heap_reserve(32, 1 << 28) == -EALREADY ? 0 : -1;
}

#ifdef __SANITIZE_THREAD__
/* Around fork a heap's 70-odd locks are held at once; the detector of lock cycles gives up at 64. */
const char *__tsan_default_options(void);

const char *
__tsan_default_options(void)
{
	return "detect_deadlocks=0";
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),         cmocka_unit_test(test_zero),
		cmocka_unit_test(test_resize),        cmocka_unit_test(test_limit),
		cmocka_unit_test(test_faults),        cmocka_unit_test(test_memory_back),
		cmocka_unit_test(test_coalescing),    cmocka_unit_test(test_profile),
		cmocka_unit_test(test_cycles),        cmocka_unit_test(test_fork),
		cmocka_unit_test(test_slots_run_out),
	};

	return cmocka_run_group_tests(tests, reserve, NULL);
}
