/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* C++ new and delete, under their mangled names: here too the caller's address decides, which libstdc++'s own would
 * hide behind one of its own. The daemon does not link libstdc++; a plugin that throws has brought it along. */
#include "cleanup.h"
#include "interpose.h"

#if MTLSD_HEAP_LAYER

#include <dlfcn.h>
#include <stdlib.h>

/* size_t is "m" in the mangled names of the 64-bit targets this builds for. */
void *_Znwm(size_t size);
void *_Znam(size_t size);
void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag);
void *_ZnamRKSt9nothrow_t(size_t size, const void *tag);
void *_ZnwmSt11align_val_t(size_t size, size_t align);
void *_ZnamSt11align_val_t(size_t size, size_t align);
void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag);
void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag);
void _ZdlPv(void *p);
void _ZdaPv(void *p);
void _ZdlPvm(void *p, size_t size);
void _ZdaPvm(void *p, size_t size);
void _ZdlPvRKSt9nothrow_t(void *p, const void *tag);
void _ZdaPvRKSt9nothrow_t(void *p, const void *tag);
void _ZdlPvSt11align_val_t(void *p, size_t align);
void _ZdaPvSt11align_val_t(void *p, size_t align);
void _ZdlPvmSt11align_val_t(void *p, size_t size, size_t align);
void _ZdaPvmSt11align_val_t(void *p, size_t size, size_t align);
void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align, const void *tag);
void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align, const void *tag);

/* A function of the libstdc++ that is loaded, NULL if none is. */
static void *
interpose_libstdcxx(const char *name)
{
	struct scope_frame frame;
	void *found = NULL;

	scope_enter_daemon(&frame);
	void *library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
	if (library != NULL) {
		found = dlsym(library, name);
		(void) dlclose(library);
	}
	if (found == NULL)
		found = dlsym(RTLD_DEFAULT, name);
	scope_leave(&frame);
	return found;
}

static void *
interpose_new_once(size_t size, size_t align, uintptr_t site)
{
	return align <= 16 ? interpose_take(size, site) : interpose_take_aligned(align, size, site);
}

/* What the standard asks for when memory is out: the new handler again and again, then bad_alloc. Exceptions pass
 * through this frame on their way to the caller. */
static __attribute__((cold, noinline)) void *
interpose_new_failed(size_t size, size_t align, uintptr_t site, bool throws)
{
	void (*(*get_handler)(void) )(void);
	void (*throw_bad_alloc)(void);
	void *block = NULL;

	*(void **) &get_handler = interpose_libstdcxx("_ZSt15get_new_handlerv");
	while (block == NULL && get_handler != NULL) {
		void (*handler)(void) = get_handler();
		if (handler == NULL)
			break;
		handler();
		block = interpose_new_once(size, align, site);
	}
	if (block != NULL || !throws)
		return block;
	*(void **) &throw_bad_alloc = interpose_libstdcxx("_ZSt17__throw_bad_allocv");
	if (throw_bad_alloc != NULL)
		throw_bad_alloc();
	abort(); /* C++ without its library: nothing else is left, as there */
}

static inline void *
interpose_new(size_t size, size_t align, uintptr_t site, bool throws)
{
	void *block = interpose_new_once(size, align, site);

	return __builtin_expect(block != NULL, 1) ? block : interpose_new_failed(size, align, site, throws);
}

void *
_Znwm(size_t size)
{
	return interpose_new(size, 0, (uintptr_t) __builtin_return_address(0), true);
}

void *
_Znam(size_t size)
{
	return interpose_new(size, 0, (uintptr_t) __builtin_return_address(0), true);
}

void *
_ZnwmRKSt9nothrow_t(size_t size, const void *tag UNUSED)
{
	return interpose_new(size, 0, (uintptr_t) __builtin_return_address(0), false);
}

void *
_ZnamRKSt9nothrow_t(size_t size, const void *tag UNUSED)
{
	return interpose_new(size, 0, (uintptr_t) __builtin_return_address(0), false);
}

void *
_ZnwmSt11align_val_t(size_t size, size_t align)
{
	return interpose_new(size, align, (uintptr_t) __builtin_return_address(0), true);
}

void *
_ZnamSt11align_val_t(size_t size, size_t align)
{
	return interpose_new(size, align, (uintptr_t) __builtin_return_address(0), true);
}

void *
_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag UNUSED)
{
	return interpose_new(size, align, (uintptr_t) __builtin_return_address(0), false);
}

void *
_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag UNUSED)
{
	return interpose_new(size, align, (uintptr_t) __builtin_return_address(0), false);
}

void
_ZdlPv(void *p)
{
	interpose_drop(p, (uintptr_t) __builtin_return_address(0));
}

void
_ZdaPv(void *p)
{
	interpose_drop(p, (uintptr_t) __builtin_return_address(0));
}

void
_ZdlPvm(void *p, size_t size UNUSED)
{
	interpose_drop(p, (uintptr_t) __builtin_return_address(0));
}

void
_ZdaPvm(void *p, size_t size UNUSED)
{
	interpose_drop(p, (uintptr_t) __builtin_return_address(0));
}

void
_ZdlPvRKSt9nothrow_t(void *p, const void *tag UNUSED)
{
	interpose_drop(p, (uintptr_t) __builtin_return_address(0));
}

void
_ZdaPvRKSt9nothrow_t(void *p, const void *tag UNUSED)
{
	interpose_drop(p, (uintptr_t) __builtin_return_address(0));
}

void
_ZdlPvSt11align_val_t(void *p, size_t align UNUSED)
{
	interpose_drop(p, (uintptr_t) __builtin_return_address(0));
}

void
_ZdaPvSt11align_val_t(void *p, size_t align UNUSED)
{
	interpose_drop(p, (uintptr_t) __builtin_return_address(0));
}

void
_ZdlPvmSt11align_val_t(void *p, size_t size UNUSED, size_t align UNUSED)
{
	interpose_drop(p, (uintptr_t) __builtin_return_address(0));
}

void
_ZdaPvmSt11align_val_t(void *p, size_t size UNUSED, size_t align UNUSED)
{
	interpose_drop(p, (uintptr_t) __builtin_return_address(0));
}

void
_ZdlPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align UNUSED, const void *tag UNUSED)
{
	interpose_drop(p, (uintptr_t) __builtin_return_address(0));
}

void
_ZdaPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align UNUSED, const void *tag UNUSED)
{
	interpose_drop(p, (uintptr_t) __builtin_return_address(0));
}

#endif
