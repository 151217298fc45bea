/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* name.h - names of peers in the one form in which certificates and rules are compared.
 *
 * Threads: any. Owns: nothing; results belong to the caller.
 */
/* A distinguished name (RFC 4514) with every escaped special written as a hex pair: `CN=a\, b` becomes `CN=a\2C b`.
 * So a comma in a value never looks like the end of the value to a pattern. Hex pairs of bytes that need no escape are
 * left. -EINVAL: a backslash before nothing. */
int name_canonical_dn(const char *text, char **ret);
/* The domain of an e-mail address in lower case; the local part keeps its case (RFC 5280, 7.5). */
void name_fold_email(char *address);
/* The object identifier of a key purpose's name (client-auth), or the text itself if it is one; NULL: neither.
 * Source: RFC 5280, 4.2.1.12. */
const char *name_purpose(const char *name);
