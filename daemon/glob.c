/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "glob.h"

#include <stddef.h>

static bool
bytes_equal(char a, char b, bool fold_case)
{
	/* ASCII only: names in certificates are compared by bytes, never by locale. */
	if (fold_case && a >= 'A' && a <= 'Z')
		a = (char) (a - 'A' + 'a');
	if (fold_case && b >= 'A' && b <= 'Z')
		b = (char) (b - 'A' + 'a');
	return a == b;
}

/* Where to go on after a mismatch: the star, and the first byte of text it does not take yet. */
struct retry {
	const char *pattern, *text;
};

/* Two retry points are enough. A later `**` makes everything before it final: what it can reach contains what any
 * earlier star could reach by taking more. A `*` makes an earlier `*` final in the same way as long as no separator
 * lies between; when one does, the `*` is stuck and only the last `**` can help. */
bool
glob_match(const char *pattern, const char *text, char separator, bool fold_case)
{
	struct retry single = {NULL, NULL}, any = {NULL, NULL};

	while (*text || *pattern) {
		if (*pattern == '*') {
			bool is_any = separator == '\0' || pattern[1] == '*';

			while (*pattern == '*')
				pattern++;
			if (is_any) {
				any = (struct retry){pattern, text};
				single.pattern = NULL;
			} else {
				single = (struct retry){pattern, text};
			}
			continue;
		}
		if (*text && *pattern &&
		    (*pattern == '?' ? separator == '\0' || *text != separator
				     : bytes_equal(*pattern, *text, fold_case))) {
			pattern++;
			text++;
			continue;
		}
		if (single.pattern && *single.text && *single.text != separator) {
			single.text++;
			pattern = single.pattern;
			text = single.text;
			continue;
		}
		if (!any.pattern || !*any.text)
			return false;
		single.pattern = NULL;
		any.text++;
		pattern = any.pattern;
		text = any.text;
	}
	return true;
}
