/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* symbol.h - a call address to function, file and line.
 *
 * An instance's image is resolved from its kept descriptor (libdw on the memfd), everything else from the mapped file.
 * Fall-back, in this order: ELF symbol, module+offset with build-id.
 *
 * Threads: one resolver by one thread at a time. Owns: the strings it returned, until symbol_resolver_free.
 */
#include <stdint.h>

struct symbol_resolver;

struct symbol {
	const char *function; /* demangled for C++; NULL: unknown */
	const char *file;     /* NULL: no debug information */
	int line;             /* 0: unknown */
	const char *module;   /* file name of the image, never NULL ("?" at worst) */
	uint64_t offset;      /* in the module's file */
	const char *build_id; /* hex; NULL: none */
};

/* image_fd: descriptor of the instance's kept image (not owned, may be -1), mapped at [start, end). name: what to call
 * it. */
int symbol_resolver_new(int image_fd, uintptr_t start, uintptr_t end, const char *name, struct symbol_resolver **ret);
/* site: a return address; the call itself is looked up (address - 1). Always fills *ret. */
void symbol_resolve(struct symbol_resolver *resolver, uintptr_t site, struct symbol *ret);
void symbol_resolver_free(struct symbol_resolver **resolver);
