/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "name.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static char
upper(char c)
{
	return c >= 'a' && c <= 'f' ? (char) (c - 'a' + 'A') : c;
}

int
name_canonical_dn(const char *text, char **ret)
{
	static const char digits[] = "0123456789ABCDEF";
	char *out = malloc(strlen(text) * 2 + 1), *end = out; /* "\," to "\2C" is the longest growth */

	if (!out)
		return -ENOMEM;
	while (*text) {
		if (*text != '\\') {
			*end++ = *text++;
			continue;
		}
		if (text[1] == '\0') {
			free(out);
			return -EINVAL;
		}
		*end++ = '\\';
		if (is_hex(text[1]) && is_hex(text[2])) {
			*end++ = upper(text[1]);
			*end++ = upper(text[2]);
			text += 3;
			continue;
		}
		*end++ = digits[(unsigned char) text[1] >> 4];
		*end++ = digits[(unsigned char) text[1] & 15];
		text += 2;
	}
	*end = '\0';
	*ret = out;
	return 0;
}

void
name_fold_email(char *address)
{
	for (char *p = strrchr(address, '@'); p && *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char) (*p - 'A' + 'a');
}

static const struct {
	const char *name, *oid;
} purposes[] = {
	{"server-auth", "1.3.6.1.5.5.7.3.1"},   {"client-auth", "1.3.6.1.5.5.7.3.2"},
	{"code-signing", "1.3.6.1.5.5.7.3.3"},  {"email-protection", "1.3.6.1.5.5.7.3.4"},
	{"time-stamping", "1.3.6.1.5.5.7.3.8"}, {"ocsp-signing", "1.3.6.1.5.5.7.3.9"},
	{"any-purpose", "2.5.29.37.0"},         {"smartcard-logon", "1.3.6.1.4.1.311.20.2.2"},
};

const char *
name_purpose(const char *name)
{
	for (size_t i = 0; i < sizeof(purposes) / sizeof(purposes[0]); i++)
		if (strcmp(purposes[i].name, name) == 0)
			return purposes[i].oid;
	if (name[0] == '\0' || strspn(name, "0123456789.") != strlen(name) || !strchr(name, '.'))
		return NULL;
	return name;
}
