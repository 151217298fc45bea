/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* digest.h - SHA-256 as lower-case hex.
 *
 * Threads: any. Owns: nothing.
 */
#include <stddef.h>

enum { DIGEST_HEX = 65 };

/* -EIO if the library cannot. */
int digest_sha256(const void *data, size_t length, char ret[static DIGEST_HEX]);
