/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* format.h - a dump in the formats other tools read: JSON, folded stacks, pprof.
 *
 * What is in use is exact: the bytes and blocks of each call site. Samples say by which stacks a site was reached, and
 * a site's numbers are divided over its stacks in proportion to their live samples; a site without a live sample is one
 * frame. So every sum over in-use values is what the dump's sites hold.
 *
 * Threads: any. Owns: nothing.
 */
#include "supervisor.h"

#include <jansson.h>

/* Lines "frame;frame;frame bytes", outermost first; the first frame is the plugin. *ret: malloc'ed, NUL-terminated. */
int format_folded(const struct supervisor_dump *dump, char **ret, size_t *ret_length);

/* gzipped profile.proto. inuse_space, inuse_objects: as above, with the label age (requests). escaped_space: exact by
 * site, with the labels route and status. alloc_space, alloc_objects: since the instance began, from samples where
 * there are any, never less than what is in use, and together exactly what was allocated: what no sample tells of is
 * one frame. route: the name of a route by number, NULL if none. *ret: malloc'ed. */
int format_pprof(const struct supervisor_dump *dump, const char *(*route)(void *ctx, unsigned number), void *ctx,
		 void **ret, size_t *ret_length);

/* words: what the plugin says, taken over; NULL: nothing. top: sites at most, 0: all. callers: those of every site, not
 * of allocation wrappers alone. NULL: out of memory. */
json_t *format_json(const struct supervisor_dump *dump, json_t *words, uint64_t top, bool callers);
/* "file.c:12", or "module+0x1a0" where no line is known. */
json_t *format_place(const char *file, int line, const char *module, uint64_t offset);

/* How a class of an age histogram is written: "0", "1", "2-3", "4-7". buffer is returned. */
char *format_age(unsigned column, char *buffer, size_t size);
