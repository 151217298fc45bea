/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct file {
	char name[256];
	uint64_t bytes;
	struct timespec written;
};

struct listing {
	struct file *files;
	size_t count;
};

static const char suffix[] = ".json";
enum { SECOND_MAX = 1000 }; /* dumps of one instance in one second */

/* "...-7-20300101T120000Z.json" or "...-7-20300101T120000Z-2.json" */
static bool
is_ours(const char *name)
{
	const char *stamp = strrchr(name, 'T');
	char digits[16] = ""; /* ends them for strspn */

	if (stamp == NULL || stamp - name < 11 || stamp[-9] != '-' || name[0] == '.')
		return false;
	memcpy(digits, stamp - 8, 8);
	memcpy(digits + 8, stamp + 1, strnlen(stamp + 1, 6));
	if (strnlen(stamp + 1, 6) < 6 || strspn(digits, "0123456789") < 14 || stamp[7] != 'Z')
		return false;
	const char *rest = stamp + 8;
	if (*rest == '-')
		rest += 1 + strspn(rest + 1, "0123456789");
	return strcmp(rest, suffix) == 0;
}

static void
listing_clear(struct listing *listing)
{
	free(listing->files);
}

static int
list(int folder, struct listing *ret)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	int r = 0;

	if (dir == NULL) {
		r = -errno;
		if (fd >= 0)
			(void) close(fd);
		return r;
	}
	for (const struct dirent *entry; r == 0 && (entry = readdir(dir)) != NULL;) {
		struct stat st;
		if (!is_ours(entry->d_name) || fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		struct file *grown = reallocarray(ret->files, ret->count + 1, sizeof(*grown));
		if (grown == NULL) {
			r = -ENOMEM;
			break;
		}
		ret->files = grown;
		struct file *file = &grown[ret->count++];
		snprintf(file->name, sizeof(file->name), "%s", entry->d_name);
		file->bytes = (uint64_t) st.st_size;
		file->written = st.st_mtim;
	}
	(void) closedir(dir);
	return r;
}

static int
compare_age(const void *a, const void *b)
{
	const struct file *left = a, *right = b;

	if (left->written.tv_sec != right->written.tv_sec)
		return left->written.tv_sec < right->written.tv_sec ? -1 : 1;
	if (left->written.tv_nsec != right->written.tv_nsec)
		return left->written.tv_nsec < right->written.tv_nsec ? -1 : 1;
	return strcmp(left->name, right->name);
}

/* Removes the oldest until one more file of so many bytes fits. */
static int
make_room(int folder, const struct archive_bounds *bounds, uint64_t length)
{
	CLEANUP(listing_clear) struct listing listing = {0};
	uint64_t bytes = length;

	int r = list(folder, &listing);
	if (r < 0)
		return r;
	for (size_t i = 0; i < listing.count; i++)
		bytes += listing.files[i].bytes;
	if (listing.count > 1)
		qsort(listing.files, listing.count, sizeof(*listing.files), compare_age);
	for (size_t i = 0; i < listing.count; i++) {
		if (listing.count - i + 1 <= (size_t) bounds->count && bytes <= bounds->bytes)
			break;
		if (unlinkat(folder, listing.files[i].name, 0) < 0 && errno != ENOENT)
			return -errno;
		bytes -= listing.files[i].bytes;
	}
	return 0;
}

static int
write_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, data, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		length -= (size_t) n;
	}
	return 0;
}

/* Under a name that does not count as one of ours, then linked to one that is free. */
static int
write_file(int folder, const char *stem, const void *data, size_t length, char *ret_name, size_t size)
{
	char draft[] = ".draft", name[256];
	CLEANUP_CLOSE int fd = -1;

	(void) unlinkat(folder, draft, 0); /* of a daemon that died here */
	fd = openat(folder, draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r = fd < 0 ? -errno : write_all(fd, data, length);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	for (unsigned i = 1; r == 0; i++) {
		int n = i == 1 ? snprintf(name, sizeof(name), "%s%s", stem, suffix)
			       : snprintf(name, sizeof(name), "%s-%u%s", stem, i, suffix);
		if (n >= (int) sizeof(name) || i > SECOND_MAX)
			r = -ENAMETOOLONG;
		else if (linkat(folder, draft, folder, name, 0) == 0)
			break;
		else if (errno != EEXIST)
			r = -errno;
	}
	if (fd >= 0)
		(void) unlinkat(folder, draft, 0);
	if (r == 0 && ret_name != NULL)
		snprintf(ret_name, size, "%s", name);
	return r;
}

int
archive_write(const char *folder, const struct archive_bounds *bounds, const char *plugin, uint64_t instance,
	      uint64_t time, const void *data, size_t length, char *ret_name, size_t size, struct error *error)
{
	time_t seconds = (time_t) time;
	char stem[200], stamp[32];
	struct tm tm;

	if (length > bounds->bytes)
		return error_set(error, -EFBIG, "a dump of %zu bytes is more than all of %s may hold", length, folder);
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return error_set(error, -errno, "cannot make %s: %m", folder);
	CLEANUP_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set(error, -errno, "cannot open %s: %m", folder);
	gmtime_r(&seconds, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(stem, sizeof(stem), "%s-%" PRIu64 "-%s", plugin, instance, stamp);
	int r = make_room(fd, bounds, length);
	if (r == 0)
		r = write_file(fd, stem, data, length, ret_name, size);
	return r < 0 ? error_set(error, r, "cannot write a dump into %s: %s", folder, strerror(-r)) : 0;
}
