/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "symbol.h"

#include "cleanup.h"

#include <dlfcn.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SYMBOL_BUILD_ID_MOST = 64, /* bytes; 20 is usual */
};

/* A string the resolver gave out. */
struct symbol_string {
	struct symbol_string *next;
	char text[];
};

struct symbol_resolver {
	Dwfl *dwfl;
	struct symbol_string *strings;
	char *(*demangle)(const char *, char *, size_t *, int *);
};

/* Separate debug information is looked for where the system keeps it; nothing is fetched over a network. */
static const Dwfl_Callbacks symbol_callbacks = {
	.find_elf = dwfl_linux_proc_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
};

struct symbol_image {
	char path[512];
	uintptr_t start; /* where the file's first page is mapped */
};

static const char *
symbol_keep(struct symbol_resolver *resolver, const char *text)
{
	size_t size = strlen(text) + 1;

	for (struct symbol_string *known = resolver->strings; known != NULL; known = known->next)
		if (strcmp(known->text, text) == 0)
			return known->text;
	struct symbol_string *string = malloc(sizeof(*string) + size);
	if (string == NULL)
		return NULL;
	memcpy(string->text, text, size);
	string->next = resolver->strings;
	resolver->strings = string;
	return string->text;
}

/* The demangler of the libstdc++ that a C++ plugin has brought into the process, if one has. */
static void
symbol_find_demangler(struct symbol_resolver *resolver)
{
	void *library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);

	if (library == NULL)
		return;
	*(void **) &resolver->demangle = dlsym(library, "__cxa_demangle");
	/* The handle stays open: the function must not go while we hold it. libstdc++ is not unloaded anyway. */
}

int
symbol_resolver_new(int image_fd, uintptr_t start, uintptr_t end, const char *name, struct symbol_resolver **ret)
{
	struct symbol_resolver *resolver CLEANUP(symbol_resolver_free) = calloc(1, sizeof(*resolver));

	if (resolver == NULL)
		return -ENOMEM;
	resolver->dwfl = dwfl_begin(&symbol_callbacks);
	if (resolver->dwfl == NULL)
		return -ENOMEM;
	symbol_find_demangler(resolver);
	if (image_fd >= 0 && end > start) {
		char path[32];
		int fd = fcntl(image_fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return -errno;
		(void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		dwfl_report_begin_add(resolver->dwfl);
		/* On success libdwfl owns the descriptor; an image it cannot read is resolved to its offset alone. */
		if (dwfl_report_elf(resolver->dwfl, name, path, fd, start, false) == NULL)
			(void) close(fd);
		(void) dwfl_report_end(resolver->dwfl, NULL, NULL);
	}
	*ret = STEAL(resolver);
	return 0;
}

/* The mapped file that holds an address. */
static bool
symbol_find_image(uintptr_t address, struct symbol_image *ret)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	struct symbol_image image = {0};
	char line[1024];
	bool found = false;

	if (maps == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), maps) != NULL) {
		unsigned long start, end, offset;
		int at = 0;
		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %n", &start, &end, &offset, &at) < 3 || line[at] != '/')
			continue;
		line[strcspn(line, "\n")] = '\0';
		if (offset == 0) {
			image.start = start;
			(void) snprintf(image.path, sizeof(image.path), "%s", line + at);
		}
		found = address >= start && address < end && strcmp(image.path, line + at) == 0;
	}
	(void) fclose(maps);
	if (found)
		*ret = image;
	return found;
}

static Dwfl_Module *
symbol_module(struct symbol_resolver *resolver, uintptr_t address)
{
	Dwfl_Module *module = dwfl_addrmodule(resolver->dwfl, address);
	struct symbol_image image;

	if (module != NULL || !symbol_find_image(address, &image))
		return module;
	const char *name = strrchr(image.path, '/') + 1;
	dwfl_report_begin_add(resolver->dwfl);
	(void) dwfl_report_elf(resolver->dwfl, name, image.path, -1, image.start, false);
	(void) dwfl_report_end(resolver->dwfl, NULL, NULL);
	return dwfl_addrmodule(resolver->dwfl, address);
}

static const char *
symbol_build_id(struct symbol_resolver *resolver, Dwfl_Module *module)
{
	const unsigned char *bits;
	GElf_Addr address;
	char hex[2 * SYMBOL_BUILD_ID_MOST + 1] = "";

	/* libdwfl reads the note with the file, which it opens at the first question. */
	GElf_Addr bias;
	(void) dwfl_module_getelf(module, &bias);
	int length = dwfl_module_build_id(module, &bits, &address);
	if (length <= 0 || length > SYMBOL_BUILD_ID_MOST)
		return NULL;
	for (int i = 0; i < length; i++)
		(void) snprintf(hex + 2 * i, 3, "%02x", bits[i]);
	return symbol_keep(resolver, hex);
}

static const char *
symbol_function(struct symbol_resolver *resolver, Dwfl_Module *module, uintptr_t call)
{
	const char *name = dwfl_module_addrname(module, call);
	int status = -1;

	if (name == NULL)
		return NULL;
	if (resolver->demangle == NULL || strncmp(name, "_Z", 2) != 0)
		return symbol_keep(resolver, name);
	char *readable CLEANUP_FREE = resolver->demangle(name, NULL, NULL, &status);
	return symbol_keep(resolver, status == 0 && readable != NULL ? readable : name);
}

void
symbol_resolve(struct symbol_resolver *resolver, uintptr_t site, struct symbol *ret)
{
	uintptr_t call = site != 0 ? site - 1 : 0;
	struct symbol symbol = {.module = "?", .offset = call};
	Dwfl_Module *module = call != 0 ? symbol_module(resolver, call) : NULL;

	if (module == NULL) {
		*ret = symbol;
		return;
	}
	GElf_Addr start;
	const char *name = dwfl_module_info(module, NULL, &start, NULL, NULL, NULL, NULL, NULL);
	if (name != NULL && (name = symbol_keep(resolver, name)) != NULL)
		symbol.module = name;
	symbol.offset = call - start;
	symbol.build_id = symbol_build_id(resolver, module);
	symbol.function = symbol_function(resolver, module, call);
	Dwfl_Line *line = dwfl_module_getsrc(module, call);
	if (line != NULL) {
		const char *file = dwfl_lineinfo(line, NULL, &symbol.line, NULL, NULL, NULL);
		symbol.file = file != NULL ? symbol_keep(resolver, file) : NULL;
	}
	*ret = symbol;
}

void
symbol_resolver_free(struct symbol_resolver **resolver)
{
	struct symbol_resolver *dead = *resolver;

	if (dead == NULL)
		return;
	*resolver = NULL;
	if (dead->dwfl != NULL)
		dwfl_end(dead->dwfl);
	for (struct symbol_string *string = dead->strings, *next; string != NULL; string = next) {
		next = string->next;
		free(string);
	}
	free(dead);
}
