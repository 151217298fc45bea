/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A stack is told from another by its return addresses alone, and never by words beyond its end. */
#include "stack.h"

#include "cleanup.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <ucontext.h>

#include <cmocka.h>

static struct stack known; /* of the first walk */
static bool is_known;

/* What a function that is called like malloc sees. */
static __attribute__((noinline)) void
look(bool walk)
{
	const uintptr_t *slot = (const uintptr_t *) __builtin_frame_address(0) + 1;
	uintptr_t site = (uintptr_t) __builtin_return_address(0);

	assert_int_equal(*slot, site);
	if (walk)
		stack_walk(site, &known);
	is_known = stack_is_same(slot, known.frames, known.steps, known.depth);
	__asm__ volatile("" ::: "memory"); /* nothing here is a tail call */
}

static __attribute__((noinline)) void
wrap(bool walk)
{
	look(walk);
	__asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) void
call(unsigned caller, bool walk)
{
	if (caller == 0) {
		wrap(walk);
		__asm__ volatile("" ::: "memory");
	} else {
		wrap(walk);
		__asm__ volatile("nop" ::: "memory");
	}
}

static void
test_the_same_stack(void **state UNUSED)
{
	/* Volatile: a loop whose first turn is taken apart would call from two places. */
	for (volatile unsigned i = 0; i < 8; i++) {
		call(i % 2, i == 0);
		if (i == 0) {
			assert_true(known.has_steps);
			assert_true(known.depth >= 4);
			assert_int_equal(known.steps[0], 0);
		}
		assert_int_equal(is_known, i % 2 == 0);
	}
}

static void
test_no_call_of_that_site(void **state UNUSED)
{
	uintptr_t here = (uintptr_t) known.frames, *slot = &here;
	struct stack stack;

	stack_walk(1, &stack);
	assert_int_equal(stack.depth, 1);
	assert_int_equal(stack.frames[0], 1);
	assert_false(stack.has_steps);
	assert_false(stack_is_same(slot, stack.frames, (uint32_t[]){0}, 1));
}

/* Words that far from here are asked for: are they looked at? They lie past the end of any stack. `here` is on it, also
 * where the address sanitizer would keep it elsewhere. */
static __attribute__((no_sanitize_address)) void
beyond(void)
{
	uintptr_t here = 42, frames[] = {42, 43};

	assert_true(stack_is_same(&here, frames, (uint32_t[]){0}, 1));
	assert_false(stack_is_same(&here, frames, (uint32_t[]){0, UINT32_MAX}, 2));
	/* 64 MiB from here is more than any stack has, and nothing may be mapped there. */
	assert_false(stack_is_same(&here, frames, (uint32_t[]){0, 8 << 20}, 2));
}

static void *
beyond_in_thread(void *unused UNUSED)
{
	beyond();
	return NULL;
}

static void
test_the_end(void **state UNUSED)
{
	pthread_t thread;

	beyond();
	assert_int_equal(pthread_create(&thread, NULL, beyond_in_thread, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static ucontext_t routine, back;
static bool is_taken;

static void
run_routine(void)
{
	uintptr_t here = 42;

	is_taken = stack_is_same(&here, &here, (uint32_t[]){0}, 1);
}

/* Where a coroutine's stack ends is not known: nothing on it is looked at. */
static void
test_coroutine(void **state UNUSED)
{
	static char stack[1 << 16];

	assert_int_equal(getcontext(&routine), 0);
	routine.uc_stack.ss_sp = stack;
	routine.uc_stack.ss_size = sizeof(stack);
	routine.uc_link = &back;
	makecontext(&routine, run_routine, 0);
	is_taken = true;
	assert_int_equal(swapcontext(&back, &routine), 0);
	assert_false(is_taken);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_same_stack),
		cmocka_unit_test(test_no_call_of_that_site),
		cmocka_unit_test(test_the_end),
		cmocka_unit_test(test_coroutine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
