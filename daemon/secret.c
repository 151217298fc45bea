/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char credential[] = "credential:";

bool
secret_is_token(const char *name)
{
	return strncmp(name, "pkcs11:", strlen("pkcs11:")) == 0 || strncmp(name, "tpmkey:", strlen("tpmkey:")) == 0 ||
	       strncmp(name, "system:", strlen("system:")) == 0;
}

const char *
secret_shown(const char *name, char buffer[static SECRET_SHOWN])
{
	size_t length = secret_is_token(name) ? strcspn(name, "?") : strlen(name);
	(void) snprintf(buffer, SECRET_SHOWN, "%.*s", (int) length, name);
	return buffer;
}

const char *
secret_advice(const void *text, size_t size, const char *tool, char buffer[static SECRET_ADVICE])
{
	static const char encrypted[] = "ENCRYPTED"; /* in the first line, or in the header below it */
	enum { SEQUENCE = 0x30 };
	if (size && *(const unsigned char *) text == SEQUENCE)
		(void) snprintf(buffer, SECRET_ADVICE, "it is DER; convert it with openssl %s -inform DER", tool);
	else if (memmem(text, size, encrypted, strlen(encrypted)))
		(void) snprintf(buffer, SECRET_ADVICE,
				"it is encrypted, and nobody is asked for its passphrase; decrypt it with openssl %s",
				tool);
	else
		return NULL;
	return buffer;
}

int
secret_path(const char *name, char **ret, struct error *error)
{
	char *path = NULL;

	if (strncmp(name, credential, strlen(credential)) != 0) {
		path = strdup(name);
		if (!path)
			return error_set(error, -ENOMEM, "out of memory");
		*ret = path;
		return 0;
	}
	const char *directory = getenv("CREDENTIALS_DIRECTORY"), *word = name + strlen(credential);
	if (!directory || !*directory)
		return error_set(error, -ENOENT,
				 "%s: the environment has no CREDENTIALS_DIRECTORY; give the unit a "
				 "LoadCredential=%s:FILE",
				 name, word);
	if (!*word || strchr(word, '/') || strcmp(word, ".") == 0 || strcmp(word, "..") == 0)
		return error_set(error, -EINVAL, "%s: write credential:NAME, the name as LoadCredential= has it", name);
	if (asprintf(&path, "%s/%s", directory, word) < 0)
		return error_set(error, -ENOMEM, "out of memory");
	*ret = path;
	return 0;
}

/* Pages of its own: nothing else is freed or dumped with them, and growing leaves no copy behind. */
static int
secret_grow(struct secret *secret, size_t room)
{
	void *p = secret->room ? mremap(secret->data, secret->room, room, MREMAP_MAYMOVE)
			       : mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	secret->data = p;
	secret->room = room;
	(void) madvise(p, room, MADV_DONTDUMP);
	return 0;
}

int
secret_new(size_t size, struct secret *ret)
{
	struct secret secret = {0};
	int r = secret_grow(&secret, size ? size : 1);
	if (r < 0)
		return r;
	secret.size = size;
	*ret = secret;
	return 0;
}

void
secret_clear(struct secret *secret)
{
	if (secret->room) {
		explicit_bzero(secret->data, secret->size);
		(void) munmap(secret->data, secret->room);
	}
	*secret = (struct secret){0};
}

static int
secret_fill(int fd, struct secret *secret)
{
	enum { FIRST = 64 * 1024, LIMIT = 256 << 20 };
	int r = secret_grow(secret, FIRST);
	while (r == 0) {
		if (secret->size == secret->room)
			r = secret->room < LIMIT ? secret_grow(secret, secret->room * 2) : -EFBIG;
		if (r < 0)
			break;
		ssize_t n = read(fd, secret->data + secret->size, secret->room - secret->size);
		if (n == 0)
			return secret->size ? 0 : -ENODATA;
		if (n < 0 && errno != EINTR)
			return -errno;
		secret->size += n > 0 ? (size_t) n : 0;
	}
	return r;
}

/* systemd lets a service read its credentials by an access list, which shows as a bit of the group: not a leak. */
static int
secret_judge(int fd, const char *name, const char *what, struct error *error)
{
	struct stat status;
	if (fstat(fd, &status) < 0)
		return error_set(error, -errno, "%s %s: %s", what, name, strerror(errno));
	if (strncmp(name, credential, strlen(credential)) == 0 || !(status.st_mode & (S_IRWXG | S_IRWXO)))
		return 0;
	return error_set(error, -EACCES, "%s %s: others may read it (mode %04o); chmod 600 it", what, name,
			 status.st_mode & 07777);
}

int
secret_read(const char *name, const char *what, bool private, struct secret *ret, struct error *error)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_CLOSE int fd = -1;
	struct secret secret = {0};
	int r = secret_path(name, &path, error);
	if (r < 0)
		return error_prefix(error, "%s", what);
	/* Nobody's FIFO may stop us. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return error_set(error, -errno, "%s %s: %s", what, name, strerror(errno));
	r = private ? secret_judge(fd, name, what, error) : 0;
	if (r < 0)
		return r;
	r = secret_fill(fd, &secret);
	if (r < 0) {
		secret_clear(&secret);
		return error_set(error, r, "%s %s: %s", what, name, r == -ENODATA ? "is empty" : strerror(-r));
	}
	*ret = secret;
	return 0;
}
