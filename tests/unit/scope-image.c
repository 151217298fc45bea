/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What test-scope loads as if it were a plugin: every way in which one gets memory. */
#include <locale.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

void *image_malloc(size_t size);
void *image_first_caller(size_t size);
void *image_second_caller(size_t size);
void *image_calloc(size_t count, size_t size);
void *image_realloc(void *p, size_t size);
void image_free(void *p);
int image_all(void **ret);
int image_thread(pthread_t *ret, void **arg);
int image_thread_c11(thrd_t *ret, void **arg);

extern void *image_made_at_load;
void *image_made_at_load;

__attribute__((constructor)) static void
construct(void)
{
	image_made_at_load = malloc(100);
}

__attribute__((destructor)) static void
destruct(void)
{
	free(image_made_at_load);
}

void *
image_malloc(size_t size)
{
	void *p = malloc(size);

	__asm__ volatile("" ::: "memory"); /* a call, not a jump: the return address must be here */
	return p;
}

/* A wrapper, as many programs have one: the site of all its blocks is here, the reason for them is with its callers. */
static __attribute__((noinline)) void *
wrap(size_t size)
{
	void *p = malloc(size);

	__asm__ volatile("" ::: "memory");
	return p;
}

void *
image_first_caller(size_t size)
{
	void *p = wrap(size);

	__asm__ volatile("" ::: "memory");
	return p;
}

void *
image_second_caller(size_t size)
{
	void *p = wrap(size);

	__asm__ volatile("" ::: "memory");
	return p;
}

void *
image_calloc(size_t count, size_t size)
{
	void *p = calloc(count, size);

	__asm__ volatile("" ::: "memory");
	return p;
}

void *
image_realloc(void *p, size_t size)
{
	void *q = realloc(p, size);

	__asm__ volatile("" ::: "memory");
	return q;
}

void
image_free(void *p)
{
	free(p);
}

/* One of each kind; the caller frees them. Returns how many. */
int
image_all(void **ret)
{
	char line[] = "line\n", *text = NULL;
	size_t size = 0;
	int n = 0;

	ret[n++] = malloc(1);
	ret[n++] = calloc(3, 5);
	ret[n++] = realloc(NULL, 7);
	ret[n++] = reallocarray(NULL, 3, 7);
	if (posix_memalign(&ret[n++], 256, 100) != 0)
		return -1;
	ret[n++] = aligned_alloc(64, 128);
	ret[n++] = memalign(4096, 10);
	ret[n++] = valloc(10);
	ret[n++] = pvalloc(10);
	ret[n++] = strdup("duplicate");
	ret[n++] = strndup("duplicate", 3);
	if (asprintf((char **) &ret[n++], "%d %s", 5, "five") != 6)
		return -1;
	/* What the C library allocates on the caller's behalf comes last: it is of the foreign heap. */
	FILE *memory = fmemopen(line, strlen(line), "r");
	if (memory == NULL || getline(&text, &size, memory) != 5)
		return -1;
	(void) fclose(memory);
	ret[n++] = text;
	return n;
}

static void *
thread_main(void *arg)
{
	void **out = arg;

	out[0] = malloc(1000);
	out[1] = strdup("of a thread");
	pthread_barrier_wait(out[2]);
	pthread_barrier_wait(out[2]);
	free(out[1]);
	return NULL;
}

static int
thread_c11(void *arg)
{
	return thread_main(arg) == NULL ? 7 : 8;
}

int
image_thread(pthread_t *ret, void **arg)
{
	return pthread_create(ret, NULL, thread_main, arg);
}

int
image_thread_c11(thrd_t *ret, void **arg)
{
	return thrd_create(ret, thread_c11, arg);
}
