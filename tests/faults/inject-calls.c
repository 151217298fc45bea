/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* inject-calls.c - the functions that can be made to fail, class by class, in front of the C library's.
 *
 * Threads: any. Owns: nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "inject.h"

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
FAILS(int, inject_error(), KIND_THREAD, pthread_create,
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
FAILS(int, -1, KIND_OPEN, accept, (int fd, __SOCKADDR_ARG address, socklen_t *length), (fd, address, length))
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

	if (!inject_wants(kind) || syscall(SYS_fstat, fd, &status) < 0)
		return false;
	bool is_socket = S_ISSOCK(status.st_mode), is_file = S_ISREG(status.st_mode),
	     is_pipe = S_ISFIFO(status.st_mode);
	if (is_socket && syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
		return false;
	/* Counters, timers, signals: never short, never interrupted without having waited, empty only if they are. */
	if ((status.st_mode & S_IFMT) == 0)
		return false;
	switch (inject_error()) {
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
BYTES(KIND_READ, recvfrom, (int fd, void *to, size_t size, int flags, __SOCKADDR_ARG from, socklen_t *length),
      (fd, to, size, flags, from, length))
/* What the compiler makes of them where it checks the size of buffers. */
ssize_t __read_chk(int fd, void *to, size_t size, size_t room);
ssize_t __pread_chk(int fd, void *to, size_t size, off_t at, size_t room);
ssize_t __recv_chk(int fd, void *to, size_t size, size_t room, int flags);
BYTES(KIND_READ, __read_chk, (int fd, void *to, size_t size, size_t room), (fd, to, size, room))
BYTES(KIND_READ, __pread_chk, (int fd, void *to, size_t size, off_t at, size_t room), (fd, to, size, at, room))
BYTES(KIND_READ, __recv_chk, (int fd, void *to, size_t size, size_t room, int flags), (fd, to, size, room, flags))
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
FILES(stat64, (const char *path, struct stat64 *ret), (path, ret))
FILES(lstat64, (const char *path, struct stat64 *ret), (path, ret))
FILES(fstat64, (int fd, struct stat64 *ret), (fd, ret))
FILES(fstatat64, (int folder, const char *path, struct stat64 *ret, int flags), (folder, path, ret, flags))
FILES(statx, (int folder, const char *path, int flags, unsigned mask, struct statx *ret),
      (folder, path, flags, mask, ret))
FILES(chmod, (const char *path, mode_t mode), (path, mode))
FILES(fchmod, (int fd, mode_t mode), (fd, mode))
FILES(chown, (const char *path, uid_t uid, gid_t gid), (path, uid, gid))
FAILS(ssize_t, -1, KIND_FILE, readlink, (const char *path, char *to, size_t size), (path, to, size))
FAILS(ssize_t, -1, KIND_FILE, readlinkat, (int folder, const char *path, char *to, size_t size),
      (folder, path, to, size))
FAILS(char *, NULL, KIND_FILE, mkdtemp, (char *path), (path))
FAILS(char *, NULL, KIND_FILE, realpath, (const char *path, char *to), (path, to))
FAILS(struct dirent *, NULL, KIND_FILE, readdir, (DIR * folder), (folder))
FAILS(struct dirent64 *, NULL, KIND_FILE, readdir64, (DIR * folder), (folder))
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
