/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* heap-main.c - runs one figure of the heap benchmark and prints it: heap-main WORK.so FIGURE.
 *
 * Built twice: plain, for allocators that are preloaded; and with HEAP_BENCH_OURS and the heap layer's objects, where
 * the work runs inside a space as a plugin's does, exact bytes, sites and epochs always on. */
#ifdef HEAP_BENCH_OURS
#include "scope.h"
#endif

#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void *library;

static void *
symbol(const char *name)
{
	void *found = dlsym(library, name);

	if (found == NULL) {
		(void) fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	return found;
}

/* This thread's own time: what else the machine does is left out. */
static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

static double
resident(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	unsigned long size, pages = 0;

	if (statm == NULL || fscanf(statm, "%lu %lu", &size, &pages) != 2)
		exit(1);
	(void) fclose(statm);
	return (double) pages * (double) sysconf(_SC_PAGESIZE);
}

#ifdef HEAP_BENCH_OURS
static struct scope_space *space;
static struct scope_frame frame;

static int
find_range(struct dl_phdr_info *info, size_t size, void *ctx)
{
	uintptr_t *range = ctx;
	struct link_map *map;

	(void) size;
	if (dlinfo(library, RTLD_DI_LINKMAP, &map) != 0 || map->l_addr != info->dlpi_addr)
		return 0;
	range[0] = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD)
			range[1] = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
	return 1;
}

static void
space_new(struct heap *foreign)
{
	uintptr_t range[2];

	if (scope_space_new("bench", 1, foreign, NULL, &space) < 0 || dl_iterate_phdr(find_range, range) != 1)
		exit(1);
	scope_space_set_image(space, range[0], range[1]);
}

static void
enter(void)
{
	static struct heap *foreign;

	if (foreign == NULL && heap_new("bench/foreign", NULL, false, &foreign) < 0)
		exit(1);
	space_new(foreign);
	scope_enter(&frame, space, NULL);
}

static void
leave(void)
{
	scope_leave(&frame);
}

static double
only_ours(const char *figure)
{
	void (*fill)(unsigned long, unsigned long) = symbol("work_fill");

	enter();
	if (strcmp(figure, "enter_leave") == 0) {
		enum { ROUNDS = 20000000 };
		leave();
		double begun = now();
		for (int i = 0; i < ROUNDS; i++) {
			scope_enter(&frame, space, NULL);
			scope_leave(&frame);
		}
		return (now() - begun) / ROUNDS;
	}
	if (strcmp(figure, "destroy_1g") == 0) {
		fill(1UL << 30, -1UL);
		leave();
		double begun = now();
		scope_space_free(&space);
		return (now() - begun) / 1e6;
	}
	if (strcmp(figure, "dump_1m") == 0) {
		fill(1UL << 40, 1000000);
		leave();
		struct heap_profile *profile = NULL;
		double begun = now();
		if (heap_profile_take(scope_space_own(space), 0, &profile) < 0 || profile->sites[0].objects != 1000000)
			exit(1);
		return (now() - begun) / 1e6;
	}
	if (strcmp(figure, "cycle") == 0) {
		enum { ROUNDS = 10000 };
		struct heap *foreign = scope_space_foreign(space);
		leave();
		scope_space_free(&space);
		double before = 0, begun = 0;
		for (int i = 0; i < ROUNDS; i++) {
			if (i == ROUNDS / 10) {
				before = resident();
				begun = now();
			}
			space_new(foreign);
			scope_enter(&frame, space, NULL);
			fill(2000, 1);
			scope_leave(&frame);
			scope_space_free(&space);
		}
		if (resident() > before + (1 << 20)) {
			(void) fprintf(stderr, "resident memory grew from %.0f to %.0f\n", before, resident());
			exit(1);
		}
		return (now() - begun) / (ROUNDS - ROUNDS / 10) / 1e3;
	}
	exit(2);
}

/* Side tables, reported beside the overhead and not in it. */
static double
side_bytes(void)
{
	struct heap_usage usage;

	heap_usage(scope_space_own(space), &usage);
	return (double) usage.side_bytes;
}
#else
static void
enter(void)
{
}

static void
leave(void)
{
}

static double
only_ours(const char *figure)
{
	(void) fprintf(stderr, "no figure %s\n", figure);
	exit(2);
}

static double
side_bytes(void)
{
	return 0;
}
#endif

/* ns a request, in its own booking where there is one. */
static double
life(void)
{
	enum { ROUNDS = 200000 };
	void (*request)(unsigned *) = symbol("work_request");
	unsigned random = 1;

	double begun = now();
	for (int i = 0; i < ROUNDS; i++) {
#ifdef HEAP_BENCH_OURS
		struct scope_booking *booking = NULL;
		struct scope_frame inner;
		if (scope_booking_open(space, &booking) < 0)
			exit(1);
		scope_enter(&inner, space, booking);
		request(&random);
		scope_leave(&inner);
		scope_booking_close(&booking, 0, 2, NULL, NULL);
#else
		request(&random);
#endif
	}
	return (now() - begun) / ROUNDS;
}

static double
overhead(double *ret_side)
{
	double (*mixed)(double) = symbol("work_mixed");
	double before = resident();

	enter();
	double requested = mixed(200e6);
	leave();
	*ret_side = side_bytes() / requested * 100;
	return ((resident() - before - side_bytes()) / requested - 1) * 100;
}

int
main(int argc, char **argv)
{
	double value, side = 0;

	if (argc != 3 || (library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL)) == NULL) {
		(void) fprintf(stderr, "heap-main WORK.so FIGURE\n");
		return 2;
	}
	const char *figure = argv[2];
	if (strcmp(figure, "overhead") == 0) {
		value = overhead(&side);
		(void) printf("%.3f %.3f\n", value, side);
		return 0;
	}
	double (*timed)(int) = NULL;
	double (*plain)(void) = NULL;
	int threads = 1;
	if (strncmp(figure, "pair.", 5) == 0) {
		timed = symbol("work_pair");
		threads = atoi(figure + 5);
	} else if (strcmp(figure, "remote_free") == 0)
		plain = symbol("work_remote");
	else if (strcmp(figure, "large") == 0)
		plain = symbol("work_large");
	else if (strcmp(figure, "life") == 0)
		plain = life;
	else {
		(void) printf("%.3f\n", only_ours(figure));
		return 0;
	}
	enter();
	value = timed != NULL ? timed(threads) : plain();
	leave();
	(void) printf("%.3f\n", value);
	return 0;
}
