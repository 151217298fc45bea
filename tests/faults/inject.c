/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* inject.c - preloaded into a process, makes the n-th call of a class fail, as often as another process asks for it.
 *
 * Both share a page (struct page, a file named by MTLSD_FAULTS): whoever tests arms it, looks what was hit, and arms it
 * again, while the process lives on. Counted are only calls to which the error can really happen: EAGAIN needs a
 * descriptor that does not block, a short count something that has bytes in order.
 *
 * Threads: any. Owns: the page's mapping.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
	INJECT_FRAMES = 24,
	INJECT_STACKS = 1 << 14, /* distinct stacks a counting run can tell apart */
	INJECT_TEXT = 4096,
	INJECT_SHORT = 1000,           /* no errno: a count of less than was asked for */
	INJECT_LOOK = 2 * 1000 * 1000, /* ns between looks at what is asked of the helper */
	INJECT_STORM = 200 * 1000,     /* ns between two storms over all threads */
};

enum mode { MODE_OFF, MODE_ONCE, MODE_ON, MODE_COUNT };

/* The order is the one tests/faults/page.py knows. */
enum kind {
	KIND_MEMORY = 1,
	KIND_MAP,
	KIND_THREAD,
	KIND_OPEN,
	KIND_READ,
	KIND_WRITE,
	KIND_FILE,
	KIND_WAIT,
	KIND_RANDOM,
	KIND_NET,
	KIND_WATCH,
	KIND_CLOSE,
	KIND_STORM,
	KIND_LIBRARY, /* memory asked for by libraries that do not survive a NULL */
};

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
static uintptr_t inject_base; /* where the executable begins */
static int (*inject_leak_check)(void);
static __thread bool inject_inside __attribute__((tls_model("initial-exec")));

/* The function of that name behind this one. */
static void *
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

#define REAL(name)                                                                                                     \
	({                                                                                                             \
		static _Atomic(void *) _cache;                                                                         \
		(__typeof__(&name)) inject_next(&_cache, #name);                                                       \
	})

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
 * byte it had no room for. */
static const char *const inject_fragile[] = {"libgnutls", "libnettle", "libhogweed",   "libgmp",    "libtasn1",
					     "libp11",    "libidn",    "libunistring", "libjansson"};

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

static bool
inject_fails(enum kind kind, const char *function)
{
	if (page == NULL || atomic_load_explicit(&page->mode, memory_order_relaxed) == MODE_OFF ||
	    !inject_now(kind, function))
		return false;
	errno = (int) atomic_load(&page->error);
	return true;
}

/* --- memory ----------------------------------------------------------------------------------------------- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);
void *memalign(size_t align, size_t size);

#define MEMORY(name, parameters, arguments)                                                                            \
	void *name parameters                                                                                          \
	{                                                                                                              \
		return inject_fails(KIND_MEMORY, #name) ? NULL : REAL(name) arguments;                                 \
	}
MEMORY(malloc, (size_t size), (size))
MEMORY(calloc, (size_t count, size_t size), (count, size))
MEMORY(realloc, (void *p, size_t size), (p, size))
MEMORY(reallocarray, (void *p, size_t count, size_t size), (p, count, size))
MEMORY(aligned_alloc, (size_t align, size_t size), (align, size))
MEMORY(memalign, (size_t align, size_t size), (align, size))
/* What the daemon's own malloc falls back on. */
MEMORY(__libc_malloc, (size_t size), (size))
MEMORY(__libc_calloc, (size_t count, size_t size), (count, size))
MEMORY(__libc_realloc, (void *p, size_t size), (p, size))
MEMORY(__libc_memalign, (size_t align, size_t size), (align, size))

int
posix_memalign(void **ret, size_t align, size_t size)
{
	return inject_fails(KIND_MEMORY, "posix_memalign") ? ENOMEM : REAL(posix_memalign)(ret, align, size);
}

/* The C library's functions that allocate by themselves reach the functions above, except under a sanitizer. */
#define FAILS(type, failure, kind, name, parameters, arguments)                                                        \
	type name parameters                                                                                           \
	{                                                                                                              \
		return inject_fails(kind, #name) ? (failure) : REAL(name) arguments;                                   \
	}

/* --- mappings, threads ------------------------------------------------------------------------------------- */

FAILS(void *, MAP_FAILED, KIND_MAP, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
      (at, size, protection, flags, fd, offset))
FAILS(void *, MAP_FAILED, KIND_MAP, mmap64, (void *at, size_t size, int protection, int flags, int fd, off64_t offset),
      (at, size, protection, flags, fd, offset))
FAILS(int, -1, KIND_MAP, mprotect, (void *at, size_t size, int protection), (at, size, protection))
FAILS(int, -1, KIND_MAP, madvise, (void *at, size_t size, int advice), (at, size, advice))
FAILS(int, (int) page->error, KIND_THREAD, pthread_create,
      (pthread_t * ret, const pthread_attr_t *attributes, void *(*run)(void *), void *arg), (ret, attributes, run, arg))

void *
mremap(void *at, size_t old_size, size_t size, int flags, ...)
{
	va_list args;
	va_start(args, flags);
	void *wanted = (flags & MREMAP_FIXED) != 0 ? va_arg(args, void *) : NULL;
	va_end(args);
	return inject_fails(KIND_MAP, "mremap") ? MAP_FAILED : REAL(mremap)(at, old_size, size, flags, wanted);
}

/* --- descriptors ------------------------------------------------------------------------------------------- */

#define OPENS(name, parameters, arguments)                                                                             \
	int name parameters                                                                                            \
	{                                                                                                              \
		va_list args;                                                                                          \
		va_start(args, flags);                                                                                 \
		mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;                         \
		va_end(args);                                                                                          \
		return inject_fails(KIND_OPEN, #name) ? -1 : REAL(name) arguments;                                     \
	}
OPENS(open, (const char *path, int flags, ...), (path, flags, mode))
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode))
OPENS(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
OPENS(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int folder, const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags);
FAILS(int, -1, KIND_OPEN, __open_2, (const char *path, int flags), (path, flags))
FAILS(int, -1, KIND_OPEN, __open64_2, (const char *path, int flags), (path, flags))
FAILS(int, -1, KIND_OPEN, __openat_2, (int folder, const char *path, int flags), (folder, path, flags))
FAILS(int, -1, KIND_OPEN, __openat64_2, (int folder, const char *path, int flags), (folder, path, flags))
FAILS(FILE *, NULL, KIND_OPEN, fopen, (const char *path, const char *how), (path, how))
FAILS(FILE *, NULL, KIND_OPEN, fopen64, (const char *path, const char *how), (path, how))
FAILS(DIR *, NULL, KIND_OPEN, opendir, (const char *path), (path))
FAILS(int, -1, KIND_OPEN, socket, (int domain, int type, int protocol), (domain, type, protocol))
FAILS(int, -1, KIND_OPEN, socketpair, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds))
FAILS(int, -1, KIND_OPEN, accept4, (int fd, struct sockaddr *address, socklen_t *length, int flags),
      (fd, address, length, flags))
FAILS(int, -1, KIND_OPEN, epoll_create1, (int flags), (flags))
FAILS(int, -1, KIND_OPEN, eventfd, (unsigned count, int flags), (count, flags))
FAILS(int, -1, KIND_OPEN, timerfd_create, (clockid_t clock, int flags), (clock, flags))
FAILS(int, -1, KIND_OPEN, signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags))
FAILS(int, -1, KIND_OPEN, memfd_create, (const char *name, unsigned flags), (name, flags))
FAILS(int, -1, KIND_OPEN, inotify_init1, (int flags), (flags))
FAILS(int, -1, KIND_OPEN, pipe2, (int fds[2], int flags), (fds, flags))
FAILS(int, -1, KIND_OPEN, dup, (int fd), (fd))
FAILS(int, -1, KIND_OPEN, dup3, (int fd, int other, int flags), (fd, other, flags))

#define CONTROLS(name)                                                                                                 \
	int name(int fd, int command, ...)                                                                             \
	{                                                                                                              \
		va_list args;                                                                                          \
		va_start(args, command);                                                                               \
		void *arg = va_arg(args, void *);                                                                      \
		va_end(args);                                                                                          \
		bool opens = command == F_DUPFD || command == F_DUPFD_CLOEXEC;                                         \
		return opens && inject_fails(KIND_OPEN, #name) ? -1 : REAL(name)(fd, command, arg);                    \
	}
int fcntl64(int fd, int command, ...);
CONTROLS(fcntl)
CONTROLS(fcntl64)

/* --- bytes in and out -------------------------------------------------------------------------------------- */

/* Whether the error armed can happen to a descriptor, and how many bytes a short call may carry. */
static bool
inject_suits(enum kind kind, int fd, size_t size)
{
	struct stat status;
	int type = 0;
	socklen_t length = sizeof(type);

	if (page == NULL || atomic_load_explicit(&page->mode, memory_order_relaxed) == MODE_OFF ||
	    atomic_load(&page->kind) != kind || syscall(SYS_fstat, fd, &status) < 0)
		return false;
	bool is_socket = S_ISSOCK(status.st_mode), is_file = S_ISREG(status.st_mode),
	     is_pipe = S_ISFIFO(status.st_mode);
	if (is_socket && syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
		return false;
	/* Counters, timers, signals: never short, never interrupted without having waited, empty only if they are. */
	if ((status.st_mode & S_IFMT) == 0)
		return false;
	switch (atomic_load(&page->error)) {
	case INJECT_SHORT:
		return size > 1 && (is_file || is_pipe || (is_socket && type == SOCK_STREAM));
	case EAGAIN:
		return !is_file && (syscall(SYS_fcntl, fd, F_GETFL) & O_NONBLOCK) != 0;
	case ECONNRESET:
		return is_socket && type == SOCK_STREAM;
	case EPIPE:
		return is_pipe || (is_socket && type == SOCK_STREAM);
	case ENOSPC:
	case EIO:
		return is_file;
	default:
		return true;
	}
}

/* -1: the call fails; 0: it goes on as it is; 1: with less than was asked for. */
static int
inject_bytes(enum kind kind, const char *function, int fd, size_t size)
{
	int saved = errno;
	bool suits = inject_suits(kind, fd, size);

	errno = saved;
	if (!suits || !inject_fails(kind, function))
		return 0;
	if (errno != INJECT_SHORT)
		return -1;
	errno = saved;
	return 1;
}

#define BYTES(kind, name, parameters, arguments)                                                                       \
	ssize_t name parameters                                                                                        \
	{                                                                                                              \
		int how = inject_bytes(kind, #name, fd, size);                                                         \
		if (how > 0)                                                                                           \
			size = (size + 1) / 2;                                                                         \
		return how < 0 ? -1 : REAL(name) arguments;                                                            \
	}
BYTES(KIND_READ, read, (int fd, void *to, size_t size), (fd, to, size))
BYTES(KIND_READ, pread, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
BYTES(KIND_READ, pread64, (int fd, void *to, size_t size, off64_t at), (fd, to, size, at))
BYTES(KIND_READ, recv, (int fd, void *to, size_t size, int flags), (fd, to, size, flags))
BYTES(KIND_WRITE, write, (int fd, const void *from, size_t size), (fd, from, size))
BYTES(KIND_WRITE, pwrite, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at))
BYTES(KIND_WRITE, pwrite64, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at))
BYTES(KIND_WRITE, send, (int fd, const void *from, size_t size, int flags), (fd, from, size, flags))
BYTES(KIND_WRITE, sendto, (int fd, const void *from, size_t size, int flags, __CONST_SOCKADDR_ARG to, socklen_t length),
      (fd, from, size, flags, to, length))

static ssize_t
inject_total(const struct iovec *vectors, size_t count)
{
	size_t total = 0;
	for (size_t i = 0; i < count; i++)
		total += vectors[i].iov_len;
	return (ssize_t) total;
}

/* The first vector that holds anything, cut in half. */
static struct iovec
inject_half(const struct iovec *vectors, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (vectors[i].iov_len > 0)
			return (struct iovec){vectors[i].iov_base, (vectors[i].iov_len + 1) / 2};
	return (struct iovec){0};
}

#define VECTORS(kind, name)                                                                                            \
	ssize_t name(int fd, const struct iovec *vectors, int count)                                                   \
	{                                                                                                              \
		int how = inject_bytes(kind, #name, fd, (size_t) inject_total(vectors, (size_t) count));               \
		struct iovec half = inject_half(vectors, (size_t) count);                                              \
		return how < 0 ? -1 : how > 0 ? REAL(name)(fd, &half, 1) : REAL(name)(fd, vectors, count);             \
	}
VECTORS(KIND_READ, readv)
VECTORS(KIND_WRITE, writev)

#define MESSAGES(kind, name, message_type)                                                                             \
	ssize_t name(int fd, message_type message, int flags)                                                          \
	{                                                                                                              \
		int how = inject_bytes(kind, #name, fd, (size_t) inject_total(message->msg_iov, message->msg_iovlen)); \
		if (how <= 0)                                                                                          \
			return how < 0 ? -1 : REAL(name)(fd, message, flags);                                          \
		struct iovec half = inject_half(message->msg_iov, message->msg_iovlen);                                \
		struct msghdr less = *message;                                                                         \
		less.msg_iov = &half;                                                                                  \
		less.msg_iovlen = 1;                                                                                   \
		ssize_t n = REAL(name)(fd, &less, flags);                                                              \
		inject_message_back(message, &less);                                                                   \
		return n;                                                                                              \
	}
/* What a receiving call says besides the bytes. */
#define inject_message_back(message, less)                                                                             \
	_Generic((message),                                                                                            \
		struct msghdr *: inject_copy_back,                                                                     \
		const struct msghdr *: inject_copy_nothing)((void *) (uintptr_t) (message), less)
static void
inject_copy_back(void *message, const struct msghdr *less)
{
	struct msghdr *to = message;
	to->msg_controllen = less->msg_controllen;
	to->msg_flags = less->msg_flags;
	to->msg_namelen = less->msg_namelen;
}
static void
inject_copy_nothing(void *message, const struct msghdr *less)
{
	(void) message;
	(void) less;
}
MESSAGES(KIND_READ, recvmsg, struct msghdr *)
MESSAGES(KIND_WRITE, sendmsg, const struct msghdr *)

/* --- files ------------------------------------------------------------------------------------------------- */

#define FILES(name, parameters, arguments) FAILS(int, -1, KIND_FILE, name, parameters, arguments)
FILES(fsync, (int fd), (fd))
FILES(fdatasync, (int fd), (fd))
FILES(rename, (const char *from, const char *to), (from, to))
FILES(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
FILES(unlink, (const char *path), (path))
FILES(unlinkat, (int folder, const char *path, int flags), (folder, path, flags))
FILES(rmdir, (const char *path), (path))
FILES(mkdir, (const char *path, mode_t mode), (path, mode))
FILES(linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags))
FILES(symlink, (const char *from, const char *to), (from, to))
FILES(ftruncate, (int fd, off_t size), (fd, size))
FILES(ftruncate64, (int fd, off64_t size), (fd, size))
FILES(stat, (const char *path, struct stat *ret), (path, ret))
FILES(lstat, (const char *path, struct stat *ret), (path, ret))
FILES(fstat, (int fd, struct stat *ret), (fd, ret))
FILES(fstatat, (int folder, const char *path, struct stat *ret, int flags), (folder, path, ret, flags))
FILES(chmod, (const char *path, mode_t mode), (path, mode))
FILES(fchmod, (int fd, mode_t mode), (fd, mode))
FILES(chown, (const char *path, uid_t uid, gid_t gid), (path, uid, gid))
FAILS(ssize_t, -1, KIND_FILE, readlink, (const char *path, char *to, size_t size), (path, to, size))
FAILS(char *, NULL, KIND_FILE, mkdtemp, (char *path), (path))
FAILS(char *, NULL, KIND_FILE, realpath, (const char *path, char *to), (path, to))
FAILS(struct dirent *, NULL, KIND_FILE, readdir, (DIR * folder), (folder))
char *__realpath_chk(const char *path, char *to, size_t room);
FAILS(char *, NULL, KIND_FILE, __realpath_chk, (const char *path, char *to, size_t room), (path, to, room))

/* --- the rest ---------------------------------------------------------------------------------------------- */

#define WAITS(type, name, parameters, arguments) FAILS(type, -1, KIND_WAIT, name, parameters, arguments)
WAITS(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))
WAITS(int, ppoll, (struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask),
      (fds, count, timeout, mask))
WAITS(int, epoll_wait, (int fd, struct epoll_event *events, int count, int timeout), (fd, events, count, timeout))
WAITS(int, select, (int count, fd_set *read, fd_set *write, fd_set *except, struct timeval *timeout),
      (count, read, write, except, timeout))
WAITS(int, nanosleep, (const struct timespec *time, struct timespec *left), (time, left))
WAITS(int, usleep, (useconds_t time), (time))

FAILS(ssize_t, -1, KIND_RANDOM, getrandom, (void *to, size_t size, unsigned flags), (to, size, flags))

FAILS(int, -1, KIND_NET, bind, (int fd, __CONST_SOCKADDR_ARG address, socklen_t length), (fd, address, length))
FAILS(int, -1, KIND_NET, listen, (int fd, int backlog), (fd, backlog))
FAILS(int, -1, KIND_NET, connect, (int fd, __CONST_SOCKADDR_ARG address, socklen_t length), (fd, address, length))
FAILS(int, -1, KIND_NET, getsockname, (int fd, __SOCKADDR_ARG address, socklen_t *length), (fd, address, length))
FAILS(int, -1, KIND_NET, setsockopt, (int fd, int level, int name, const void *value, socklen_t length),
      (fd, level, name, value, length))
FAILS(int, -1, KIND_NET, getsockopt, (int fd, int level, int name, void *value, socklen_t *length),
      (fd, level, name, value, length))

FAILS(int, -1, KIND_WATCH, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask))

/* To take out of a set and to change what is in it cannot want for anything. */
int
epoll_ctl(int fd, int operation, int other, struct epoll_event *event)
{
	if (operation == EPOLL_CTL_ADD && inject_fails(KIND_WATCH, "epoll_ctl"))
		return -1;
	return REAL(epoll_ctl)(fd, operation, other, event);
}

/* Linux closes the descriptor whatever it answers. */
int
close(int fd)
{
	int r = REAL(close)(fd);
	return r == 0 && inject_fails(KIND_CLOSE, "close") ? -1 : r;
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
		(void) REAL(pthread_create)(&thread, NULL, inject_help, NULL);
		inject_inside = false;
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
}
