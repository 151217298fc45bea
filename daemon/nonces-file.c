/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nonces-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char magic[8] = "mtlsdn1";

static int
lock(int fd)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
		return 0;
	return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
}

static int
put(int fd, const void *data, size_t length, off_t at)
{
	const char *next = data;

	while (length > 0) {
		ssize_t n = pwrite(fd, next, length, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		next += n;
		at += n;
		length -= (size_t) n;
	}
	return 0;
}

static int
get(int fd, void *data, size_t length, off_t at)
{
	char *next = data;

	while (length > 0) {
		ssize_t n = pread(fd, next, length, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		next += n;
		at += n;
		length -= (size_t) n;
	}
	return 0;
}

static size_t
slots_size(const struct nonces_header *header)
{
	return (size_t) header->buckets * NONCES_WAYS * sizeof(struct nonces_slot);
}

int
nonces_file_open(const char *path, int *ret, struct error *error)
{
	CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(error, -errno, "cannot open %s: %m; may the daemon's user write there?", path);
	if (!S_ISREG(st.st_mode))
		return error_set(error, -EINVAL, "%s is no regular file; move it away", path);
	int r = lock(fd);
	/* Whoever had it has put another in its place meanwhile. */
	if (r == 0 && (fstat(fd, &st) < 0 || st.st_nlink == 0))
		r = -EBUSY;
	if (r < 0)
		return error_set(error, r,
				 r == -EBUSY ? "%s is used by another process; end that daemon, or give "
					       "this one a daemon.nonce_directory of its own"
					     : "cannot lock %s",
				 path);
	*ret = steal_fd(&fd);
	return 0;
}

int
nonces_file_read(int fd, struct nonces_header *ret, struct nonces_slot **ret_slots, int64_t *ret_written)
{
	struct nonces_header header;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size == 0)
		return -ENODATA;
	int r = get(fd, &header, sizeof(header), 0);
	if (r < 0)
		return r;
	if (memcmp(header.magic, magic, sizeof(magic)) != 0 || header.buckets == 0 ||
	    header.buckets > NONCES_BUCKETS_MAX || (header.buckets & (header.buckets - 1)) != 0 ||
	    st.st_size != (off_t) (sizeof(header) + slots_size(&header)))
		return -EBADMSG;
	CLEANUP_FREE struct nonces_slot *slots = malloc(slots_size(&header));
	if (slots == NULL)
		return -ENOMEM;
	r = get(fd, slots, slots_size(&header), sizeof(header));
	if (r < 0)
		return r;
	*ret = header;
	*ret_slots = STEAL(slots);
	*ret_written = st.st_mtim.tv_sec;
	return 0;
}

/* What a folder says of its files has to get to the disk by itself. */
static int
sync_folder(const char *path)
{
	CLEANUP_FREE char *folder = strndup(path, (size_t) (strrchr(path, '/') - path));
	CLEANUP_CLOSE int fd = folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (folder == NULL)
		return -ENOMEM;
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int
nonces_file_replace(const char *path, const struct nonces_header *header, const struct nonces_slot *slots, int *fd)
{
	CLEANUP_FREE char *draft = NULL;
	CLEANUP_CLOSE int fresh = -1;
	struct nonces_header written = *header;

	if (asprintf(&draft, "%s.draft", path) < 0) {
		draft = NULL;
		return -ENOMEM;
	}
	memcpy(written.magic, magic, sizeof(magic));
	(void) unlink(draft); /* of a daemon that died here */
	fresh = open(draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fresh < 0)
		return -errno;
	int r = lock(fresh);
	if (r == 0)
		r = put(fresh, &written, sizeof(written), 0);
	if (r == 0)
		r = put(fresh, slots, slots_size(header), sizeof(written));
	if (r == 0 && fdatasync(fresh) < 0)
		r = -errno;
	if (r == 0 && rename(draft, path) < 0)
		r = -errno;
	if (r < 0) {
		(void) unlink(draft);
		return r;
	}
	if (*fd >= 0)
		(void) close(*fd);
	*fd = steal_fd(&fresh);
	return sync_folder(path);
}

int
nonces_file_put(int fd, size_t index, const struct nonces_slot *slot)
{
	return put(fd, slot, sizeof(*slot), (off_t) (sizeof(struct nonces_header) + index * sizeof(*slot)));
}

int
nonces_file_seal(int fd, const struct nonces_header *header)
{
	struct nonces_header written = *header;

	memcpy(written.magic, magic, sizeof(magic));
	if (fdatasync(fd) < 0)
		return -errno;
	int r = put(fd, &written, sizeof(written), 0);
	return r == 0 && fdatasync(fd) < 0 ? -errno : r;
}
