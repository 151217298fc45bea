/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* inject.h - whether a call is to fail, and the function it would have been.
 *
 * Threads: any. Owns: nothing; inject.c holds the page.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	INJECT_SHORT = 1000, /* no errno: a count of less than was asked for */
};

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

/* Whether this call of that function is to fail; errno is what with. */
bool inject_fails(enum kind kind, const char *function);

/* Whether calls of that class are failing or counted, and with what. */
bool inject_wants(enum kind kind);
int inject_error(void);

/* The function of that name behind the one that stands before it. */
void *inject_next(_Atomic(void *) *cache, const char *name);

#define REAL(name)                                                                                                     \
	({                                                                                                             \
		static _Atomic(void *) _cache;                                                                         \
		(__typeof__(&name)) inject_next(&_cache, #name);                                                       \
	})
