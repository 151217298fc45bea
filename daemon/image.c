/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image.h"

#include "digest.h"
#include "scope.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <libelf.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { IMAGE_MAX = 256 << 20 };

struct image {
	atomic_uint refs;
	int fd;
	size_t size;
	char *path;
	char sha256[DIGEST_HEX];
};

/* dlopen and dlclose are serial inside the dynamic linker anyway; the lock makes the proof after dlclose exact. */
static pthread_mutex_t loader = PTHREAD_MUTEX_INITIALIZER;

/* The proof. Opened before anything is loaded, and kept: an instance must not stay for want of a descriptor. */
static pthread_mutex_t maps_lock = PTHREAD_MUTEX_INITIALIZER;
static int maps = -1;

/* Calls that change or end the whole process, or reach into its other parts. */
static const char *const forbidden[] = {
	"exit",       "_exit",       "_Exit",     "quick_exit", "fork",     "vfork",    "daemon",      "setuid",
	"seteuid",    "setreuid",    "setresuid", "setgid",     "setegid",  "setregid", "setresgid",   "setgroups",
	"initgroups", "chdir",       "fchdir",    "chroot",     "umask",    "signal",   "sigaction",   "sigprocmask",
	"setlocale",  "setenv",      "putenv",    "unsetenv",   "clearenv", "mallopt",  "close_range", "closefrom",
	"prctl",      "personality", "setrlimit", "unshare",    "setns",
};

static int
image_check_file(const char *path, const struct stat *st, struct error *error)
{
	if (!S_ISREG(st->st_mode))
		return error_set(error, -ENOEXEC, "%s is not a regular file", path);
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return error_set(
			error, -EPERM,
			"%s is owned by uid %u; a plugin must be owned by root or by the daemon's user (chown root)",
			path, st->st_uid);
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return error_set(error, -EPERM, "%s is writable by others (mode %04o); run: chmod go-w %s", path,
				 st->st_mode & 07777, path);
	if (st->st_size == 0 || st->st_size > IMAGE_MAX)
		return error_set(error, -EFBIG, "%s has %" PRId64 " bytes; a plugin has between 1 byte and 256 MiB",
				 path, (int64_t) st->st_size);
	return 0;
}

/* A sealed memory file with the first size bytes of `from`; its digest too, if wanted. */
static int
copy_sealed(const char *path, int from, size_t size, char *ret_sha256, int *ret_fd, struct error *error)
{
	char name[64];
	const char *base = strrchr(path, '/');
	snprintf(name, sizeof(name), "mtlsd:%s", base != NULL ? base + 1 : path);
	CLEANUP_CLOSE int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t) size) < 0)
		return error_set(error, -errno, "no memory file for %s: %m", path);
	char *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (copy == MAP_FAILED)
		return error_set(error, -errno, "no memory file for %s: %m", path);
	int r = 0;
	for (size_t at = 0; r == 0 && at < size;) {
		ssize_t n = pread(from, copy + at, size - at, (off_t) at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			r = error_set(error, n < 0 ? -errno : -EIO, "cannot read %s: %s", path,
				      n < 0 ? strerror(errno) : "it shrank while it was read");
		else
			at += (size_t) n;
	}
	if (r == 0 && ret_sha256 != NULL && digest_sha256(copy, size, ret_sha256) < 0)
		r = error_set(error, -EIO, "cannot compute the SHA-256 of %s", path);
	(void) munmap(copy, size);
	if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		r = error_set(error, -errno, "cannot seal the image of %s: %m", path);
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

int
image_read(const char *path, struct image **ret, struct error *error)
{
	CLEANUP(image_unref) struct image *image = calloc(1, sizeof(*image));
	if (image == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	atomic_init(&image->refs, 1);
	image->fd = -1;
	image->path = strdup(path);
	if (image->path == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	CLEANUP_CLOSE int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (from < 0)
		return error_set(error, -errno, "cannot open %s: %m", path);
	struct stat st;
	if (fstat(from, &st) < 0)
		return error_set(error, -errno, "cannot look at %s: %m", path);
	int r = image_check_file(path, &st, error);
	if (r == 0)
		r = copy_sealed(image->path, from, (size_t) st.st_size, image->sha256, &image->fd, error);
	if (r < 0)
		return r;
	image->size = (size_t) st.st_size;
	*ret = STEAL(image);
	return 0;
}

struct image *
image_ref(struct image *image)
{
	atomic_fetch_add(&image->refs, 1);
	return image;
}

void
image_unref(struct image **imagep)
{
	struct image *image = *imagep;
	if (image == NULL)
		return;
	*imagep = NULL;
	if (atomic_fetch_sub(&image->refs, 1) > 1)
		return;
	if (image->fd >= 0)
		(void) close(image->fd);
	free(image->path);
	free(image);
}

const char *
image_path(const struct image *image)
{
	return image->path;
}

const char *
image_sha256(const struct image *image)
{
	return image->sha256;
}

int
image_fd(const struct image *image)
{
	return image->fd;
}

static bool
is_allowed(const char *name, char *const *allowed, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(allowed[i], name) == 0)
			return true;
	}
	return false;
}

/* What the dynamic symbol table says. */
struct inspection {
	const char *symbol;
	char *const *allowed;
	size_t allowed_count;
	bool found, unique;
	const char *bad_import;
};

static void
inspect_symbols(Elf *elf, Elf_Scn *section, const GElf_Shdr *header, struct inspection *inspection)
{
	Elf_Data *data = elf_getdata(section, NULL);
	if (data == NULL || header->sh_entsize == 0)
		return;
	for (size_t i = 0; i < header->sh_size / header->sh_entsize; i++) {
		GElf_Sym symbol;
		if (gelf_getsym(data, (int) i, &symbol) == NULL)
			break;
		const char *name = elf_strptr(elf, header->sh_link, symbol.st_name);
		if (name == NULL)
			continue;
		if (GELF_ST_BIND(symbol.st_info) == STB_GNU_UNIQUE)
			inspection->unique = true;
		if (symbol.st_shndx != SHN_UNDEF) {
			inspection->found |= strcmp(name, inspection->symbol) == 0;
			continue;
		}
		for (size_t k = 0; k < ARRAY_LENGTH(forbidden); k++) {
			if (strcmp(name, forbidden[k]) == 0 && inspection->bad_import == NULL &&
			    !is_allowed(name, inspection->allowed, inspection->allowed_count))
				inspection->bad_import = forbidden[k];
		}
	}
}

static bool
inspect_nodelete(Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	for (size_t i = 0; data != NULL && header->sh_entsize != 0 && i < header->sh_size / header->sh_entsize; i++) {
		GElf_Dyn dyn;
		if (gelf_getdyn(data, (int) i, &dyn) == NULL)
			break;
		if (dyn.d_tag == DT_FLAGS_1 && (dyn.d_un.d_val & DF_1_NODELETE) != 0)
			return true;
	}
	return false;
}

static int
inspect_elf(Elf *elf, const char *path, struct inspection *inspection, struct error *error)
{
	GElf_Ehdr ehdr;
#if defined(__x86_64__)
	const unsigned machine = EM_X86_64;
#elif defined(__aarch64__)
	const unsigned machine = EM_AARCH64;
#else
	const unsigned machine = EM_NONE;
#endif
	if (elf_kind(elf) != ELF_K_ELF || gelf_getehdr(elf, &ehdr) == NULL)
		return error_set(error, -ENOEXEC, "%s is not an ELF file", path);
	if (ehdr.e_type != ET_DYN)
		return error_set(error, -ENOEXEC, "%s is not a shared object (link it with -shared)", path);
	if (machine != EM_NONE && ehdr.e_machine != machine)
		return error_set(error, -ENOEXEC, "%s was built for another machine (ELF machine %u)", path,
				 ehdr.e_machine);
	for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
		GElf_Shdr header;
		if (gelf_getshdr(section, &header) == NULL)
			continue;
		if (header.sh_type == SHT_DYNSYM)
			inspect_symbols(elf, section, &header, inspection);
		if (header.sh_type == SHT_DYNAMIC && inspect_nodelete(section, &header))
			return error_set(error, -ENOEXEC,
					 "%s is linked with -z nodelete: it could never be unloaded; link it without",
					 path);
	}
	if (!inspection->found)
		return error_set(error, -ENOEXEC,
				 "%s exports no symbol %s; describe the plugin with MTLSD_PLUGIN (mtlsd/plugin.h)",
				 path, inspection->symbol);
	if (inspection->bad_import != NULL)
		return error_set(error, -ENOEXEC,
				 "%s imports %s, which acts on the whole process; remove the call, or allow it with "
				 "imports_allowed: [%s]",
				 path, inspection->bad_import, inspection->bad_import);
	return 0;
}

int
image_inspect(const struct image *image, const char *symbol, char *const *allowed, size_t allowed_count,
	      bool *ret_unique, struct error *error)
{
	struct inspection inspection = {.symbol = symbol, .allowed = allowed, .allowed_count = allowed_count};

	if (elf_version(EV_CURRENT) == EV_NONE)
		return error_set(error, -ELIBBAD, "libelf is too old");
	void *bytes = mmap(NULL, image->size, PROT_READ, MAP_PRIVATE, image->fd, 0);
	if (bytes == MAP_FAILED)
		return error_set(error, -errno, "cannot map the image of %s: %m", image->path);
	Elf *elf = elf_memory(bytes, image->size);
	int r = elf != NULL ? inspect_elf(elf, image->path, &inspection, error)
			    : error_set(error, -ENOEXEC, "%s is not an ELF file", image->path);
	if (elf != NULL)
		elf_end(elf);
	(void) munmap(bytes, image->size);
	if (r == 0)
		*ret_unique = inspection.unique;
	return r;
}

/* With maps_lock held. */
static int
maps_open(void)
{
	if (maps < 0)
		maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	return maps < 0 ? -errno : 0;
}

int
image_map(struct image *image, struct scope_space *space, const char *directory, const char *plugin, uint64_t number,
	  const char *symbol, struct image_mapping *ret, const void **ret_symbol, struct error *error)
{
	CLEANUP(image_mapping_clear) struct image_mapping mapping = {.fd = -1};
	char target[64];
	struct stat st;

	mapping.image = image_ref(image);
	pthread_mutex_lock(&maps_lock);
	int r = maps_open();
	pthread_mutex_unlock(&maps_lock);
	if (r < 0)
		return error_set(error, r, "cannot open /proc/self/maps: %s", strerror(-r));
	r = copy_sealed(image->path, image->fd, image->size, NULL, &mapping.fd, error);
	if (r < 0)
		return r;
	if (fstat(mapping.fd, &st) < 0)
		return error_set(error, -errno, "cannot look at the image of %s: %m", image->path);
	mapping.inode = st.st_ino;
	if (asprintf(&mapping.name, "%s/%s.%" PRIu64, directory, plugin, number) < 0) {
		mapping.name = NULL;
		return error_set(error, -ENOMEM, "out of memory");
	}
	snprintf(target, sizeof(target), "/proc/%d/fd/%d", getpid(), mapping.fd);
	(void) unlink(mapping.name);
	if (symlink(target, mapping.name) < 0)
		return error_set(error, -errno, "cannot make %s: %m", mapping.name);

	struct scope_frame frame;
	pthread_mutex_lock(&loader);
	scope_enter(&frame, space, NULL);
	mapping.handle = dlopen(mapping.name, RTLD_NOW | RTLD_LOCAL);
	scope_leave(&frame);
	const char *why = mapping.handle == NULL ? dlerror() : NULL;
	const void *found = mapping.handle != NULL ? dlsym(mapping.handle, symbol) : NULL;
	if (mapping.handle == NULL) {
		r = error_set(error, -ELIBACC, "cannot load %s: %s", image->path, why);
	} else if (found == NULL) {
		r = error_set(error, -ENOEXEC, "%s exports no symbol %s", image->path, symbol);
	} else {
		struct dl_find_object object;
		if (_dl_find_object((void *) found, &object) == 0) {
			mapping.start = (uintptr_t) object.dlfo_map_start;
			mapping.end = (uintptr_t) object.dlfo_map_end;
		} else {
			r = error_set(error, -ELIBBAD, "the dynamic linker does not know where %s lies", image->path);
		}
	}
	pthread_mutex_unlock(&loader);
	if (r < 0) {
		if (mapping.handle != NULL)
			(void) image_unmap(&mapping, space);
		return r;
	}
	*ret = mapping;
	*ret_symbol = found;
	mapping = (struct image_mapping){.fd = -1};
	return 0;
}

int
image_unmap(struct image_mapping *mapping, struct scope_space *space)
{
	struct scope_frame frame;

	pthread_mutex_lock(&loader);
	scope_enter(&frame, space, NULL);
	if (mapping->handle != NULL)
		dlclose(mapping->handle);
	scope_leave(&frame);
	mapping->handle = NULL;
	pthread_mutex_unlock(&loader);
	return image_gone(mapping) ? 0 : -EBUSY;
}

static bool
line_is_of(const char *line, const struct image_mapping *mapping)
{
	uint64_t start, end, inode;
	unsigned major, minor;

	return sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %x:%x %" SCNu64, &start, &end, &major, &minor, &inode) ==
		       5 &&
	       /* inodes are per file system */
	       inode == mapping->inode && start < mapping->end && end > mapping->start;
}

/* With maps_lock held. Without a stream, which would need memory: an instance must not stay for want of it, either. */
static bool
maps_lack(const struct image_mapping *mapping)
{
	char text[8192];
	size_t used = 0;

	if (maps_open() < 0 || lseek(maps, 0, SEEK_SET) < 0)
		return false; /* what cannot be proved is not so */
	for (;;) {
		ssize_t n = read(maps, text + used, sizeof(text) - 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || used == sizeof(text) - 1) /* a line that does not fit is none the kernel writes */
			return false;
		if (n == 0)
			return true;
		used += (size_t) n;
		text[used] = '\0';
		char *line = text;
		for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
			*end = '\0';
			if (line_is_of(line, mapping))
				return false;
		}
		used -= (size_t) (line - text);
		memmove(text, line, used);
	}
}

bool
image_gone(const struct image_mapping *mapping)
{
	pthread_mutex_lock(&maps_lock);
	bool gone = maps_lack(mapping);
	pthread_mutex_unlock(&maps_lock);
	return gone;
}

void
image_mapping_clear(struct image_mapping *mapping)
{
	if (mapping->name != NULL)
		(void) unlink(mapping->name);
	free(mapping->name);
	if (mapping->fd >= 0)
		(void) close(mapping->fd);
	image_unref(&mapping->image);
	*mapping = (struct image_mapping){.fd = -1};
}
