/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>

/* A blocking pipe that polls writable takes this much without blocking (pipe(7), PIPE_BUF). */
enum { OUTLET_CHUNK = 4096 };

int
outlet_check(int fd, struct error *error)
{
	struct statfs system;
	struct stat status;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, &status) < 0)
		return error_set(error, -EINVAL, "the descriptor that was passed cannot be used: %s", strerror(errno));
	if ((flags & O_ACCMODE) == O_RDONLY || (flags & O_PATH))
		return error_set(error, -EINVAL, "the descriptor that was passed is not open for writing");
	if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode) && !S_ISSOCK(status.st_mode))
		return error_set(error, -EINVAL, "the output must be a regular file, a pipe or a socket");
	if (S_ISREG(status.st_mode) && fstatfs(fd, &system) == 0 && system.f_type == FUSE_SUPER_MAGIC)
		return error_set(error, -EINVAL,
				 "the output lies on a FUSE mount; leave the file name out and redirect the "
				 "output of mtlsctl instead");
	return 0;
}

int
outlet_write(int fd, const void *data, size_t length, uint64_t patience, struct error *error)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	const char *p = data;

	while (length > 0) {
		size_t chunk = length < OUTLET_CHUNK ? length : OUTLET_CHUNK;
		ssize_t n;
		int r = poll(&ready, 1, (int) (patience / 1000));

		if (r < 0 && errno == EINTR)
			continue;
		if (r == 0)
			return error_set(error, -ETIMEDOUT, "whoever reads the output stood still");
		n = send(fd, p, chunk, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == ENOTSOCK)
			n = write(fd, p, chunk);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return error_set(error, -EIO, "writing the output: %s", strerror(errno));
		p += n;
		length -= (size_t) n;
	}
	return 0;
}
