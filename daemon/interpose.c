/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* malloc and its relatives. With no current space they are the C library's; inside one, the caller's return address
 * says which of the space's heaps serves. free and realloc go by the block's address alone. */
#undef _FORTIFY_SOURCE
#include "interpose.h"

#include "heap-internal.h"
#include "reserve.h"

#if MTLSD_HEAP_LAYER

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	INTERPOSE_PAGE = 4096,
	INTERPOSE_ALIGN = 16,      /* of all the C library hands out */
	INTERPOSE_STACK = 1 << 20, /* how deep a stack is looked at */
};

/* The C library refused memory to a call from `site`: is it worth asking again? */
static bool
interpose_again(size_t size, uintptr_t site)
{
	extern const char __executable_start[], etext[];

	/* Our own code takes a NULL for an answer. */
	if (site >= (uintptr_t) __executable_start && site < (uintptr_t) etext)
		return false;
	return size <= RESERVE_PIECE / 2 && reserve_spend();
}

__attribute__((noinline)) void *
interpose_take_plain(size_t size, uintptr_t site)
{
	void *plain;

	while (__builtin_expect((plain = __libc_malloc(size)) == NULL, 0) && interpose_again(size, site))
		;
	return plain;
}

/* Static data, the stack, the middle of anything: what can be told without knowing the C library's books. */
__attribute__((noinline)) bool
interpose_is_wild(const void *p, uintptr_t site)
{
	const struct scope_space *space = bin_self.space;
	uintptr_t at = (uintptr_t) p, stack = (uintptr_t) __builtin_frame_address(0),
		  thread = (uintptr_t) pthread_self();
	/* A thread's descriptor lies at the upper end of its stack; the main thread's does not, nor a coroutine's. */
	bool on_stack = at > stack && at < thread && thread - stack < INTERPOSE_STACK;

	if (p == NULL || (at % INTERPOSE_ALIGN == 0 && at - space->image_start >= space->image_bytes && !on_stack))
		return false;
	heap_fault(space->own_slot, HEAP_FAULT_FOREIGN_FREE, p, site);
	return true;
}

void *
interpose_take_wide(size_t size, uintptr_t site)
{
	void *block = bin_pop(size, site);

	return block != NULL ? block : scope_alloc(size, 0, 0, site);
}

void
interpose_drop_other(void *p, uintptr_t site)
{
	uintptr_t offset = (uintptr_t) p - bin_range.base;

	if (offset >= bin_range.bytes) {
		if (__builtin_expect(bin_self.space == NULL, 1) || !interpose_is_wild(p, site))
			__libc_free(p); /* NULL too */
	} else if (__builtin_expect(!bin_push(p, offset), 0))
		alloc_free(p, site);
}

/* interpose_take_plain for calloc. */
static __attribute__((noinline)) void *
interpose_clear_plain(size_t count, size_t size, uintptr_t site)
{
	void *plain;

	while (__builtin_expect((plain = __libc_calloc(count, size)) == NULL, 0) &&
	       !(size != 0 && count > SIZE_MAX / size) && interpose_again(count * size, site))
		;
	return plain;
}

void *
malloc(size_t size)
{
	return interpose_take(size, (uintptr_t) __builtin_return_address(0));
}

void
free(void *p)
{
	interpose_drop(p, (uintptr_t) __builtin_return_address(0));
}

void *
calloc(size_t count, size_t size)
{
	uintptr_t site = (uintptr_t) __builtin_return_address(0);
	size_t bytes;

	if (__builtin_expect(bin_self.space == NULL, 1))
		return interpose_clear_plain(count, size, site);
	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	void *block = bin_pop(bytes, site);
	return block != NULL ? memset(block, 0, bytes) : scope_alloc(bytes, 0, ALLOC_ZERO, site);
}

static void *
interpose_resize(void *p, size_t size, uintptr_t site)
{
	if (p == NULL)
		return interpose_take(size, site);
	if (!alloc_is_ours(p)) {
		void *plain;
		if (__builtin_expect(bin_self.space != NULL, 0) && interpose_is_wild(p, site)) {
			errno = ENOMEM;
			return NULL;
		}
		while ((plain = __libc_realloc(p, size)) == NULL && size != 0 && interpose_again(size, site))
			;
		return plain;
	}
	if (size == 0) { /* as the C library does */
		interpose_drop(p, site);
		return NULL;
	}
	if (__builtin_expect(bin_self.space != NULL && bin_self.space->slow, 0))
		return scope_resize(p, size, site);
	return alloc_resize(p, size, site);
}

void *
realloc(void *p, size_t size)
{
	return interpose_resize(p, size, (uintptr_t) __builtin_return_address(0));
}

void *
reallocarray(void *p, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return interpose_resize(p, bytes, (uintptr_t) __builtin_return_address(0));
}

void *
interpose_take_aligned(size_t align, size_t size, uintptr_t site)
{
	if (bin_self.space == NULL) {
		void *plain;
		while ((plain = __libc_memalign(align, size)) == NULL && interpose_again(align + size, site))
			;
		return plain;
	}
	return scope_alloc(size, align, 0, site);
}

int
posix_memalign(void **ret, size_t align, size_t size)
{
	if (align < sizeof(void *) || align & (align - 1))
		return EINVAL;
	int saved = errno; /* the result alone tells */
	void *block = interpose_take_aligned(align, size, (uintptr_t) __builtin_return_address(0));
	errno = saved;
	if (block == NULL)
		return ENOMEM;
	*ret = block;
	return 0;
}

void *
aligned_alloc(size_t align, size_t size)
{
	if (align == 0 || align & (align - 1)) {
		errno = EINVAL;
		return NULL;
	}
	return interpose_take_aligned(align, size, (uintptr_t) __builtin_return_address(0));
}

void *
memalign(size_t align, size_t size)
{
	size_t power = 16;

	if (align > (size_t) 1 << 62) {
		errno = EINVAL;
		return NULL;
	}
	while (power < align) /* the C library rounds up, too */
		power *= 2;
	return interpose_take_aligned(power, size, (uintptr_t) __builtin_return_address(0));
}

void *
valloc(size_t size)
{
	return interpose_take_aligned(INTERPOSE_PAGE, size, (uintptr_t) __builtin_return_address(0));
}

void *
pvalloc(size_t size)
{
	if (size > SIZE_MAX - INTERPOSE_PAGE) {
		errno = ENOMEM;
		return NULL;
	}
	size = size == 0 ? INTERPOSE_PAGE : (size + INTERPOSE_PAGE - 1) & ~(size_t) (INTERPOSE_PAGE - 1);
	return interpose_take_aligned(INTERPOSE_PAGE, size, (uintptr_t) __builtin_return_address(0));
}

size_t
malloc_usable_size(void *p)
{
	static size_t (*real)(void *);

	if (p == NULL)
		return 0;
	if (alloc_is_ours(p))
		return alloc_usable(p);
	if (real == NULL) {
		struct scope_frame frame;
		scope_enter_daemon(&frame); /* dlsym may allocate */
		*(void **) &real = dlsym(RTLD_NEXT, "malloc_usable_size");
		scope_leave(&frame);
	}
	return real(p);
}

#endif
