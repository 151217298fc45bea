/* SPDX-License-Identifier: LGPL-2.1-or-later */
#undef _FORTIFY_SOURCE
#include "memory.h"

#include <stddef.h>
#include <unistd.h>

static void (*memory_last)(void);

void
memory_at_end(void (*last)(void))
{
	memory_last = last;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);

void *malloc(size_t size) __attribute__((visibility("default")));
void *calloc(size_t count, size_t size) __attribute__((visibility("default")));
void *realloc(void *p, size_t size) __attribute__((visibility("default")));

_Noreturn static void
memory_end(void)
{
	static const char text[] = "mtlsctl: out of memory\n";

	if (memory_last)
		memory_last();
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(1);
}

void *
malloc(size_t size)
{
	void *p = __libc_malloc(size);

	if (!p)
		memory_end();
	return p;
}

void *
calloc(size_t count, size_t size)
{
	void *p = __libc_calloc(count, size);

	if (!p)
		memory_end();
	return p;
}

/* Nothing is what a block of no bytes becomes. */
void *
realloc(void *p, size_t size)
{
	void *moved = __libc_realloc(p, size);

	if (!moved && size > 0)
		memory_end();
	return moved;
}

#endif
