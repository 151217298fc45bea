/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The interposed layer as the daemon links it, with real shared objects in the plugin's place. */
#include "cleanup.h"
#include "crash.h"
#include "scope.h"
#include "symbol.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <threads.h>

#include <cmocka.h>

/* Set by the linker: where this program begins and ends. */
extern char __executable_start, _end;

struct image {
	void *handle;
	int fd;
	uintptr_t start, end;
};

struct fixture {
	struct heap *foreign;
	struct scope_space *space;
	struct image c;
};

static struct heap_usage
usage_of(const struct heap *heap)
{
	struct heap_usage usage;

	heap_usage(heap, &usage);
	return usage;
}

static int
find_range(struct dl_phdr_info *info, size_t size UNUSED, void *ctx)
{
	struct image *image = ctx;
	struct link_map *map = NULL;

	if (dlinfo(image->handle, RTLD_DI_LINKMAP, &map) != 0 || map->l_addr != info->dlpi_addr)
		return 0;
	image->start = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD) {
			uintptr_t end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
			image->end = end > image->end ? end : image->end;
		}
	return 1;
}

/* Loads a shared object that lies beside this program, inside the space if there is one. */
static void
load(const char *file, struct scope_space *space, struct image *ret)
{
	char path[PATH_MAX];
	struct scope_frame frame;
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	assert_true(length > 0);
	path[length] = '\0';
	char *slash = strrchr(path, '/');
	(void) snprintf(slash + 1, sizeof(path) - (size_t) (slash + 1 - path), "%s", file);
	*ret = (struct image){.fd = open(path, O_RDONLY | O_CLOEXEC)};
	assert_true(ret->fd >= 0);
	if (space != NULL)
		scope_enter(&frame, space, NULL);
	ret->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (space != NULL)
		scope_leave(&frame);
	assert_non_null(ret->handle);
	assert_int_equal(dl_iterate_phdr(find_range, ret), 1);
	if (space != NULL)
		scope_space_set_image(space, ret->start, ret->end);
}

static void
unload(struct scope_space *space, struct image *image)
{
	struct scope_frame frame;

	scope_enter(&frame, space, NULL);
	assert_int_equal(dlclose(image->handle), 0);
	scope_leave(&frame);
	(void) close(image->fd);
}

static void *
symbol_of(const struct image *image, const char *name)
{
	void *found = dlsym(image->handle, name);

	assert_non_null(found);
	return found;
}

/* One for all tests, and never freed: libraries, the dynamic linker first of all, keep what they made in it. */
static struct heap *foreign_of_all;

static int
setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	if (foreign_of_all == NULL)
		assert_int_equal(heap_new("image/foreign", NULL, false, &foreign_of_all), 0);
	fixture->foreign = foreign_of_all;
	assert_int_equal(scope_space_new("image", 1, fixture->foreign, NULL, &fixture->space), 0);
	load("scope-image.so", fixture->space, &fixture->c);
	*state = fixture;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *fixture = *state;

	unload(fixture->space, &fixture->c);
	scope_space_free(&fixture->space);
	free(fixture);
	return 0;
}

static void
test_who_gets_what(void **state)
{
	struct fixture *fixture = *state;
	struct heap *own = scope_space_own(fixture->space);
	int (*all)(void **) = symbol_of(&fixture->c, "image_all");
	void **made_at_load = symbol_of(&fixture->c, "image_made_at_load");
	struct scope_frame frame, inner;
	void *blocks[32], *daemons;

	assert_ptr_equal(heap_of(*made_at_load), own);
	uint64_t before = usage_of(own).live_objects, foreign_before = usage_of(fixture->foreign).live_objects;
	scope_enter(&frame, fixture->space, NULL);
	int count = all(blocks);
	scope_enter_daemon(&inner);
	daemons = malloc(100);
	scope_leave(&inner);
	void *executables = malloc(100); /* not from the image: on its behalf */
	scope_leave(&frame);
	assert_int_equal(count, 13);
	for (int i = 0; i < count - 1; i++) {
		assert_non_null(blocks[i]);
		assert_ptr_equal(heap_of(blocks[i]), own);
		assert_true(malloc_usable_size(blocks[i]) > 0);
	}
	assert_int_equal((uintptr_t) blocks[4] % 256, 0);
	assert_int_equal((uintptr_t) blocks[5] % 64, 0);
	assert_int_equal((uintptr_t) blocks[6] % 4096, 0);
	assert_int_equal((uintptr_t) blocks[7] % 4096, 0);
	assert_string_equal(blocks[9], "duplicate");
	assert_string_equal(blocks[10], "dup");
	assert_string_equal(blocks[11], "5 five");
	assert_string_equal(blocks[12], "line\n");
	assert_ptr_equal(heap_of(blocks[12]), fixture->foreign);
	assert_ptr_equal(heap_of(executables), fixture->foreign);
	assert_null(heap_of(daemons));
	assert_int_equal(usage_of(own).live_objects, before + (unsigned) count - 1);
	for (int i = 0; i < count; i++)
		free(blocks[i]);
	free(executables);
	free(daemons);
	assert_int_equal(usage_of(own).live_objects, before);
	assert_true(usage_of(fixture->foreign).live_objects <= foreign_before + 1);
}

static void
test_realloc_stays(void **state)
{
	struct fixture *fixture = *state;
	void *(*take)(size_t) = symbol_of(&fixture->c, "image_malloc");
	void *(*resize)(void *, size_t) = symbol_of(&fixture->c, "image_realloc");
	struct heap *own = scope_space_own(fixture->space);
	struct scope_frame frame;
	char *daemons = malloc(10);

	strcpy(daemons, "daemon");
	scope_enter(&frame, fixture->space, NULL);
	char *mine = take(10);
	daemons = resize(daemons, 10000);
	scope_leave(&frame);
	assert_null(heap_of(daemons));
	assert_string_equal(daemons, "daemon");
	strcpy(mine, "plugin");
	mine = realloc(mine, 100000);
	assert_ptr_equal(heap_of(mine), own);
	assert_string_equal(mine, "plugin");
	assert_null(realloc(mine, 0));
	free(daemons);
}

static void
test_limit(void **state)
{
	struct fixture *fixture = *state;
	void *(*take)(size_t) = symbol_of(&fixture->c, "image_malloc");
	struct heap *own = scope_space_own(fixture->space);
	struct heap_limits limits = {.hard = 2 << 20};
	struct scope_frame frame;
	void *blocks[64], *small[4];
	unsigned count = 0;

	scope_space_set_limits(fixture->space, &limits);
	scope_enter(&frame, fixture->space, NULL);
	errno = 0;
	while (count < ARRAY_LENGTH(blocks) && (blocks[count] = take(64000)) != NULL)
		count++;
	int error = errno;
	/* Refused once, the error path still has a little memory, for this call. */
	for (unsigned i = 0; i < ARRAY_LENGTH(small); i++)
		small[i] = take(100);
	scope_leave(&frame);
	assert_int_equal(error, ENOMEM);
	assert_true(count > 25 && count < ARRAY_LENGTH(blocks));
	for (unsigned i = 0; i < ARRAY_LENGTH(small); i++)
		assert_non_null(small[i]);
	struct symbol symbol;
	struct symbol_resolver *resolver = NULL;
	assert_int_equal(symbol_resolver_new(fixture->c.fd, fixture->c.start, fixture->c.end, "image#1", &resolver), 0);
	symbol_resolve(resolver, usage_of(own).refused_site, &symbol);
	assert_string_equal(symbol.function, "image_malloc");
	symbol_resolver_free(&resolver);
	while (count > 0)
		free(blocks[--count]);
	for (unsigned i = 0; i < ARRAY_LENGTH(small); i++)
		free(small[i]);
}

static void
test_reserve_survives_host_calls(void **state)
{
	struct fixture *fixture = *state;
	void *(*take)(size_t) = symbol_of(&fixture->c, "image_malloc");
	struct heap_limits limits = {.hard = 1 << 20};
	struct scope_frame frame, inner;
	static void *blocks[70000];
	unsigned count = 0, more = 0;

	scope_space_set_limits(fixture->space, &limits);
	scope_enter(&frame, fixture->space, NULL);
	while (count < ARRAY_LENGTH(blocks) && (blocks[count] = take(16)) != NULL)
		count++;
	/* The error path logs through the host, then goes on needing memory. */
	scope_enter_daemon(&inner);
	scope_leave(&inner);
	while (count + more < ARRAY_LENGTH(blocks) && (blocks[count + more] = take(16)) != NULL)
		more++;
	scope_leave(&frame);
	assert_true(more >= 512 && more <= 1024); /* a 64th of the limit, and no more */
	/* In the next call the limit is the limit again. */
	scope_enter(&frame, fixture->space, NULL);
	void *none = take(16);
	scope_leave(&frame);
	assert_null(none);
	for (unsigned i = 0; i < count + more; i++)
		free(blocks[i]);
}

static void
test_fail_nth(void **state)
{
	struct fixture *fixture = *state;
	int (*all)(void **) = symbol_of(&fixture->c, "image_all");
	void *(*take)(size_t) = symbol_of(&fixture->c, "image_malloc");
	void *(*resize)(void *, size_t) = symbol_of(&fixture->c, "image_realloc");
	struct scope_frame frame;
	void *blocks[32] = {NULL};

	for (uint64_t nth = 1; nth <= 9; nth++) {
		scope_enter(&frame, fixture->space, NULL);
		scope_space_fail_nth(fixture->space, nth);
		int count = all(blocks);
		scope_space_fail_nth(fixture->space, 0);
		scope_leave(&frame);
		if (nth == 5) { /* posix_memalign: the caller gives up */
			assert_int_equal(count, -1);
			count = 4;
		}
		for (int i = 0; i < count; i++) {
			assert_int_equal(blocks[i] == NULL, nth != 5 && (uint64_t) i == nth - 1);
			free(blocks[i]);
		}
	}
	scope_enter(&frame, fixture->space, NULL);
	scope_space_fail_nth(fixture->space, 2);
	void *block = take(10), *moved = resize(block, 1000), *again = resize(block, 1000);
	scope_space_fail_nth(fixture->space, 0);
	scope_leave(&frame);
	assert_null(moved);
	assert_non_null(again);
	free(again);
}

struct found {
	struct scope_escape rows[8];
	unsigned count;
};

static void
collect(const struct scope_escape *escape, void *ctx)
{
	struct found *found = ctx;

	if (found->count < ARRAY_LENGTH(found->rows))
		found->rows[found->count++] = *escape;
}

static void *
free_it(void *block)
{
	free(block);
	return NULL;
}

static void
test_escapes(void **state)
{
	struct fixture *fixture = *state;
	void *(*take)(size_t) = symbol_of(&fixture->c, "image_malloc");
	void *(*zeroed)(size_t, size_t) = symbol_of(&fixture->c, "image_calloc");
	void *(*resize)(void *, size_t) = symbol_of(&fixture->c, "image_realloc");
	void (*drop)(void *) = symbol_of(&fixture->c, "image_free");
	struct scope_booking *booking = NULL, *other = NULL;
	struct scope_frame frame, inner;
	uint64_t bytes = 1, blocks = 1;
	pthread_t thread;

	/* Nothing kept, nothing escapes. */
	assert_int_equal(scope_booking_open(fixture->space, &booking), 0);
	scope_enter(&frame, fixture->space, booking);
	for (unsigned i = 0; i < 1000; i++)
		drop(take(100 + i));
	scope_leave(&frame);
	scope_booking_close(&booking, 0, 2, &bytes, &blocks);
	assert_null(booking);
	assert_int_equal(bytes, 0);
	assert_int_equal(blocks, 0);

	/* Two requests at once, nested; a host service and a free on another thread in between. */
	uint32_t epoch = usage_of(fixture->foreign).epoch;
	assert_int_equal(scope_booking_open(fixture->space, &booking), 0);
	assert_int_equal(scope_booking_open(fixture->space, &other), 0);
	assert_int_equal(usage_of(fixture->foreign).epoch, epoch + 2);
	scope_enter(&frame, fixture->space, booking);
	void *kept = take(1000), *elsewhere = take(2000);
	scope_enter(&inner, fixture->space, other);
	void *others = zeroed(1, 3000);
	scope_leave(&inner);
	scope_enter_daemon(&inner);
	void *daemons = malloc(4000);
	scope_leave(&inner);
	void *again = take(60);
	for (unsigned i = 0; i < 10000; i++) { /* the same address over and over, live at the end */
		drop(again);
		again = take(60);
	}
	void *grown = resize(take(20), 500);
	scope_leave(&frame);
	/* The request is finished on another thread. */
	assert_int_equal(pthread_create(&thread, NULL, free_it, elsewhere), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	scope_booking_close(&booking, 7, 4, &bytes, &blocks);
	assert_int_equal(blocks, 3);
	assert_int_equal(bytes, malloc_usable_size(kept) + malloc_usable_size(again) + malloc_usable_size(grown));
	scope_booking_close(&other, 7, 5, &bytes, &blocks);
	assert_int_equal(blocks, 1);
	assert_int_equal(bytes, malloc_usable_size(others));
	scope_booking_close(&other, 7, 5, &bytes, &blocks);

	struct found found = {.count = 0};
	scope_escapes(fixture->space, collect, &found);
	assert_int_equal(found.count, 3);
	for (unsigned i = 0; i < found.count; i++) {
		const struct scope_escape *row = &found.rows[i];
		assert_int_equal(row->route, 7);
		assert_int_equal(row->requests, 1);
		assert_true(row->site >= fixture->c.start && row->site < fixture->c.end);
		if (row->status_class == 5)
			assert_int_equal(row->blocks, 1);
		else
			assert_int_equal(row->status_class, 4);
	}
	/* Many blocks: the journal grows. */
	static void *many[5000];
	assert_int_equal(scope_booking_open(fixture->space, &booking), 0);
	scope_enter(&frame, fixture->space, booking);
	for (unsigned i = 0; i < ARRAY_LENGTH(many); i++)
		many[i] = take(i % 300);
	for (unsigned i = 0; i < ARRAY_LENGTH(many); i += 2)
		drop(many[i]);
	scope_leave(&frame);
	scope_booking_close(&booking, 7, 2, &bytes, &blocks);
	assert_int_equal(blocks, ARRAY_LENGTH(many) / 2);
	for (unsigned i = 1; i < ARRAY_LENGTH(many); i += 2)
		free(many[i]);
	free(kept);
	free(others);
	free(daemons);
	free(again);
	free(grown);
}

static void
test_arena(void **state)
{
	struct fixture *fixture = *state;
	struct heap *own = scope_space_own(fixture->space);
	struct scope_booking *booking = NULL;
	struct scope_arena *arena = NULL;
	struct scope_frame frame;
	uint64_t bytes, blocks, live = usage_of(own).live_bytes;
	char *pieces[200];

	assert_int_equal(scope_booking_open(fixture->space, &booking), 0);
	scope_enter(&frame, fixture->space, booking);
	for (unsigned i = 0; i < ARRAY_LENGTH(pieces); i++) {
		size_t size = i == 100 ? 100000 : i * 10;
		pieces[i] = scope_arena_alloc(&arena, fixture->space, size);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t) pieces[i] % 16, 0);
		assert_ptr_equal(heap_of(pieces[i]), own);
		memset(pieces[i], (int) i, size);
	}
	scope_leave(&frame);
	for (unsigned i = 0; i < ARRAY_LENGTH(pieces); i++)
		for (size_t k = 0; k < (i == 100 ? 100000 : i * 10); k++)
			assert_int_equal((unsigned char) pieces[i][k], i);
	assert_true(usage_of(own).arena_bytes >= 299000);
	assert_int_equal(usage_of(own).live_bytes, live + usage_of(own).arena_bytes);
	scope_booking_close(&booking, 0, 2, &bytes, &blocks);
	assert_int_equal(blocks, 0);
	scope_arena_free(&arena);
	assert_null(arena);
	scope_arena_free(&arena);
	assert_int_equal(usage_of(own).arena_bytes, 0);
	assert_int_equal(usage_of(own).live_bytes, live);

	struct heap_limits limits = {.hard = 1 << 20};
	scope_space_set_limits(fixture->space, &limits);
	errno = 0;
	assert_null(scope_arena_alloc(&arena, fixture->space, 2 << 20));
	assert_int_equal(errno, ENOMEM);
	scope_arena_free(&arena);
}

static void
test_threads(void **state)
{
	struct fixture *fixture = *state;
	int (*start)(pthread_t *, void **) = symbol_of(&fixture->c, "image_thread");
	int (*start_c11)(thrd_t *, void **) = symbol_of(&fixture->c, "image_thread_c11");
	struct heap *own = scope_space_own(fixture->space);
	uint64_t before = usage_of(own).live_objects;
	pthread_barrier_t barrier;
	void *first[3] = {NULL, NULL, &barrier}, *second[3] = {NULL, NULL, &barrier};
	struct scope_frame frame;
	pthread_t thread;
	thrd_t c11;
	int result = 0;

	assert_int_equal(pthread_barrier_init(&barrier, NULL, 3), 0);
	assert_int_equal(scope_space_threads(fixture->space), 0);
	scope_enter(&frame, fixture->space, NULL);
	int r = start(&thread, first), r2 = start_c11(&c11, second);
	scope_leave(&frame);
	assert_int_equal(r, 0);
	assert_int_equal(r2, thrd_success);
	pthread_barrier_wait(&barrier);
	assert_int_equal(scope_space_threads(fixture->space), 2);
	assert_ptr_equal(heap_of(first[0]), own);
	assert_ptr_equal(heap_of(second[1]), own);
	pthread_barrier_wait(&barrier);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(thrd_join(c11, &result), thrd_success);
	assert_int_equal(result, 7);
	assert_int_equal(scope_space_threads(fixture->space), 0);
	assert_int_equal(usage_of(own).live_objects, before + 2);
	free(first[0]);
	free(second[0]);
	assert_int_equal(usage_of(own).live_objects, before);
	pthread_barrier_destroy(&barrier);
}

static void
test_cxx(void **state)
{
	struct fixture *fixture = *state;
	struct scope_space *space = NULL;
	struct heap_limits limits = {.hard = 4 << 20};
	struct image image;
	struct scope_frame frame;

	assert_int_equal(scope_space_new("cxx", 2, fixture->foreign, &limits, &space), 0);
	load("scope-image-cxx.so", space, &image);
	void *(*take)(size_t) = symbol_of(&image, "image_new");
	void *(*nothrow)(size_t) = symbol_of(&image, "image_new_nothrow");
	void (*drop)(void *) = symbol_of(&image, "image_delete");
	int (*too_much)(size_t) = symbol_of(&image, "image_new_too_much");
	int (*aligned)(void) = symbol_of(&image, "image_new_aligned");
	void *(*string)(void) = symbol_of(&image, "image_string");
	void (*drop_string)(void *) = symbol_of(&image, "image_string_delete");
	scope_enter(&frame, space, NULL);
	void *block = take(100), *text = string(), *none = nothrow(100 << 20);
	int threw = too_much(100 << 20), fits = too_much(100), is_aligned = aligned();
	scope_leave(&frame);
	assert_ptr_equal(heap_of(block), scope_space_own(space));
	assert_ptr_equal(heap_of(text), scope_space_own(space));
	/* The body of the string was made inside libstdc++, on the plugin's behalf. */
	assert_ptr_equal(heap_of(*(void **) text), fixture->foreign);
	assert_null(none);
	assert_int_equal(threw, 1);
	assert_int_equal(fits, 0);
	assert_int_equal(is_aligned, 1);
	assert_int_equal(usage_of(scope_space_own(space)).refused >= 2, 1);
	scope_enter(&frame, space, NULL);
	drop(block);
	drop_string(text);
	scope_leave(&frame);
	assert_int_equal(usage_of(scope_space_own(space)).live_objects, 0);
	unload(space, &image);
	scope_space_free(&space);
}

static void
test_symbols(void **state)
{
	struct fixture *fixture = *state;
	void *(*take)(size_t) = symbol_of(&fixture->c, "image_malloc");
	struct heap_profile *profile CLEANUP(heap_profile_free) = NULL;
	struct symbol_resolver *resolver CLEANUP(symbol_resolver_free) = NULL;
	struct scope_frame frame;
	struct symbol symbol;

	scope_enter(&frame, fixture->space, NULL);
	void *block = take(5000);
	scope_leave(&frame);
	assert_int_equal(heap_profile_take(scope_space_own(fixture->space), 0, &profile), 0);
	assert_true(profile->count >= 1);
	assert_int_equal(symbol_resolver_new(fixture->c.fd, fixture->c.start, fixture->c.end, "image#1", &resolver), 0);
	symbol_resolve(resolver, profile->sites[0].site, &symbol);
	assert_string_equal(symbol.function, "image_malloc");
	assert_non_null(symbol.file);
	assert_non_null(strstr(symbol.file, "scope-image.c"));
	assert_true(symbol.line > 0);
	assert_string_equal(symbol.module, "image#1");
	assert_non_null(symbol.build_id);
	/* Outside the image: the mapped file. */
	symbol_resolve(resolver, (uintptr_t) dlsym(RTLD_DEFAULT, "qsort") + 1, &symbol);
	assert_non_null(strstr(symbol.module, "libc"));
	assert_non_null(symbol.function);
	assert_non_null(strstr(symbol.function, "qsort"));
	/* No module at all. */
	symbol_resolve(resolver, 0, &symbol);
	assert_string_equal(symbol.module, "?");
	assert_null(symbol.function);
	free(block);
}

/* Samples tell the callers of a wrapper apart, in about the right proportion, and go with their blocks. */
static void
test_stacks(void **state)
{
	enum { FIRST = 6000, SECOND = 2000, SIZE = 200 };
	struct fixture *fixture = *state;
	void *(*first)(size_t) = symbol_of(&fixture->c, "image_first_caller");
	void *(*second)(size_t) = symbol_of(&fixture->c, "image_second_caller");
	void *(*resize)(void *, size_t) = symbol_of(&fixture->c, "image_realloc");
	struct heap *own = scope_space_own(fixture->space);
	struct symbol_resolver *resolver CLEANUP(symbol_resolver_free) = NULL;
	struct heap_stack_usage *stacks = NULL;
	static void *blocks[FIRST + SECOND];
	uint64_t bytes[2] = {0, 0};
	struct scope_frame frame;
	size_t count = 0;

	heap_set_sampling(own, 1024);
	scope_enter(&frame, fixture->space, NULL);
	for (unsigned i = 0; i < FIRST + SECOND; i++)
		blocks[i] = i % 4 == 3 ? second(SIZE) : first(SIZE);
	scope_leave(&frame);
	assert_int_equal(heap_stacks_take(own, &stacks, &count), 0);
	assert_true(count >= 2);
	assert_int_equal(symbol_resolver_new(fixture->c.fd, fixture->c.start, fixture->c.end, "image#1", &resolver), 0);
	for (size_t i = 0; i < count; i++) {
		struct symbol symbol;
		if (i > 0)
			assert_true(stacks[i].bytes <= stacks[i - 1].bytes);
		assert_true(stacks[i].depth >= 2);
		symbol_resolve(resolver, stacks[i].frames[0], &symbol);
		assert_string_equal(symbol.function, "wrap");
		symbol_resolve(resolver, stacks[i].frames[1], &symbol);
		if (strcmp(symbol.function, "image_first_caller") == 0)
			bytes[0] += stacks[i].bytes;
		else {
			assert_string_equal(symbol.function, "image_second_caller");
			bytes[1] += stacks[i].bytes;
		}
	}
	free(stacks);
	/* About 1,600 samples: a third of them from the second caller would be seven standard deviations off. */
	uint64_t live = (FIRST + SECOND) * (uint64_t) malloc_usable_size(blocks[0]);
	assert_true(bytes[0] + bytes[1] > live / 4 * 3 && bytes[0] + bytes[1] < live / 4 * 5);
	assert_true(bytes[0] > 2 * bytes[1] && bytes[0] < 5 * bytes[1]);
	/* Half are freed, half moved and then freed: nothing is left on record. */
	scope_enter(&frame, fixture->space, NULL);
	for (unsigned i = 0; i < FIRST + SECOND; i++)
		free(i % 2 ? blocks[i] : resize(blocks[i], 1000));
	scope_leave(&frame);
	assert_int_equal(heap_stacks_take(own, &stacks, &count), 0);
	assert_int_equal(count, 0);
	free(stacks);
}

/* The C library lives on after the plugin that first used it. */
static void
test_foreign_survives(void **state UNUSED)
{
	struct scope_space *space = NULL;
	struct scope_frame frame;

	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(scope_space_new("gone", round, foreign_of_all, NULL, &space), 0);
		struct image image;
		load("scope-image.so", space, &image);
		scope_enter(&frame, space, NULL);
		assert_int_equal(setenv("SCOPE_TEST", round % 2 ? "a" : "b", 1), 0);
		scope_leave(&frame);
		unload(space, &image);
		scope_space_free(&space);
	}
	assert_string_equal(getenv("SCOPE_TEST"), "b");
	assert_int_equal(setenv("SCOPE_TEST", "daemon", 1), 0);
	assert_string_equal(getenv("SCOPE_TEST"), "daemon");
}

/* Runs crash() in a child that has entered the space; returns its line on stderr and the signal that ended it. */
static int
last_words(struct fixture *fixture, void (*crash)(void *), void *arg, char *ret, size_t size)
{
	int pipe_fd[2], status;
	size_t length = 0;

	assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit none = {0, 0}, stack = {1 << 20, 1 << 20};
		struct scope_frame frame;
		(void) setrlimit(RLIMIT_CORE, &none);
		(void) setrlimit(RLIMIT_STACK, &stack); /* so that an endless recursion ends soon */
		(void) dup2(pipe_fd[1], STDERR_FILENO);
		for (int number = 1; number < 32; number++)
			(void) signal(number, SIG_DFL); /* cmocka's handlers */
		if (crash_setup() < 0)
			_exit(1);
		crash_note("route /x, request 42");
		if (fixture != NULL)
			scope_enter(&frame, fixture->space, NULL);
		crash(arg);
		_exit(2);
	}
	(void) close(pipe_fd[1]);
	for (ssize_t got; length < size - 1 && (got = read(pipe_fd[0], ret + length, size - 1 - length)) > 0;)
		length += (size_t) got;
	ret[length] = '\0';
	(void) close(pipe_fd[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	return WTERMSIG(status);
}

static void
crash_reading(void *p)
{
	*(volatile char *) p;
}

static void
crash_aborting(void *unused UNUSED)
{
	abort();
}

/* Ends at the stack's end only. Through a pointer, which the compiler cannot see through. */
static void (*volatile recurse)(void *);

static void
crash_recursing(void *p)
{
	char here[4096];

	memset(here, p == NULL, sizeof(here));
	recurse(here);
	__asm__ volatile("" ::"r"(here) : "memory");
}

static void
test_last_words(void **state)
{
	struct fixture *fixture = *state;
	struct scope_space *gone = NULL;
	struct scope_frame frame;
	char line[600];

	assert_int_equal(last_words(fixture, crash_reading, (void *) 16, line, sizeof(line)), SIGSEGV);
	assert_non_null(strstr(line, "mtlsd: SIGSEGV in plugin image#1, route /x, request 42: instruction 0x"));
	assert_non_null(strstr(line, ", address 0x10\n"));
	/* A pointer into a heap that is gone names it. */
	assert_int_equal(scope_space_new("gone", 9, foreign_of_all, NULL, &gone), 0);
	scope_space_set_image(gone, (uintptr_t) &__executable_start, (uintptr_t) &_end);
	scope_enter(&frame, gone, NULL);
	void *stale = malloc(10);
	scope_leave(&frame);
	assert_ptr_equal(heap_of(stale), scope_space_own(gone));
	scope_space_free(&gone);
	assert_int_equal(last_words(NULL, crash_reading, stale, line, sizeof(line)), SIGSEGV);
	assert_null(strstr(line, "in plugin"));
	assert_non_null(strstr(line, " in the destroyed heap of gone#9\n"));
	assert_int_equal(last_words(fixture, crash_aborting, NULL, line, sizeof(line)), SIGABRT);
	assert_non_null(strstr(line, "mtlsd: SIGABRT in plugin image#1"));
	/* No stack is left: the report has its own. */
	recurse = crash_recursing;
	assert_int_equal(last_words(fixture, crash_recursing, NULL, line, sizeof(line)), SIGSEGV);
	assert_non_null(strstr(line, "mtlsd: SIGSEGV in plugin image#1"));
}

/* Without the layer everything can be called, nothing is counted, and plugins use the C library's memory. */
static void
test_without_layer(void **state UNUSED)
{
	struct heap *foreign = NULL;
	struct scope_space *space = NULL;
	struct scope_booking *booking = NULL;
	struct scope_arena *arena = NULL;
	struct scope_frame frame, inner;
	uint64_t bytes = 1, blocks = 1;

	assert_int_equal(heap_new("off/foreign", NULL, false, &foreign), 0);
	assert_int_equal(scope_space_new("off", 1, foreign, NULL, &space), 0);
	scope_space_set_image(space, (uintptr_t) test_without_layer, (uintptr_t) test_without_layer + 4096);
	assert_int_equal(scope_booking_open(space, &booking), 0);
	scope_enter(&frame, space, booking);
	char *plain = malloc(100);
	assert_non_null(scope_arena_alloc(&arena, space, 100));
	scope_enter_daemon(&inner);
	scope_leave(&inner);
	scope_leave(&frame);
	assert_null(heap_of(plain));
	free(plain);
	scope_booking_close(&booking, 0, 2, &bytes, &blocks);
	assert_int_equal(bytes, 0);
	assert_int_equal(blocks, 0);
	scope_arena_free(&arena);
	assert_int_equal(scope_space_threads(space), 0);
	assert_int_equal(usage_of(scope_space_own(space)).live_bytes, 0);
	scope_space_free(&space);
	heap_free(&foreign);
}

int
main(void)
{
	const struct CMUnitTest off[] = {cmocka_unit_test(test_without_layer)};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_who_gets_what, setup, teardown),
		cmocka_unit_test_setup_teardown(test_realloc_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reserve_survives_host_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fail_nth, setup, teardown),
		cmocka_unit_test_setup_teardown(test_escapes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_arena, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cxx, setup, teardown),
		cmocka_unit_test_setup_teardown(test_symbols, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stacks, setup, teardown),
		cmocka_unit_test(test_foreign_survives),
		cmocka_unit_test_setup_teardown(test_last_words, setup, teardown),
	};

	if (!scope_active())
		return cmocka_run_group_tests(off, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
