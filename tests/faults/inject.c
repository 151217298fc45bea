/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* inject.c - preloaded into a process, makes the n-th call of a class fail, as often as another process asks for it.
 *
 * Both share a page (struct page, a file named by MTLSD_FAULTS): whoever tests arms it, looks what was hit, and arms it
 * again, while the process lives on. Counted are only calls to which the error can really happen: EAGAIN needs a
 * descriptor that does not block, a short count something that has bytes in order.
 *
 * Threads: any. Owns: the page's mapping.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "inject.h"

enum {
	INJECT_FRAMES = 24,
	INJECT_STACKS = 1 << 14, /* distinct stacks a counting run can tell apart */
	INJECT_TEXT = 4096,
	INJECT_LOOK = 2 * 1000 * 1000, /* ns between looks at what is asked of the helper */
	INJECT_STORM = 200 * 1000,     /* ns between two storms over all threads */
};

enum mode { MODE_OFF, MODE_ONCE, MODE_ON, MODE_COUNT };

struct stack {
	_Atomic uint64_t hash, first, last;
	uint64_t frames[INJECT_FRAMES]; /* as offsets in the executable; others are far beyond its end */
};

struct page {
	_Atomic uint32_t mode, kind, error, hits;
	_Atomic uint64_t n, calls;
	_Atomic uint32_t wish, wishes_done, leaks, stacks; /* wish: counted up to have leaks looked for */
	char function[32];
	char text[INJECT_TEXT]; /* where it was hit, a frame a line */
	struct stack table[INJECT_STACKS];
};

static struct page *page;
static sem_t inject_helps;
static uintptr_t inject_base; /* where the executable begins */
static int (*inject_leak_check)(void);
static __thread bool inject_inside __attribute__((tls_model("initial-exec")));

void *
inject_next(_Atomic(void *) *cache, const char *name)
{
	void *found = atomic_load_explicit(cache, memory_order_relaxed);

	if (found == NULL) {
		bool inside = inject_inside;
		inject_inside = true;
		found = dlsym(RTLD_NEXT, name);
		inject_inside = inside;
		if (found == NULL)
			abort();
		atomic_store_explicit(cache, found, memory_order_relaxed);
	}
	return found;
}

/* --- what is counted, what is hit ------------------------------------------------------------------------- */

static void
inject_remember(uint64_t call)
{
	void *frames[INJECT_FRAMES];
	uint64_t hash = 14695981039346656037u;
	int depth = backtrace(frames, INJECT_FRAMES);

	for (int i = 2; i < depth; i++)
		hash = (hash ^ (uintptr_t) frames[i]) * 1099511628211u;
	hash |= 1;
	for (size_t at = hash % INJECT_STACKS, tries = 0; tries < INJECT_STACKS;
	     at = (at + 1) % INJECT_STACKS, tries++) {
		struct stack *stack = &page->table[at];
		uint64_t empty = 0;
		if (atomic_compare_exchange_strong(&stack->hash, &empty, hash)) {
			stack->first = call;
			for (int i = 2; i < depth; i++)
				stack->frames[i] = (uintptr_t) frames[i] - inject_base;
			atomic_fetch_add(&page->stacks, 1);
		} else if (empty != hash) {
			continue;
		}
		stack->last = call;
		return;
	}
}

static void
inject_tell(const char *function)
{
	void *frames[INJECT_FRAMES];
	size_t used = 0;
	int depth = backtrace(frames, INJECT_FRAMES);

	(void) strncpy(page->function, function, sizeof(page->function) - 1);
	for (int i = 2; i < depth && used < INJECT_TEXT - 1; i++) {
		Dl_info info = {0};
		if (dladdr(frames[i], &info) == 0 || info.dli_fname == NULL)
			continue;
		int n = snprintf(page->text + used, INJECT_TEXT - used, "%s %#lx %s\n", info.dli_fname,
				 (unsigned long) ((char *) frames[i] - (char *) info.dli_fbase),
				 info.dli_sname != NULL ? info.dli_sname : "?");
		used += n > 0 ? (size_t) n : 0;
	}
}

/* GnuTLS and what it rests on: GMP and nettle abort, the others follow the null pointer. Jansson reads on without the
 * byte it had no room for; libseccomp frees twice what it could not complete. */
static const char *const inject_fragile[] = {"libgnutls", "libnettle", "libhogweed",   "libgmp",     "libtasn1",
					     "libp11",    "libidn",    "libunistring", "libjansson", "libseccomp"};

/* Who asked for memory: the first that is neither a malloc nor the C library. */
static bool
inject_is_fragile(const char *function)
{
	static const char *const doors[] = {"malloc",        "calloc", "realloc", "reallocarray", "posix_memalign",
					    "aligned_alloc", "strdup", "strndup", "__strdup",     "__strndup"};
	void *frames[INJECT_FRAMES];
	int depth = backtrace(frames, INJECT_FRAMES);

	/* A sanitizer's own, at the start of a thread: it ends the process. */
	for (int i = 1; i < depth; i++) {
		Dl_info info = {0};
		if (dladdr(frames[i], &info) != 0 && info.dli_sname != NULL &&
		    strcmp(info.dli_sname, "pthread_getattr_np") == 0)
			return atomic_load(&page->kind) != KIND_LIBRARY;
	}
	/* Behind these it is the daemon's malloc that asks, in a function without a name to be found. */
	bool skips = strncmp(function, "__libc_", 7) == 0;
	for (int i = 1; i < depth; i++) {
		Dl_info info = {0};
		if (dladdr(frames[i], &info) == 0 || info.dli_fname == NULL || strstr(info.dli_fname, "/inject.so"))
			continue;
		bool passes = skips || strstr(info.dli_fname, "/libc.so") || strstr(info.dli_fname, "/ld-linux") ||
			      strstr(info.dli_fname, "/libasan");
		skips = false;
		for (size_t k = 0; !passes && info.dli_sname != NULL && k < sizeof(doors) / sizeof(doors[0]); k++)
			passes = strcmp(info.dli_sname, doors[k]) == 0;
		if (passes)
			continue;
		for (size_t k = 0; k < sizeof(inject_fragile) / sizeof(inject_fragile[0]); k++)
			if (strstr(info.dli_fname, inject_fragile[k]) != NULL)
				return true;
		return false;
	}
	return false;
}

/* Whether this call is to fail. */
static bool
inject_now(enum kind kind, const char *function)
{
	if (page == NULL || inject_inside)
		return false;
	uint32_t mode = atomic_load(&page->mode);
	uint32_t wanted = atomic_load(&page->kind);
	if (mode == MODE_OFF || (wanted != kind && (wanted != KIND_LIBRARY || kind != KIND_MEMORY)))
		return false;
	if (kind == KIND_MEMORY) {
		int before = errno;
		inject_inside = true;
		bool fragile = inject_is_fragile(function);
		inject_inside = false;
		errno = before;
		if (fragile != (wanted == KIND_LIBRARY))
			return false;
	}
	uint64_t call = atomic_fetch_add(&page->calls, 1) + 1, n = atomic_load(&page->n);
	if (mode != MODE_COUNT && (call < n || (mode == MODE_ONCE && call > n)))
		return false;
	int saved = errno;
	inject_inside = true;
	if (mode == MODE_COUNT)
		inject_remember(call);
	else if (atomic_fetch_add(&page->hits, 1) == 0)
		inject_tell(function);
	inject_inside = false;
	errno = saved;
	return mode != MODE_COUNT;
}

bool
inject_fails(enum kind kind, const char *function)
{
	if (page == NULL || atomic_load_explicit(&page->mode, memory_order_relaxed) == MODE_OFF ||
	    !inject_now(kind, function))
		return false;
	errno = (int) atomic_load(&page->error);
	return true;
}

bool
inject_wants(enum kind kind)
{
	return page != NULL && atomic_load_explicit(&page->mode, memory_order_relaxed) != MODE_OFF &&
	       atomic_load(&page->kind) == kind;
}

int
inject_error(void)
{
	return (int) atomic_load(&page->error);
}

/* --- the helper -------------------------------------------------------------------------------------------- */

static void
inject_nothing(int number)
{
	(void) number;
}

/* A signal to every thread but this one: calls that wait are interrupted for real. */
static void
inject_storm(void)
{
	char names[1024];
	long self = syscall(SYS_gettid),
	     folder = syscall(SYS_openat, AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY);

	if (folder < 0)
		return;
	for (long n; (n = syscall(SYS_getdents64, folder, names, sizeof(names))) > 0;) {
		for (long at = 0; at < n; at += ((struct dirent64 *) (void *) (names + at))->d_reclen) {
			long thread = strtol(((struct dirent64 *) (void *) (names + at))->d_name, NULL, 10);
			if (thread > 0 && thread != self && syscall(SYS_tgkill, getpid(), thread, SIGURG) == 0) {
				page->calls++;
				page->hits++;
			}
		}
	}
	(void) syscall(SYS_close, folder);
}

static void *
inject_help(void *arg)
{
	(void) arg;
	inject_inside = true;
	(void) sem_post(&inject_helps);
	for (;;) {
		bool storm = page->mode != MODE_OFF && page->kind == KIND_STORM;
		struct timespec pause = {.tv_nsec = storm ? INJECT_STORM : INJECT_LOOK};
		(void) syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &pause, NULL);
		if (storm)
			inject_storm();
		if (page->wish != page->wishes_done) {
			page->leaks = inject_leak_check != NULL && inject_leak_check() != 0;
			page->wishes_done = page->wish;
		}
	}
	return NULL;
}

static int
inject_find_base(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void) size;
	(void) arg;
	inject_base = info->dlpi_addr;
	return 1; /* the first one is the executable */
}

__attribute__((constructor)) static void
inject_begin(void)
{
	const char *path = getenv("MTLSD_FAULTS");
	sigset_t all, before;
	pthread_t thread;
	void *frames[2];

	if (path == NULL)
		return;
	/* Loads what it needs before anything is counted; not a leak of whom is looked at. */
	void (*disable)(void) = NULL, (*enable)(void) = NULL;
	*(void **) &disable = dlsym(RTLD_DEFAULT, "__lsan_disable");
	*(void **) &enable = dlsym(RTLD_DEFAULT, "__lsan_enable");
	if (disable != NULL)
		disable();
	(void) backtrace(frames, 2);
	if (enable != NULL)
		enable();
	int fd = (int) syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	void *map =
		fd < 0 ? MAP_FAILED : REAL(mmap)(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		fprintf(stderr, "inject: cannot map %s: %m\n", path);
		_exit(99);
	}
	(void) syscall(SYS_close, fd);
	(void) unsetenv("MTLSD_FAULTS");
	(void) unsetenv("LD_PRELOAD");
	*(void **) &inject_leak_check = dlsym(RTLD_DEFAULT, "__lsan_do_recoverable_leak_check");
	(void) dl_iterate_phdr(inject_find_base, NULL);
	page = map;
	if (getenv("MTLSD_FAULTS_HELPER") != NULL) {
		(void) sigaction(SIGURG, &(struct sigaction){.sa_handler = inject_nothing}, NULL);
		sigfillset(&all);
		pthread_sigmask(SIG_BLOCK, &all, &before);
		inject_inside = true;
		(void) sem_init(&inject_helps, 0, 0);
		/* A process that ends before the thread has begun would be told of what its beginning allocates. */
		if (REAL(pthread_create)(&thread, NULL, inject_help, NULL) == 0)
			while (sem_wait(&inject_helps) < 0 && errno == EINTR)
				;
		inject_inside = false;
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
}
