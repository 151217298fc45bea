/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* strdup and its relatives. The C library's would call malloc from inside the C library, that is for the foreign heap;
 * what a plugin duplicates is the plugin's own, so they are here and pass on their caller's address. */
#undef _FORTIFY_SOURCE
#include "interpose.h"

#if MTLSD_HEAP_LAYER

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names the C library's headers declare only when it suits them. */
#undef strdup
#undef strndup
char *__strdup(const char *text);
char *__strndup(const char *text, size_t most);
int __asprintf(char **ret, const char *format, ...);
int __asprintf_chk(char **ret, int flag, const char *format, ...);
int __vasprintf_chk(char **ret, int flag, const char *format, va_list args);
int __vsnprintf_chk(char *text, size_t size, int flag, size_t known, const char *format, va_list args);

static char *
interpose_duplicate(const char *text, size_t length, uintptr_t site)
{
	char *copy = interpose_take(length + 1, site);

	if (copy == NULL)
		return NULL;
	copy[length] = '\0';
	return memcpy(copy, text, length);
}

char *
strdup(const char *text)
{
	return interpose_duplicate(text, strlen(text), (uintptr_t) __builtin_return_address(0));
}

char *
strndup(const char *text, size_t most)
{
	return interpose_duplicate(text, strnlen(text, most), (uintptr_t) __builtin_return_address(0));
}

char *
__strdup(const char *text)
{
	return interpose_duplicate(text, strlen(text), (uintptr_t) __builtin_return_address(0));
}

char *
__strndup(const char *text, size_t most)
{
	return interpose_duplicate(text, strnlen(text, most), (uintptr_t) __builtin_return_address(0));
}

/* Measures, then prints. flag: what the checked forms were given, 0 for the others. */
static int
interpose_print(char **ret, int flag, const char *format, va_list args, uintptr_t site)
{
	char none[1];
	va_list again;

	va_copy(again, args);
	int length = __vsnprintf_chk(none, sizeof(none), flag, sizeof(none), format, again);
	va_end(again);
	if (length < 0)
		return -1;
	char *text = interpose_take((size_t) length + 1, site);
	if (text == NULL) {
		errno = ENOMEM;
		return -1;
	}
	int printed = __vsnprintf_chk(text, (size_t) length + 1, flag, (size_t) length + 1, format, args);
	if (printed != length) {
		interpose_drop(text, site);
		if (printed >= 0)
			errno = EAGAIN; /* the arguments changed under our hands */
		return -1;
	}
	*ret = text;
	return length;
}

int
vasprintf(char **ret, const char *format, va_list args)
{
	return interpose_print(ret, 0, format, args, (uintptr_t) __builtin_return_address(0));
}

int
__vasprintf_chk(char **ret, int flag, const char *format, va_list args)
{
	return interpose_print(ret, flag, format, args, (uintptr_t) __builtin_return_address(0));
}

int
asprintf(char **ret, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int length = interpose_print(ret, 0, format, args, (uintptr_t) __builtin_return_address(0));
	va_end(args);
	return length;
}

int
__asprintf(char **ret, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int length = interpose_print(ret, 0, format, args, (uintptr_t) __builtin_return_address(0));
	va_end(args);
	return length;
}

int
__asprintf_chk(char **ret, int flag, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int length = interpose_print(ret, flag, format, args, (uintptr_t) __builtin_return_address(0));
	va_end(args);
	return length;
}

#endif
