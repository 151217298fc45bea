/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "capture.h"

#include "cleanup.h"

#include <errno.h>
#include <time.h>

static int
capture_half_take(const struct heap *heap, uint32_t min_age, struct capture_half *half)
{
	int r = heap_profile_take(heap, min_age, &half->profile);

	if (r == 0)
		r = heap_stacks_ever(heap, &half->stacks, &half->stack_count);
	heap_usage(heap, &half->usage);
	return r;
}

int
capture_take(const struct heap *own, const struct heap *foreign, uint64_t instance, uint32_t min_age,
	     struct capture **ret)
{
	CLEANUP(capture_unref) struct capture *capture = calloc(1, sizeof(*capture));
	struct timespec now;

	if (capture == NULL)
		return -ENOMEM;
	clock_gettime(CLOCK_REALTIME, &now);
	capture->references = 1;
	capture->instance = instance;
	capture->taken = (uint64_t) now.tv_sec;
	int r = capture_half_take(own, min_age, &capture->own);
	if (r == 0 && foreign != NULL)
		r = capture_half_take(foreign, min_age, &capture->foreign);
	if (r < 0)
		return r;
	*ret = STEAL(capture);
	return 0;
}

struct capture *
capture_ref(struct capture *capture)
{
	__atomic_fetch_add(&capture->references, 1, __ATOMIC_RELAXED);
	return capture;
}

void
capture_unref(struct capture **capturep)
{
	struct capture *capture = *capturep;

	if (capture == NULL)
		return;
	*capturep = NULL;
	if (__atomic_sub_fetch(&capture->references, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	heap_profile_free(&capture->own.profile);
	heap_profile_free(&capture->foreign.profile);
	free(capture->own.stacks);
	free(capture->foreign.stacks);
	free(capture);
}
