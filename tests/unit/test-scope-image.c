/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The interposed layer as the daemon links it, with real shared objects in the plugin's place: their threads, their
 * C++, their symbols and stacks, what outlives them, and their last words. */
#include "crash.h"
#include "scope-fixture.h"
#include "symbol.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <threads.h>

/* Set by the linker: where this program begins and ends. */
extern char __executable_start, _end;

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
		crash_note("x", "/x/42");
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
	assert_non_null(strstr(line, "mtlsd: SIGSEGV in plugin image#1, route x, request /x/42: instruction 0x"));
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cxx, setup, teardown),
		cmocka_unit_test_setup_teardown(test_symbols, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stacks, setup, teardown),
		cmocka_unit_test(test_foreign_survives),
		cmocka_unit_test_setup_teardown(test_last_words, setup, teardown),
	};

	if (!scope_active())
		return 0; /* nothing here holds without the layer; test-scope has what does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
