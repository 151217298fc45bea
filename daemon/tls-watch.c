/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tls-watch.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

enum {
	LINKS_MOST = 40, /* as the kernel */
	PATIENCE = 10,
	MASK = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF |
	       IN_MOVE_SELF | IN_ONLYDIR
};

/* A name in a folder that a way leads through. */
struct step {
	int descriptor;
	char *name;
};

struct tls_watch {
	int fd;
	uint64_t quiet, first; /* first: when the changes that wait to be told began; 0: none wait */
	void (*changed)(void *arg);
	void *arg;
	sd_event *event;
	sd_event_source *io, *timer;
	char **paths;
	size_t path_count;
	struct step *steps;
	size_t step_count;
};

/* --- the ways to files ------------------------------------------------------------------------------------------- */

static bool
has_step(const struct tls_watch *watch, int descriptor, const char *name, size_t length)
{
	for (size_t i = 0; i < watch->step_count; i++)
		if (watch->steps[i].descriptor == descriptor && strncmp(watch->steps[i].name, name, length) == 0 &&
		    !watch->steps[i].name[length])
			return true;
	return false;
}

static int
add_step(struct tls_watch *watch, const char *folder, const char *name, size_t length)
{
	/* The kernel gives a folder that is watched already the same descriptor. */
	int descriptor = inotify_add_watch(watch->fd, *folder ? folder : "/", MASK);
	if (descriptor < 0)
		return -errno;
	if (has_step(watch, descriptor, name, length))
		return 0;
	struct step *steps = reallocarray(watch->steps, watch->step_count + 1, sizeof(*steps));
	if (!steps)
		return -ENOMEM;
	watch->steps = steps;
	steps[watch->step_count] = (struct step){descriptor, strndup(name, length)};
	if (!steps[watch->step_count].name)
		return -ENOMEM;
	watch->step_count++;
	return 0;
}

static void
folder_up(char *folder)
{
	char *slash = strrchr(folder, '/');
	if (slash)
		*slash = '\0';
}

/* Puts the link's target before what is left of the way. */
static int
follow(const char *link, const char *rest, char *folder, char way[PATH_MAX])
{
	char target[PATH_MAX], joined[PATH_MAX];
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	if ((size_t) n + strlen(rest) + 2 > sizeof(joined))
		return -ENAMETOOLONG;
	stpcpy(stpcpy(stpcpy(joined, target), "/"), rest);
	memcpy(way, joined, strlen(joined) + 1);
	if (target[0] == '/')
		*folder = '\0';
	return 0;
}

/* Walks to the file as the kernel would. Where the way breaks off, the name that is missing there is waited for. */
static int
walk(struct tls_watch *watch, const char *path)
{
	char folder[PATH_MAX] = "", way[PATH_MAX], next[PATH_MAX + NAME_MAX + 2];
	if (strlen(path) >= sizeof(way))
		return -ENAMETOOLONG;
	memcpy(way, path, strlen(path) + 1);
	for (unsigned links = 0; links < LINKS_MOST;) {
		const char *name = way + strspn(way, "/");
		size_t length = strcspn(name, "/");
		const char *rest = name + length + strspn(name + length, "/");
		struct stat status;
		if (length == 0)
			return 0;
		if (length > NAME_MAX || strlen(folder) + length + 2 > sizeof(folder))
			return -ENAMETOOLONG;
		bool dots = strncmp(name, "..", length) == 0; /* "." too */
		if (dots && length == 2)
			folder_up(folder);
		if (!dots) {
			*stpncpy(stpcpy(stpcpy(next, folder), "/"), name, length) = '\0';
			bool exists = lstat(next, &status) == 0, link = exists && S_ISLNK(status.st_mode);
			/* Folders that are no links are not replaced as a matter of course. */
			int r = link || !*rest || !exists ? add_step(watch, folder, name, length) : 0;
			if (r < 0 || !exists)
				return r == -ENOENT || r == -ENOTDIR ? 0 : r;
			if (link) {
				links++;
				r = follow(next, rest, folder, way);
				if (r < 0)
					return r;
				continue;
			}
			memcpy(folder, next, strlen(next) + 1);
		}
		memmove(way, rest, strlen(rest) + 1);
	}
	return -ELOOP;
}

static void
steps_clear(struct tls_watch *watch)
{
	while (watch->step_count)
		free(watch->steps[--watch->step_count].name);
}

/* Folders that no way leads through any more are not listened to. */
static void
drop_unused(struct tls_watch *watch, const struct step *old, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool used = false;
		for (size_t k = 0; k < watch->step_count && !used; k++)
			used = watch->steps[k].descriptor == old[i].descriptor;
		if (!used)
			(void) inotify_rm_watch(watch->fd, old[i].descriptor); /* may be gone by itself */
	}
}

static int
arm(struct tls_watch *watch)
{
	struct step *old = STEAL(watch->steps);
	size_t count = STEAL(watch->step_count);
	int result = 0;
	for (size_t i = 0; i < watch->path_count; i++) {
		int r = walk(watch, watch->paths[i]);
		if (r < 0 && result == 0)
			result = r;
	}
	drop_unused(watch, old, count);
	while (count)
		free(old[--count].name);
	free(old);
	return result;
}

/* --- events ------------------------------------------------------------------------------------------------------ */

static bool
concerns_us(const struct tls_watch *watch, const struct inotify_event *event)
{
	if (event->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))
		return true;
	return event->len > 0 && has_step(watch, event->wd, event->name, strlen(event->name));
}

static int
on_quiet(sd_event_source *source, uint64_t now, void *arg)
{
	struct tls_watch *watch = arg;
	(void) source, (void) now;
	watch->first = 0;
	/* Links may lead elsewhere by now. Before the files are read: what changes later is told again. */
	(void) arm(watch);
	watch->changed(watch->arg);
	return 0;
}

static int
on_event(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct tls_watch *watch = arg;
	char buffer[4096] __attribute__((aligned(8)));
	bool ours = false;
	uint64_t now;
	ssize_t n;
	(void) source, (void) events;
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		for (const char *p = buffer; p < buffer + n;) {
			const struct inotify_event *event = (const struct inotify_event *) p;
			ours = concerns_us(watch, event) || ours;
			p += sizeof(*event) + event->len;
		}
	if (!ours || sd_event_now(watch->event, CLOCK_MONOTONIC, &now) < 0)
		return 0;
	if (!watch->first)
		watch->first = now;
	uint64_t latest = watch->first + PATIENCE * watch->quiet;
	uint64_t at = now + watch->quiet < latest ? now + watch->quiet : latest;
	(void) sd_event_source_set_time(watch->timer, at);
	return sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

int
tls_watch_new(sd_event *event, uint64_t quiet, void (*changed)(void *arg), void *arg, struct tls_watch **ret)
{
	CLEANUP(tls_watch_free) struct tls_watch *watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	watch->quiet = quiet;
	watch->changed = changed;
	watch->arg = arg;
	watch->event = sd_event_ref(event);
	watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch->fd < 0)
		return -errno;
	int r = sd_event_add_io(event, &watch->io, watch->fd, EPOLLIN, on_event, watch);
	if (r >= 0)
		r = sd_event_add_time(event, &watch->timer, CLOCK_MONOTONIC, 0, 1, on_quiet, watch);
	if (r >= 0)
		r = sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;
	*ret = STEAL(watch);
	return 0;
}

static void
paths_clear(struct tls_watch *watch)
{
	while (watch->path_count)
		free(watch->paths[--watch->path_count]);
	free(STEAL(watch->paths));
}

int
tls_watch_set(struct tls_watch *watch, const char *const *paths, size_t count)
{
	paths_clear(watch);
	watch->paths = calloc(count + 1, sizeof(*watch->paths));
	if (!watch->paths)
		return -ENOMEM;
	for (; watch->path_count < count; watch->path_count++) {
		watch->paths[watch->path_count] = strdup(paths[watch->path_count]);
		if (!watch->paths[watch->path_count])
			return -ENOMEM;
	}
	return arm(watch);
}

size_t
tls_watch_folders(const struct tls_watch *watch)
{
	size_t count = 0;
	for (size_t i = 0; i < watch->step_count; i++) {
		bool seen = false;
		for (size_t k = 0; k < i && !seen; k++)
			seen = watch->steps[k].descriptor == watch->steps[i].descriptor;
		count += !seen;
	}
	return count;
}

void
tls_watch_free(struct tls_watch **watch)
{
	struct tls_watch *old = STEAL(*watch);
	if (!old)
		return;
	sd_event_source_disable_unref(old->io);
	sd_event_source_disable_unref(old->timer);
	sd_event_unref(old->event);
	if (old->fd >= 0)
		(void) close(old->fd);
	paths_clear(old);
	steps_clear(old);
	free(old->steps);
	free(old);
}
