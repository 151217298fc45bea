/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Length of the well-formed UTF-8 sequence at p (RFC 3629, 4), 0 if there is none. */
static size_t
utf8_length(const unsigned char *p)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		length = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		length = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		length = 4;
	else
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0; /* shorter forms exist */
	else if (p[0] == 0xed)
		high = 0x9f; /* surrogates */
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f; /* beyond U+10FFFF */
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return length;
}

size_t
error_clean_span(const char *text)
{
	const unsigned char *p = (const unsigned char *) text;

	while (*p) {
		size_t length = utf8_length(p);

		if (length == 0 || *p < 0x20 || *p == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0))
			break;
		p += length;
	}
	return (size_t) ((const char *) p - text);
}

void
error_clean(char *text)
{
	for (text += error_clean_span(text); *text; text += error_clean_span(text))
		*text = '?';
}

int
error_set(struct error *e, int code, const char *fmt, ...)
{
	va_list args;

	assert(code < 0);
	/* The first sentence came from the place that knows most; callers up the stack must not bury it. */
	if (!e || e->code != 0)
		return code;
	e->code = code;
	va_start(args, fmt);
	(void) vsnprintf(e->text, sizeof(e->text), fmt, args);
	va_end(args);
	error_clean(e->text);
	return code;
}

int
error_prefix(struct error *e, const char *fmt, ...)
{
	char text[sizeof(e->text)];
	size_t used, rest;
	va_list args;

	if (!e)
		return 0;
	va_start(args, fmt);
	(void) vsnprintf(text, sizeof(text) - 2, fmt, args);
	va_end(args);
	used = strlen(text);
	memcpy(text + used, ": ", 2);
	used += 2;
	rest = strnlen(e->text, sizeof(text) - used - 1);
	memcpy(text + used, e->text, rest);
	text[used + rest] = '\0';
	error_clean(text);
	memcpy(e->text, text, used + rest + 1);
	return e->code;
}
