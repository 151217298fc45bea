/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* wall.h - what the process may still do once it serves: files and TCP by Landlock, system calls by seccomp.
 *
 * A second wall behind the unit's sandbox, put up by the daemon itself, so that it stands however the daemon was
 * started. What may be opened follows from the configuration: its own files, the certificates, folders for sockets,
 * dumps and logs, the system's libraries and tables, and what plugins say they need. Walls only tighten: a later
 * configuration that needs more is refused until the daemon is restarted.
 *
 * Landlock binds the calling thread and those it starts from then on: wall_raise comes before any other thread. The
 * system calls are closed for all threads at once, when everything has started.
 *
 * Source: the kernel's documentation, userspace-api/landlock (ABI 1 to 6: rights the kernel does not know are left
 * out) and userspace-api/seccomp_filter.
 *
 * Threads: the main thread. Owns: a copy of what was granted.
 */
#include "config.h"
#include "error.h"

#include <stdbool.h>

struct wall;

/* Puts up the Landlock part. *ret also where the configuration asks for none, or the kernel has none (then
 * *ret_missing says so, else it is NULL). */
int wall_raise(const struct config *config, struct wall **ret, const char **ret_missing, struct error *error);
/* Closes the system calls that neither the daemon nor its plugins need. */
int wall_close(const struct wall *wall, struct error *error);
/* -EPERM with a sentence if the configuration needs what the walls do not let through any more. */
int wall_covers(const struct wall *wall, const struct config *config, struct error *error);
void wall_free(struct wall **wall); /* accepts NULL; the walls stay */
