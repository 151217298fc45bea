/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "control.h"

#include "caller.h"
#include "event.h"
#include "handover.h"
#include "job.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum {
	CONTROL_CONNECTIONS_MAX = 64,
	CONTROL_FOREIGN_MAX = 48, /* the others are kept for root and the daemon's own user */
	CONTROL_ACCEPT_MAX = 16,  /* per turn */
	CONTROL_BACKLOG = 64,
	CONTROL_PAUSE = 1000 * 1000, /* microseconds without accepting when descriptors ran out */
};

static const char *const control_kept_names[] = {"control", "readonly"};

struct control_socket {
	struct control *control;
	char *path;
	int fd;
	bool read_only;
	bool shared; /* the service manager has it too: the file stays for whoever gets it next */
	sd_event_source *accepting;
	dev_t device; /* of the file we made: what others put in its place is not ours to remove */
	ino_t inode;
};

struct control {
	struct caller_service service;
	struct control_socket sockets[2]; /* main, read-only (path NULL: none) */
	sd_event_source *pause;
	bool full; /* one refusal was logged since there was room */
};

/* --- accepting ------------------------------------------------------------------------------------------- */

static void
control_accept_enable(struct control *control, int enabled)
{
	for (size_t i = 0; i < ARRAY_LENGTH(control->sockets); i++)
		if (control->sockets[i].accepting)
			(void) sd_event_source_set_enabled(control->sockets[i].accepting, enabled);
}

static int
control_pause_over(sd_event_source *source UNUSED, uint64_t usec UNUSED, void *userdata)
{
	control_accept_enable(userdata, SD_EVENT_ON);
	return 0;
}

/* Without a free descriptor the connection stays in the backlog and would wake us for ever. */
static void
control_accept_pause(struct control *control)
{
	uint64_t now = 0;

	event_log(EVENT_CONTROL_FULL, NULL, "the control socket accepts nobody for a second: no descriptor is free");
	control_accept_enable(control, SD_EVENT_OFF);
	(void) sd_event_now(control->service.event, CLOCK_MONOTONIC, &now);
	(void) sd_event_source_set_time(control->pause, now + CONTROL_PAUSE);
	(void) sd_event_source_set_enabled(control->pause, SD_EVENT_ONESHOT);
}

static bool
control_has_room(struct control *control, const struct peer *peer)
{
	const struct caller_service *service = &control->service;
	bool room = service->count < CONTROL_CONNECTIONS_MAX &&
		    (peer_is_owner(peer) || service->foreign_count < CONTROL_FOREIGN_MAX);

	if (!room && !control->full)
		event_log(EVENT_CONTROL_FULL, NULL,
			  "a control connection of uid %" PRIuMAX ", pid %" PRIiMAX " was refused: %u are open",
			  (uintmax_t) peer->uid, (intmax_t) peer->pid, service->count);
	control->full = !room;
	return room;
}

static int
control_accept(sd_event_source *source UNUSED, int fd, uint32_t events UNUSED, void *userdata)
{
	struct control_socket *socket = userdata;
	struct control *control = socket->control;

	for (int i = 0; i < CONTROL_ACCEPT_MAX; i++) {
		CLEANUP(peer_clear) struct peer peer = {0};
		CLEANUP_CLOSE int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (connection < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
				control_accept_pause(control);
			return 0;
		}
		if (peer_read(connection, &peer) < 0 || !control_has_room(control, &peer))
			continue;
		(void) caller_new(&control->service, steal_fd(&connection), &peer, socket->read_only);
	}
	return 0;
}

/* --- sockets --------------------------------------------------------------------------------------------- */

/* A file left by a daemon that died is removed; a socket somebody answers on, or any other file, is not. */
static int
control_clear_path(const struct sockaddr_un *address, struct error *error)
{
	CLEANUP_CLOSE int probe = -1;
	struct stat status;

	if (lstat(address->sun_path, &status) < 0)
		return errno == ENOENT
			       ? 0
			       : error_set(error, -errno, "control socket %s: %s", address->sun_path, strerror(errno));
	if (!S_ISSOCK(status.st_mode))
		return error_set(error, -EEXIST,
				 "control socket %s: another kind of file is there; remove it or change "
				 "control.socket",
				 address->sun_path);
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0)
		return error_set(error, -errno, "control socket: %s", strerror(errno));
	if (connect(probe, (const struct sockaddr *) address, sizeof(*address)) == 0 || errno == EAGAIN)
		return error_set(error, -EADDRINUSE,
				 "control socket %s: another daemon answers on it; stop it or change "
				 "control.socket",
				 address->sun_path);
	if (unlink(address->sun_path) < 0 && errno != ENOENT)
		return error_set(error, -errno, "control socket %s: cannot remove the stale file: %s",
				 address->sun_path, strerror(errno));
	return 0;
}

/* The file of a socket unit belongs to whom that unit names; what is said there counts. */
static int
control_protect(const char *path, const char *group, unsigned mode, struct error *error)
{
	struct stat status;
	gid_t gid = (gid_t) -1;
	int r = group ? peer_group(group, &gid) : 0;

	if (r < 0)
		return error_set(error, -EINVAL, "control.group: group \"%.60s\": %s", group,
				 r == -ENOENT ? "there is none of that name" : strerror(-r));
	if (stat(path, &status) == 0 && status.st_uid != geteuid())
		return 0;
	/* The group first: a wide mode must not meet the wrong group even for a moment. */
	if (group && chown(path, (uid_t) -1, gid) < 0)
		return error_set(error, -errno, "control socket %s: cannot give it to group %s: %s", path, group,
				 strerror(errno));
	if (chmod(path, mode) < 0)
		return error_set(error, -errno, "control socket %s: cannot set its mode: %s", path, strerror(errno));
	return 0;
}

static int
control_bind(struct control_socket *ours, const struct sockaddr_un *address, struct error *error)
{
	ours->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ours->fd < 0)
		return error_set(error, -errno, "control socket: %s", strerror(errno));
	/* Linux gives the file the socket's own mode: nobody else's from its first moment. */
	(void) fchmod(ours->fd, 0600);
	if (bind(ours->fd, (const struct sockaddr *) address, sizeof(*address)) < 0)
		return error_set(error, -errno, "control socket %s: %s%s", address->sun_path, strerror(errno),
				 errno == ENOENT ? "; its folder must exist" : "");
	return 0;
}

/* One that was passed is of use only while its file is there: without it nobody finds the socket. */
static bool
control_adopt(struct control_socket *ours, const struct sockaddr_un *address)
{
	struct stat status;
	bool kept = false;
	CLEANUP_CLOSE int fd = handover_find((const struct sockaddr *) address, sizeof(*address), &kept);

	if (fd < 0)
		return false;
	if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode)) {
		if (kept)
			handover_forget(control_kept_names[ours->read_only]);
		return false;
	}
	(void) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	ours->fd = steal_fd(&fd);
	ours->shared = true;
	return true;
}

static int
control_open(struct control *control, struct control_socket *ours, const char *path, const char *group, unsigned mode,
	     struct error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat status;
	int r = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(error, -ENAMETOOLONG, "control socket %s: the path is longer than %zu bytes", path,
				 sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	bool adopted = control_adopt(ours, &address);
	if (!adopted)
		r = control_clear_path(&address, error);
	if (r < 0)
		return r;
	ours->path = strdup(path);
	if (!ours->path)
		return error_set(error, -ENOMEM, "out of memory");
	if (!adopted)
		r = control_bind(ours, &address, error);
	if (r == 0 && lstat(path, &status) < 0) {
		r = error_set(error, -errno, "control socket %s: %s", path, strerror(errno));
		if (!adopted)
			(void) unlink(path); /* a moment old: nobody has put anything else there */
	}
	if (r < 0)
		return r;
	ours->device = status.st_dev;
	ours->inode = status.st_ino;
	r = control_protect(path, group, mode, error);
	if (r < 0)
		return r;
	/* Also one that listens already: whom clients find behind it is whoever said so last. */
	if (listen(ours->fd, CONTROL_BACKLOG) < 0)
		return error_set(error, -errno, "control socket %s: %s", path, strerror(errno));
	r = sd_event_add_io(control->service.event, &ours->accepting, ours->fd, EPOLLIN, control_accept, ours);
	if (r < 0)
		return error_set(error, r, "control socket: %s", strerror(-r));
	if (!ours->shared)
		ours->shared = handover_keep(control_kept_names[ours->read_only], ours->fd) == 0;
	return 0;
}

static void
control_close(struct control_socket *ours)
{
	struct stat status;

	sd_event_source_disable_unref(ours->accepting);
	/* inode 0: we never made the file. */
	if (!ours->shared && ours->path && ours->inode && lstat(ours->path, &status) == 0 &&
	    status.st_dev == ours->device && status.st_ino == ours->inode)
		(void) unlink(ours->path);
	if (ours->fd >= 0)
		(void) close(ours->fd);
	free(ours->path);
	*ours = (struct control_socket){.fd = -1};
}

/* --- public ---------------------------------------------------------------------------------------------- */

int
control_new(sd_event *event, const struct config_control *config, struct server *server, struct control **ret,
	    struct error *error)
{
	CLEANUP(control_free) struct control *control = calloc(1, sizeof(*control));
	int r;

	if (!control)
		return error_set(error, -ENOMEM, "out of memory");
	/* Before any job's thread could race for it. */
	json_object_seed(0);
	for (size_t i = 0; i < ARRAY_LENGTH(control->sockets); i++)
		control->sockets[i] = (struct control_socket){.control = control, .fd = -1, .read_only = i == 1};
	control->service.event = sd_event_ref(event);
	control->service.context.server = server;
	r = peer_rules_new(config, &control->service.rules, error);
	if (r < 0)
		return r;
	r = job_queue_new(event, &control->service.context.jobs);
	if (r >= 0)
		r = sd_event_add_time(event, &control->pause, CLOCK_MONOTONIC, 0, 0, control_pause_over, control);
	if (r >= 0)
		r = sd_event_source_set_enabled(control->pause, SD_EVENT_OFF);
	if (r < 0)
		return error_set(error, r, "control: %s", strerror(-r));
	r = control_open(control, &control->sockets[0], config->socket, config->group, config->mode, error);
	if (r >= 0 && config->readonly_socket)
		r = control_open(control, &control->sockets[1], config->readonly_socket, config->group,
				 config->readonly_mode, error);
	if (r < 0)
		return r;
	*ret = STEAL(control);
	return 0;
}

static bool
control_same_path(const char *ours, const char *wanted)
{
	return ours && wanted ? strcmp(ours, wanted) == 0 : ours == wanted;
}

int
control_reload(struct control *control, const struct config_control *config, struct error *error)
{
	CLEANUP(peer_rules_free) struct peer_rules *rules = NULL;
	int r;

	if (!control_same_path(control->sockets[0].path, config->socket) ||
	    !control_same_path(control->sockets[1].path, config->readonly_socket))
		return error_set(error, -EINVAL,
				 "control.socket and control.readonly_socket cannot change while the daemon "
				 "runs; restart it");
	r = peer_rules_new(config, &rules, error);
	if (r >= 0)
		r = control_protect(config->socket, config->group, config->mode, error);
	if (r >= 0 && config->readonly_socket)
		r = control_protect(config->readonly_socket, config->group, config->readonly_mode, error);
	if (r < 0)
		return r;
	peer_rules_free(&control->service.rules);
	control->service.rules = STEAL(rules);
	return 0;
}

void
control_free(struct control **control)
{
	struct control *c = *control;
	struct caller *caller, *next;

	if (!c)
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(c->sockets); i++)
		control_close(&c->sockets[i]);
	sd_event_source_disable_unref(c->pause);
	c->service.stopping = true;
	/* Jobs that run end first; their callers get the reply, if they read it now. */
	job_queue_free(&c->service.context.jobs);
	for (caller = c->service.callers; caller; caller = next) {
		next = caller_next(caller);
		caller_flush(caller);
		caller_free(&caller);
	}
	peer_rules_free(&c->service.rules);
	sd_event_unref(c->service.event);
	free(STEAL(*control));
}
