/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack.h"

#include <pthread.h>
#include <sys/auxv.h>
#include <unistd.h>
#include <unwind.h>

enum {
	STACK_OURS = 8,       /* frames of ours that may lie below the caller's */
	STACK_MAIN = 8 << 20, /* how much of the main thread's stack is taken for one: what every system gives it */
};

struct stack_trace {
	uintptr_t address[HEAP_STACK_FRAMES + STACK_OURS];
	uintptr_t cfa[HEAP_STACK_FRAMES + STACK_OURS]; /* what lies below the return address is the called function's */
	unsigned count;
};

static _Unwind_Reason_Code
stack_note(struct _Unwind_Context *context, void *ctx)
{
	struct stack_trace *trace = ctx;
	uintptr_t address = _Unwind_GetIP(context);

	if (address == 0 || trace->count == HEAP_STACK_FRAMES + STACK_OURS)
		return _URC_END_OF_STACK;
	trace->address[trace->count] = address;
	trace->cfa[trace->count++] = _Unwind_GetCFA(context);
	return _URC_NO_REASON;
}

/* Where return addresses lie is this machine's convention: taken only where it shows to be so. */
static bool
stack_find_steps(const struct stack_trace *trace, unsigned first, struct stack *stack)
{
	const uintptr_t *start = (const uintptr_t *) trace->cfa[first] - 1;

	for (unsigned i = 0; i < stack->depth; i++) {
		const uintptr_t *slot = (const uintptr_t *) trace->cfa[first + i] - 1;
		if (slot < start || *slot != stack->frames[i] || (uintptr_t) (slot - start) > UINT32_MAX)
			return false;
		stack->steps[i] = (uint32_t) (slot - start);
	}
	return true;
}

void
stack_walk(uintptr_t site, struct stack *ret)
{
	struct stack_trace trace;
	unsigned first = 0;

	trace.count = 0;
	_Unwind_Backtrace(stack_note, &trace);
	while (first < trace.count && trace.address[first] != site)
		first++;
	if (first == trace.count) {
		ret->frames[0] = site;
		ret->depth = 1;
		ret->has_steps = false;
		return;
	}
	ret->depth = trace.count - first < HEAP_STACK_FRAMES ? trace.count - first : HEAP_STACK_FRAMES;
	for (unsigned i = 0; i < ret->depth; i++)
		ret->frames[i] = trace.address[first + i];
	ret->has_steps = stack_find_steps(&trace, first, ret);
}

/* The calling thread's stack: from *ret_low up to what is returned. */
static uintptr_t
stack_bounds(uintptr_t *ret_low)
{
	static _Thread_local uintptr_t low, high;
	pthread_attr_t attributes;
	void *start = NULL;
	size_t size = 0;

	if (high == 0 && gettid() == getpid()) {
		high = getauxval(AT_RANDOM); /* the kernel put it above the first frame */
		low = high - STACK_MAIN;
	} else if (high == 0 && pthread_getattr_np(pthread_self(), &attributes) == 0) {
		if (pthread_attr_getstack(&attributes, &start, &size) == 0) {
			low = (uintptr_t) start;
			high = low + size;
		}
		pthread_attr_destroy(&attributes);
	}
	*ret_low = low;
	return high;
}

bool
stack_is_same(const uintptr_t *slot, const uintptr_t *frames, const uint32_t *steps, unsigned depth)
{
	uintptr_t low, high = stack_bounds(&low), at = (uintptr_t) slot;

	if (at < low || at >= high)
		return false;
	/* Step by step: where the next one lies is known only as long as all before were right. */
	for (unsigned i = 0; i < depth; i++)
		if (steps[i] >= (high - at) / sizeof(*slot) || slot[steps[i]] != frames[i])
			return false;
	return true;
}
