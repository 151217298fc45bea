/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz-glob.c - a separator, a pattern and a text, NUL between them: laws every pattern keeps. */
#include "cleanup.h"
#include "glob.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char separators[] = {'/', '.', '@', '\0'};
	char buffer[2048] = {0}, wider[2 * sizeof(buffer) + 8], *text;
	bool matches;
	char separator;

	if (size < 1 || size > sizeof(buffer))
		return 0;
	separator = separators[data[0] % sizeof(separators)];
	memcpy(buffer, data + 1, size - 1);
	text = buffer + strlen(buffer) + (strlen(buffer) + 1 < size - 1);
	matches = glob_match(buffer, text, separator, false);

	assert(glob_match("**", text, separator, false));
	assert(glob_match("*", text, separator, false) == (separator == '\0' || !strchr(text, separator)));
	if (!strpbrk(buffer, "*?"))
		assert(matches == (strcmp(buffer, text) == 0));
	/* What matches still matches with case folded, and with more allowed behind. */
	if (matches) {
		assert(glob_match(buffer, text, separator, true));
		strcat(strcpy(wider, buffer), "**");
		assert(glob_match(wider, text, separator, false));
	}
	return 0;
}
