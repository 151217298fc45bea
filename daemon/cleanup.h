/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* cleanup.h - the project's few macros: scope-bound release, array length, container, checks of our own bugs.
 *
 * Every macro of the daemon lives here. Destructors used with CLEANUP accept NULL inside the pointer.
 */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* Calls fn(&variable) when the variable leaves its scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define CLEANUP_FREE CLEANUP(cleanup_free)
#define CLEANUP_CLOSE CLEANUP(cleanup_close)

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *) ((char *) (ptr) - offsetof(type, member)))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))

static inline void
cleanup_free(void *p)
{
	free(*(void **) p);
}

static inline void
cleanup_close(int *fd)
{
	if (*fd >= 0)
		(void) close(*fd);
	*fd = -1;
}

/* Hands the value of *p to the caller and clears it, so that a CLEANUP variable no longer owns it. */
#define STEAL(p)                                                                                                       \
	({                                                                                                             \
		__auto_type _p = &(p);                                                                                 \
		__auto_type _v = *_p;                                                                                  \
		*_p = (__typeof__(_v)) 0;                                                                              \
		_v;                                                                                                    \
	})

static inline int
steal_fd(int *fd)
{
	int value = *fd;
	*fd = -1;
	return value;
}
