/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* replay.c - the main of a fuzz target outside the fuzzer: runs every file and every folder's files through it.
 *
 * Built with -DMTLSD_FUZZER it is empty: libFuzzer brings its own main.
 */
#ifndef MTLSD_FUZZER
#include "cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The exact length on the heap, so that a sanitizer or valgrind sees a read past the end. */
static int
replay_file(const char *path)
{
	FILE *file = fopen(path, "re");
	if (!file)
		return -errno;
	struct stat st;
	int r = fstat(fileno(file), &st) < 0 ? -errno : 0;
	size_t size = r == 0 ? (size_t) st.st_size : 0;
	uint8_t *data = malloc(size > 0 ? size : 1);
	if (r == 0 && (!data || fread(data, 1, size, file) != size))
		r = -EIO;
	(void) fclose(file);
	if (r == 0) {
		/* The name first: it is the last line when the target dies. */
		fprintf(stderr, "replaying %s (%zu bytes)\n", path, size);
		(void) LLVMFuzzerTestOneInput(data, size);
	}
	free(data);
	return r;
}

static int
replay_path(const char *path, size_t *count)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode)) {
		(*count)++;
		return replay_file(path);
	}
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort);
	if (n < 0)
		return -errno;
	int r = 0;
	for (int i = 0; i < n; i++) {
		char name[4096];
		if (r == 0 && entries[i]->d_name[0] != '.') {
			(void) snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
			r = replay_path(name, count);
		}
		free(entries[i]);
	}
	free(entries);
	return r;
}

int
main(int argc, char **argv)
{
	size_t count = 0;
	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE-OR-FOLDER...\n", argv[0]);
		return 2;
	}
	for (int i = 1; i < argc; i++) {
		int r = replay_path(argv[i], &count);
		if (r < 0) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-r));
			return 1;
		}
	}
	printf("%zu seeds replayed\n", count);
	return 0;
}
#endif
