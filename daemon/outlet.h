/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* outlet.h - writing to a descriptor a client passed, without letting the client hold the daemon's thread.
 *
 * Threads: a job's thread; an outlet belongs to its caller. Owns: nothing; the descriptor stays the caller's.
 */
#include "error.h"

#include <stddef.h>
#include <stdint.h>

/* A regular file, pipe or socket open for writing. Others, and files on a FUSE mount (whose owner may never answer),
 * are -EINVAL with a sentence that names the cure. */
int outlet_check(int fd, struct error *error);
/* Writes all of data. patience: microseconds without any progress, then -ETIMEDOUT. */
int outlet_write(int fd, const void *data, size_t length, uint64_t patience, struct error *error);
