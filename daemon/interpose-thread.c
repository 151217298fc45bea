/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Thread starts. A thread a plugin starts works in the plugin's space from its first instruction to the last round of
 * its destructors, and is counted that long: an image with a thread in it must not be unloaded. */
#include "interpose.h"

#if MTLSD_HEAP_LAYER

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <threads.h>

struct interpose_start {
	union {
		void *(*posix)(void *);
		int (*c11)(void *);
	};
	void *arg;
	struct scope_space *space;
};

/* The C library's function of that name. */
static void *
interpose_next(void **cache, const char *name)
{
	void *found = __atomic_load_n(cache, __ATOMIC_RELAXED);

	if (found != NULL)
		return found;
	struct scope_frame frame;
	scope_enter_daemon(&frame);
	found = dlsym(RTLD_NEXT, name);
	scope_leave(&frame);
	__atomic_store_n(cache, found, __ATOMIC_RELAXED);
	return found;
}

static struct interpose_start *
interpose_start_new(void *arg)
{
	struct interpose_start *start = __libc_malloc(sizeof(*start));

	if (start == NULL)
		return NULL;
	start->arg = arg;
	start->space = bin_self.space;
	scope_thread_announce(start->space);
	return start;
}

static void
interpose_start_free(struct interpose_start *start)
{
	scope_thread_revoke(start->space);
	__libc_free(start);
}

static struct interpose_start
interpose_begin(void *given)
{
	struct interpose_start start = *(struct interpose_start *) given;

	__libc_free(given);
	scope_thread_begin(start.space);
	return start;
}

static void *
interpose_run_posix(void *given)
{
	struct interpose_start start = interpose_begin(given);

	return start.posix(start.arg);
}

static int
interpose_run_c11(void *given)
{
	struct interpose_start start = interpose_begin(given);

	return start.c11(start.arg);
}

int
pthread_create(pthread_t *ret, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
	static void *cache;
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*) (void *), void *);

	*(void **) &real = interpose_next(&cache, "pthread_create");
	if (bin_self.space == NULL)
		return real(ret, attributes, run, arg);
	struct interpose_start *start = interpose_start_new(arg);
	if (start == NULL)
		return EAGAIN;
	start->posix = run;
	int r = real(ret, attributes, interpose_run_posix, start);
	if (r != 0)
		interpose_start_free(start);
	return r;
}

int
thrd_create(thrd_t *ret, thrd_start_t run, void *arg)
{
	static void *cache;
	int (*real)(thrd_t *, thrd_start_t, void *);

	*(void **) &real = interpose_next(&cache, "thrd_create");
	if (bin_self.space == NULL)
		return real(ret, run, arg);
	struct interpose_start *start = interpose_start_new(arg);
	if (start == NULL)
		return thrd_nomem;
	start->c11 = run;
	int r = real(ret, interpose_run_c11, start);
	if (r != thrd_success)
		interpose_start_free(start);
	return r;
}

#endif
