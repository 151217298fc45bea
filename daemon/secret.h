/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* secret.h - contents of files that may hold keys: read without copies, kept out of core dumps, wiped at the end.
 *
 * A name is a path, or "credential:NAME" for a file of $CREDENTIALS_DIRECTORY (systemd.exec(5), LoadCredential=).
 *
 * Threads: any. Owns: a secret owns its pages.
 */
#include "error.h"

#include <stdbool.h>
#include <stddef.h>

struct secret {
	unsigned char *data; /* NULL: empty */
	size_t size;
	size_t room; /* private */
};

/* what: how messages call the file ("key"). private: refused if others than its owner may read it. -ENODATA: empty. */
int secret_read(const char *name, const char *what, bool private, struct secret *ret, struct error *error);
/* A secret of so many zero bytes. */
int secret_new(size_t size, struct secret *ret);
/* Accepts an empty one. */
void secret_clear(struct secret *secret);
/* What to do about a text that is no usable PEM, and why; NULL where nothing more can be said. tool: the word of
 * openssl(1) for its kind ("x509"). */
enum { SECRET_ADVICE = 128 };
const char *secret_advice(const void *text, size_t size, const char *tool, char buffer[static SECRET_ADVICE]);
/* The path a name stands for, malloced. -ENOENT with its sentence: there is no folder of credentials. */
int secret_path(const char *name, char **ret, struct error *error);
/* True for names that are no files: pkcs11: and other URIs of keys that GnuTLS opens itself. */
bool secret_is_token(const char *name);
/* How messages show a name: a token's without what stands behind "?", which may hold its PIN. */
enum { SECRET_SHOWN = 256 };
const char *secret_shown(const char *name, char buffer[static SECRET_SHOWN]);
