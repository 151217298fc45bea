/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* pprof.h - writes profiles as `go tool pprof` reads them: gzipped profile.proto.
 *
 * Strings, mappings, functions and locations are written once, however often they are asked for. Running out of memory
 * shows in pprof_finish alone. Source: github.com/google/pprof, proto/profile.proto.
 *
 * Threads: a profile belongs to its caller. Owns: its buffers; strings are copied.
 */
#include <stddef.h>
#include <stdint.h>

struct pprof;

struct pprof_type {
	const char *name, *unit; /* "inuse_space", "bytes" */
};
struct pprof_label {
	const char *key, *value; /* value NULL: the label is left out */
};
struct pprof_frame {
	uint64_t address;     /* of the call */
	uint64_t offset;      /* in the module */
	const char *module;   /* file name of the image; NULL: none */
	const char *build_id; /* hex; "" or NULL: none */
	const char *function; /* "" or NULL: unknown */
	const char *file;     /* "" or NULL: unknown */
	int line;
};

/* types: at least one; the first is what is shown unless asked otherwise. */
int pprof_new(const struct pprof_type *types, size_t count, struct pprof **ret);
/* The number of a frame, the same for the same address. 0: out of memory. */
uint64_t pprof_location(struct pprof *pprof, const struct pprof_frame *frame);
/* locations: innermost first. values: one a type. labels: count of them. */
void pprof_sample(struct pprof *pprof, const uint64_t *locations, size_t depth, const uint64_t *values,
		  const struct pprof_label *labels, size_t label_count);
/* comment: NULL, or a line `pprof -comments` shows. time: nanoseconds since 1970. *ret: malloc'ed bytes of the file. */
int pprof_finish(struct pprof *pprof, const char *comment, uint64_t time, void **ret, size_t *ret_size);
void pprof_free(struct pprof **pprof);
