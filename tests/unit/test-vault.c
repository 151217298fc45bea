/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is allocated inside the vault is left out of core dumps, by the kernel's own account; nothing else is. */
#include "vault.h"

#include "cleanup.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* True if the mapping that holds p has the flag "dd". */
static bool
is_hidden(const void *p)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	char line[512];
	bool here = false, hidden = false;
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		uintptr_t start, end;
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = (uintptr_t) p >= start && (uintptr_t) p < end;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			hidden = strstr(line, " dd") != NULL;
	}
	(void) fclose(maps);
	return hidden;
}

static void
test_what_lies_in_it_is_hidden(void **state)
{
	/* Of every kind: small, with pages of its own, grown, aligned, and the one that takes new pages into use. */
	enum { MANY = 3000 };
	static char *blocks[MANY];
	struct scope_frame frame;
	(void) state;
	char *before = malloc(100), *grown = malloc(10);
	vault_enter(&frame);
	char *small = malloc(32), *large = calloc(1, 1 << 20), *aligned = aligned_alloc(64, 128);
	grown = realloc(grown, 100000);
	char *born = realloc(NULL, 64);
	born = realloc(born, 100000);
	for (size_t i = 0; i < MANY; i++)
		blocks[i] = malloc(1000);
	vault_leave(&frame);
	char *after = malloc(100);
	assert_true(small && large && aligned && grown && born && before && after && blocks[MANY - 1]);
	memset(blocks[MANY - 1], 1, 1000);
	assert_true(is_hidden(small));
	assert_true(is_hidden(large) && is_hidden(large + (1 << 20) - 1));
	assert_true(is_hidden(aligned));
	assert_true(is_hidden(born));
	assert_true(is_hidden(blocks[MANY - 1]));
	assert_false(is_hidden(grown)); /* it stays where it was born */
	assert_false(is_hidden(before));
	assert_false(is_hidden(after));
	for (size_t i = 0; i < MANY; i++)
		free(blocks[i]);
	free(small);
	free(large);
	free(aligned);
	free(born);
	free(grown);
	free(before);
	free(after);
}

static void *
enter_and_allocate(void *arg)
{
	struct scope_frame frame;
	(void) arg;
	vault_enter(&frame);
	void *block = malloc(50);
	vault_leave(&frame);
	return block;
}

/* All threads have one, what one makes another may free, and pages that are given back and taken again stay hidden. */
static void
test_threads(void **state)
{
	pthread_t threads[4];
	(void) state;
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
			assert_int_equal(pthread_create(&threads[i], NULL, enter_and_allocate, NULL), 0);
		for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
			void *block = NULL;
			assert_int_equal(pthread_join(threads[i], &block), 0);
			assert_non_null(block);
			assert_true(is_hidden(block));
			free(block);
		}
		(void) heap_decay((uint32_t) round * 100, 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_lies_in_it_is_hidden),
		cmocka_unit_test(test_threads),
	};
	if (!scope_active())
		return 77; /* skipped: sanitizers bring their own malloc */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
