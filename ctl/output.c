/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
	OUTPUT_MODE = 0666,
	OUTPUT_TRIES = 100,
};

struct output {
	int fd;
	bool unnamed;
	char path[PATH_MAX]; /* behind all symbolic links */
};

/* Where it will lie: what is there is replaced, not the links that lead to it. 1: something is there; 0: nothing. */
static int
output_find(const char *path, struct output *output, struct stat *ret_status)
{
	if (realpath(path, output->path) != NULL)
		return stat(output->path, ret_status) < 0 ? -errno : 1;
	if (errno != ENOENT)
		return -errno;
	if (strlen(path) >= sizeof(output->path))
		return -ENAMETOOLONG;
	memcpy(output->path, path, strlen(path) + 1);
	/* A link that leads nowhere is followed as ever. */
	return lstat(path, ret_status) == 0;
}

/* A file without a name beside it, its owner and mode those of what it will replace. -1: it is written as it is. */
static int
output_draft(const struct output *output, const struct stat *old)
{
	char folder[PATH_MAX] = ".";
	const char *slash = strrchr(output->path, '/');

	/* Whoever may not write to a file may not replace it either. */
	if (old != NULL && (!S_ISREG(old->st_mode) || access(output->path, W_OK) < 0))
		return -1;
	if (slash != NULL)
		snprintf(folder, sizeof(folder), "%.*s", (int) (slash - output->path) + 1, output->path);
	CLEANUP_CLOSE int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, OUTPUT_MODE);
	if (fd >= 0 && old != NULL && (fchown(fd, old->st_uid, old->st_gid) < 0 || fchmod(fd, old->st_mode & 0777) < 0))
		return -1;
	int draft = fd;
	fd = -1;
	return draft;
}

int
output_open(const char *path, struct output **ret, struct error *error)
{
	CLEANUP(output_free) struct output *output = calloc(1, sizeof(*output));
	struct stat status = {0};

	if (!output)
		return error_set(error, -ENOMEM, "out of memory");
	output->fd = -1;
	int r = output_find(path, output, &status);
	if (r < 0)
		return error_set(error, r, "%s: %s", path, strerror(-r));
	output->fd = output_draft(output, r > 0 ? &status : NULL);
	output->unnamed = output->fd >= 0;
	if (!output->unnamed)
		output->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, OUTPUT_MODE);
	if (output->fd < 0)
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	*ret = STEAL(output);
	return 0;
}

int
output_descriptor(const struct output *output)
{
	return output->fd;
}

int
output_keep(struct output *output, struct error *error)
{
	char self[64], draft[PATH_MAX + 16];
	int r = 0;

	if (!output->unnamed)
		return 0;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", output->fd);
	if (linkat(AT_FDCWD, self, AT_FDCWD, output->path, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	r = -errno;
	for (unsigned i = 0; r == -EEXIST && i < OUTPUT_TRIES; i++) {
		snprintf(draft, sizeof(draft), "%s.%u", output->path, i);
		r = linkat(AT_FDCWD, self, AT_FDCWD, draft, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
	}
	if (r == 0 && rename(draft, output->path) < 0) {
		r = -errno;
		(void) unlink(draft);
	}
	return r < 0 ? error_set(error, r, "%s: %s", output->path, strerror(-r)) : 0;
}

void
output_free(struct output **output)
{
	if (*output && (*output)->fd >= 0)
		(void) close((*output)->fd);
	free(*output);
	*output = NULL;
}
