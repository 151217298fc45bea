/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* scope-fixture.h - what the tests of the interposed layer share: a space with a real shared object in it. */
#include "cleanup.h"
#include "scope.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct image {
	void *handle;
	int fd;
	uintptr_t start, end;
};

struct fixture {
	struct heap *foreign;
	struct scope_space *space;
	struct image c;
};

static inline struct heap_usage
usage_of(const struct heap *heap)
{
	struct heap_usage usage;

	heap_usage(heap, &usage);
	return usage;
}

static inline int
find_range(struct dl_phdr_info *info, size_t size UNUSED, void *ctx)
{
	struct image *image = ctx;
	struct link_map *map = NULL;

	if (dlinfo(image->handle, RTLD_DI_LINKMAP, &map) != 0 || map->l_addr != info->dlpi_addr)
		return 0;
	image->start = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD) {
			uintptr_t end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
			image->end = end > image->end ? end : image->end;
		}
	return 1;
}

/* Loads a shared object that lies beside this program, inside the space if there is one. */
static inline void
load(const char *file, struct scope_space *space, struct image *ret)
{
	char path[PATH_MAX];
	struct scope_frame frame;
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	assert_true(length > 0);
	path[length] = '\0';
	char *slash = strrchr(path, '/');
	(void) snprintf(slash + 1, sizeof(path) - (size_t) (slash + 1 - path), "%s", file);
	*ret = (struct image){.fd = open(path, O_RDONLY | O_CLOEXEC)};
	assert_true(ret->fd >= 0);
	if (space != NULL)
		scope_enter(&frame, space, NULL);
	ret->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (space != NULL)
		scope_leave(&frame);
	assert_non_null(ret->handle);
	assert_int_equal(dl_iterate_phdr(find_range, ret), 1);
	if (space != NULL)
		scope_space_set_image(space, ret->start, ret->end);
}

static inline void
unload(struct scope_space *space, struct image *image)
{
	struct scope_frame frame;

	scope_enter(&frame, space, NULL);
	assert_int_equal(dlclose(image->handle), 0);
	scope_leave(&frame);
	(void) close(image->fd);
}

static inline void *
symbol_of(const struct image *image, const char *name)
{
	void *found = dlsym(image->handle, name);

	assert_non_null(found);
	return found;
}

/* One for all tests, and never freed: libraries, the dynamic linker first of all, keep what they made in it. */
static struct heap *foreign_of_all;

static inline int
setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	if (foreign_of_all == NULL)
		assert_int_equal(heap_new("image/foreign", NULL, false, &foreign_of_all), 0);
	fixture->foreign = foreign_of_all;
	assert_int_equal(scope_space_new("image", 1, fixture->foreign, NULL, &fixture->space), 0);
	load("scope-image.so", fixture->space, &fixture->c);
	*state = fixture;
	return 0;
}

static inline int
teardown(void **state)
{
	struct fixture *fixture = *state;

	unload(fixture->space, &fixture->c);
	scope_space_free(&fixture->space);
	free(fixture);
	return 0;
}
