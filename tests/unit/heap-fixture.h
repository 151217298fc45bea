/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* heap-fixture.h - what the heap's tests share: a heap, its counts, and the faults it reported. */
#include "alloc.h"
#include "cleanup.h"
#include "heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
	SITE_A = 0x1000,
	SITE_B = 0x2000,
	SITE_C = 0x3000,
	SITE_FREE = 0x4000,
};

static inline struct heap_usage
usage_of(const struct heap *heap)
{
	struct heap_usage usage;

	heap_usage(heap, &usage);
	return usage;
}

static inline struct heap *
new_heap(uint64_t hard)
{
	struct heap_limits limits = {.hard = hard};
	struct heap *heap = NULL;

	assert_int_equal(heap_new("test#1", &limits, true, &heap), 0);
	return heap;
}

static UNUSED struct {
	struct heap_fault fault;
	unsigned count;
} seen;

static inline void
note_fault(const struct heap_fault *fault, void *ctx UNUSED)
{
	seen.fault = *fault;
	seen.count++;
}

static inline void
expect_fault(enum heap_fault_kind kind, const void *block)
{
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.fault.kind, kind);
	assert_ptr_equal(seen.fault.block, block);
	assert_int_equal(seen.fault.site, SITE_FREE);
	seen.count = 0;
}
