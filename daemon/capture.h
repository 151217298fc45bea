/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* capture.h - what an instance's two heaps hold at one moment: exact sites, sampled stacks, totals; addresses only.
 *
 * Cheap enough to be kept at each new high of a plugin. Names are found later, while the instance is still mapped.
 *
 * Threads: take from any, while the heaps live; ref and unref from any; the contents are constant.
 * Owns: its copies.
 */
#include "heap.h"

struct capture_half {
	struct heap_usage usage;
	struct heap_profile *profile;
	struct heap_stack_usage *stacks;
	size_t stack_count;
};

struct capture {
	unsigned references;
	uint64_t instance;
	uint64_t taken; /* CLOCK_REALTIME seconds */
	struct capture_half own, foreign;
};

/* min_age: as heap_profile_take. foreign: may be NULL. */
int capture_take(const struct heap *own, const struct heap *foreign, uint64_t instance, uint32_t min_age,
		 struct capture **ret);
struct capture *capture_ref(struct capture *capture);
void capture_unref(struct capture **capture);
