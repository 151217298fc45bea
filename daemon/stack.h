/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* stack.h - the calling thread's stack as return addresses, and where on the stack each of them lies.
 *
 * A walk by unwind tables costs a microsecond or two. Where the return addresses of an earlier walk lie is therefore
 * worth remembering (steps): how large a frame is follows from its return address alone, but for functions that use
 * alloca. If each word at the same distances from the same call holds the same return address, it is the same stack.
 *
 * Threads: any. Owns: nothing.
 */
#include "heap.h"

#include <stdbool.h>
#include <stdint.h>

struct stack {
	uintptr_t frames[HEAP_STACK_FRAMES]; /* the given call's first */
	uint32_t steps[HEAP_STACK_FRAMES];   /* words from the first frame's return address up to each */
	unsigned depth;
	bool has_steps;
};

/* The stack from the call that returns to `site` upwards; the site alone if the unwinder does not come by it. */
void stack_walk(uintptr_t site, struct stack *ret);
/* Do these return addresses lie at these steps from `slot`, where the first of them would be? Never looks past the end
 * of the calling thread's stack; false also where that is not known. */
bool stack_is_same(const uintptr_t *slot, const uintptr_t *frames, const uint32_t *steps, unsigned depth);
