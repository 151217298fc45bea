/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pressure.h"

#include "monotonic.h"

#include <errno.h>
#include <fcntl.h>
#include <resolv.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

/* Tasks stalled for 200 ms in 2 s. */
static const char default_trigger[] = "some 200000 2000000";
enum { PAUSE = 1000000 };

struct pressure {
	int fd;
	sd_event_source *source;
	uint64_t last;
	void (*relieve)(void *userdata);
	void *userdata;
};

static int
pressure_felt(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct pressure *pressure = userdata;
	char bytes[64];
	uint64_t now = monotonic_now();

	/* A FIFO says it with bytes, which must be taken; the kernel's file with an event only. */
	if ((revents & EPOLLIN) != 0)
		(void) !read(fd, bytes, sizeof(bytes));
	else if ((revents & (EPOLLERR | EPOLLHUP)) != 0)
		return sd_event_source_set_enabled(source, SD_EVENT_OFF); /* the cgroup is gone */
	if (pressure->last != 0 && now < pressure->last + PAUSE)
		return 0;
	pressure->last = now;
	pressure->relieve(pressure->userdata);
	return 0;
}

static int
pressure_trigger(int fd, const char *path, struct error *error)
{
	unsigned char given[256];
	const char *encoded = getenv("MEMORY_PRESSURE_WRITE");
	const void *trigger = default_trigger;
	size_t length = sizeof(default_trigger);

	if (encoded != NULL) {
		int n = b64_pton(encoded, given, sizeof(given));
		if (n < 0)
			return error_set(error, -EINVAL, "MEMORY_PRESSURE_WRITE is not base64 of at most 256 bytes");
		trigger = given;
		length = (size_t) n;
	}
	if (length > 0 && write(fd, trigger, length) < 0)
		return error_set(error, -errno, "cannot ask %s to tell of memory pressure: %m", path);
	return 0;
}

int
pressure_watch(sd_event *event, void (*relieve)(void *userdata), void *userdata, struct pressure **ret,
	       struct error *error)
{
	const char *given = getenv("MEMORY_PRESSURE_WATCH");
	const char *path = given != NULL ? given : "/proc/pressure/memory";
	struct stat st;

	if (strcmp(path, "/dev/null") == 0) {
		*ret = NULL;
		return 0;
	}
	CLEANUP(pressure_free) struct pressure *pressure = calloc(1, sizeof(*pressure));
	if (pressure == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	pressure->relieve = relieve;
	pressure->userdata = userdata;
	pressure->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (pressure->fd < 0 && given == NULL) {
		*ret = NULL; /* an older kernel, or a sandbox without it */
		return 0;
	}
	if (pressure->fd < 0 || fstat(pressure->fd, &st) < 0)
		return error_set(error, -errno, "cannot open %s (MEMORY_PRESSURE_WATCH): %m", path);
	bool fifo = S_ISFIFO(st.st_mode);
	int r = fifo ? 0 : pressure_trigger(pressure->fd, path, error);
	if (r < 0)
		return r;
	r = sd_event_add_io(event, &pressure->source, pressure->fd, fifo ? EPOLLIN : EPOLLPRI, pressure_felt, pressure);
	if (r < 0)
		return error_set(error, r, "cannot watch %s: %s", path, strerror(-r));
	*ret = STEAL(pressure);
	return 0;
}

void
pressure_free(struct pressure **pressurep)
{
	struct pressure *pressure = *pressurep;
	if (pressure == NULL)
		return;
	sd_event_source_disable_unref(pressure->source);
	if (pressure->fd >= 0)
		(void) close(pressure->fd);
	free(pressure);
	*pressurep = NULL;
}
