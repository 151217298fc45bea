/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* image.h - a plugin's shared object: read once into a sealed memory file, inspected, mapped by instances.
 *
 * The copy is what runs: replacing the file on disk touches no running instance, and an automatic restart loads the
 * very same bytes. Each mapping is loaded from a memory file of its own, under a name that is never reused
 * (<run>/instances/<plugin>.<n>): the dynamic linker takes equal names, and equal inodes, for the same object, and
 * would hand out the old instance with its old statics.
 *
 * Threads: an image is immutable and counted; image_map and image_unmap exclude each other by a lock of their own.
 * Owns: the memory file; a mapping owns its dlopen handle and its name.
 */
#include "error.h"
#include "scope.h"

#include <stdbool.h>
#include <stdint.h>

struct image;

/* Reads the file: a regular file owned by root or the daemon's user, writable by nobody else, at most 256 MiB. */
int image_read(const char *path, struct image **ret, struct error *error);
struct image *image_ref(struct image *image);
void image_unref(struct image **image);
const char *image_path(const struct image *image);
const char *image_sha256(const struct image *image);
int image_fd(const struct image *image);

/* Looks into the ELF file before any of its code runs. allowed: imports that may be used all the same, NULL-ended or
 * NULL. -ENOEXEC with a sentence for: not a shared object for this machine, a forbidden import, DF_1_NODELETE, a
 * missing descriptor symbol. *ret_unique: it has STB_GNU_UNIQUE symbols (instances would share them and could not be
 * unloaded). */
int image_inspect(const struct image *image, const char *symbol, char *const *allowed, size_t allowed_count,
		  bool *ret_unique, struct error *error);

struct image_mapping {
	struct image *image;
	int fd; /* its own sealed copy; kept open, so that debuggers find the file */
	void *handle;
	uintptr_t start, end; /* of the mapped segments */
	char *name;           /* path it was loaded under */
	uint64_t inode;
};

/* Loads it; constructors run in the space, all else is the daemon's memory. symbol: looked up into *ret_symbol. */
int image_map(struct image *image, struct scope_space *space, const char *directory, const char *plugin,
	      uint64_t number, const char *symbol, struct image_mapping *ret, const void **ret_symbol,
	      struct error *error);
/* dlclose (destructors run in the space), then proof: -EBUSY if the kernel still maps the image. The mapping
 * stays valid for a later try by image_gone in that case. */
int image_unmap(struct image_mapping *mapping, struct scope_space *space);
/* True if no mapping of the image's memory is left in this process. */
bool image_gone(const struct image_mapping *mapping);
/* Forgets the mapping and drops its name and image reference. */
void image_mapping_clear(struct image_mapping *mapping);
