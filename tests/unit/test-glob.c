/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cleanup.h"
#include "glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct example {
	const char *pattern, *text;
	char separator;
	bool fold, matches;
};

static const struct example examples[] = {
	{"", "", '/', false, true},
	{"", "a", '/', false, false},
	{"a", "", '/', false, false},
	{"abc", "abc", '/', false, true},
	{"abc", "abd", '/', false, false},
	{"abc", "ABC", '/', false, false},
	{"abc", "ABC", '/', true, true},
	{"\xc3\xa4", "\xc3\x84", '/', true, false}, /* folding is ASCII */
	{"*", "", '/', false, true},
	{"*", "abc", '/', false, true},
	{"*", "a/c", '/', false, false},
	{"**", "a/c", '/', false, true},
	{"?", "a", '/', false, true},
	{"?", "/", '/', false, false},
	{"?", "", '/', false, false},
	{"?", "/", '\0', false, true},
	{"*", "a/c,d", '\0', false, true},
	{"spiffe://example.org/*", "spiffe://example.org/web", '/', false, true},
	{"spiffe://example.org/*", "spiffe://example.org/ns/web", '/', false, false},
	{"spiffe://example.org/*", "spiffe://example.org.evil/web", '/', false, false},
	{"spiffe://example.org/**", "spiffe://example.org/ns/web", '/', false, true},
	{"spiffe://example.org/**/web", "spiffe://example.org/a/b/web", '/', false, true},
	{"spiffe://example.org/**/web", "spiffe://example.org/web", '/', false, false},
	{"spiffe://*/web", "spiffe://example.org/web", '/', false, true},
	{"*.example.org", "a.example.org", '.', true, true},
	{"*.example.org", "a.EXAMPLE.org", '.', true, true},
	{"*.example.org", "a.b.example.org", '.', true, false},
	{"*.example.org", "example.org", '.', true, false},
	{"**.example.org", "a.b.example.org", '.', true, true},
	{"*.*.org", "a.b.org", '.', true, true},
	{"*.*.org", "a.b.c.org", '.', true, false},
	{"*@example.org", "ann@example.org", '@', false, true},
	{"*@example.org", "ann@evil@example.org", '@', false, false},
	{"CN=*,O=Good", "CN=a,O=Good", '\0', false, true},
	{"CN=*,O=Good", "CN=a,O=Good,C=DE", '\0', false, false},
	/* a star must be able to take more when what follows fits too early */
	{"*ab", "aab", '/', false, true},
	{"*ab", "abab", '/', false, true},
	{"a*b*c", "aXbYbZc", '/', false, true},
	{"a*b*c", "aXbYbZ", '/', false, false},
	{"**/a", "a/b/a", '/', false, true},
	{"**/*b", "x/ab/bb/ab", '/', false, true},
	{"**a*b", "a/xab", '/', false, true},
	{"**a/*b/c", "a/x/a/xb/c", '/', false, true},
	{"*/b**", "a/bc/d", '/', false, true},
	/* a star that ends at a separator must not be taken up again behind it */
	{"a*/b", "a/x/b", '/', false, false},
	{"a*b", "a/b", '/', false, false},
};

static void
test_examples(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LENGTH(examples); i++) {
		const struct example *e = &examples[i];

		if (glob_match(e->pattern, e->text, e->separator, e->fold) != e->matches)
			fail_msg("\"%s\" and \"%s\" (row %zu)", e->pattern, e->text, i);
	}
}

/* The definition, written down as it reads; exponential, so for short words only. */
static bool
model(const char *pattern, const char *text, char separator)
{
	bool is_any = separator == '\0' || pattern[1] == '*';
	size_t stars = strspn(pattern, "*");

	if (*pattern == '\0')
		return *text == '\0';
	if (stars > 0) {
		for (;; text++) {
			if (model(pattern + stars, text, separator))
				return true;
			if (*text == '\0' || (!is_any && *text == separator))
				return false;
		}
	}
	if (*text == '\0')
		return false;
	if (*pattern == '?' ? separator != '\0' && *text == separator : *pattern != *text)
		return false;
	return model(pattern + 1, text + 1, separator);
}

/* Word number n over an alphabet, "" first. */
static void
word(unsigned n, const char *alphabet, char *text)
{
	unsigned base = (unsigned) strlen(alphabet);

	for (; n > 0; n = (n - 1) / base)
		*text++ = alphabet[(n - 1) % base];
	*text = '\0';
}

static void
test_every_short_word_agrees_with_the_definition(void **state UNUSED)
{
	enum { PATTERNS = 1 + 5 + 25 + 125 + 625 + 3125, TEXTS = 1 + 3 + 9 + 27 + 81 + 243 };
	char pattern[16], text[16];
	unsigned matches = 0;

	for (unsigned p = 0; p < PATTERNS; p++) {
		word(p, "*/ab?", pattern);
		for (unsigned t = 0; t < TEXTS; t++) {
			bool expected, found;

			word(t, "/ab", text);
			expected = model(pattern, text, '/');
			found = glob_match(pattern, text, '/', false);
			if (expected != found)
				fail_msg("\"%s\" and \"%s\": %d, by definition %d", pattern, text, found, expected);
			matches += found;
		}
	}
	assert_in_range(matches, 1000, PATTERNS * TEXTS / 2); /* both outcomes were seen */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_every_short_word_agrees_with_the_definition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
