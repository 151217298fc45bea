/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

struct peer_rules {
	bool restricted; /* users or groups are listed */
	size_t user_count, group_count;
	uid_t *users;
	gid_t *groups;
};

static int
peer_read_groups(int fd, struct peer *peer)
{
	socklen_t length = 0;

	/* Asks for the size first; a peer without supplementary groups answers 0 bytes at once. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &length) < 0 && errno != ERANGE)
		return -errno;
	if (length == 0)
		return 0;
	peer->groups = malloc(length);
	if (!peer->groups)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &length) < 0)
		return -errno;
	peer->group_count = length / sizeof(gid_t);
	return 0;
}

int
peer_read(int fd, struct peer *ret)
{
	CLEANUP(peer_clear) struct peer peer = {0};
	struct ucred credentials;
	socklen_t length = sizeof(credentials);
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
		return -errno;
	peer.uid = credentials.uid;
	peer.gid = credentials.gid;
	peer.pid = credentials.pid;
	r = peer_read_groups(fd, &peer);
	if (r < 0)
		return r;
	*ret = peer;
	peer = (struct peer){0};
	return 0;
}

void
peer_clear(struct peer *peer)
{
	free(peer->groups);
	*peer = (struct peer){0};
}

int
peer_group(const char *name, gid_t *ret)
{
	struct group group, *found = NULL;
	CLEANUP_FREE char *buffer = NULL;
	int r = ERANGE;

	for (size_t size = 4096; r == ERANGE && size <= 1024 * 1024; size *= 4) {
		free(buffer);
		buffer = malloc(size);
		if (!buffer)
			return -ENOMEM;
		r = getgrnam_r(name, &group, buffer, size, &found);
	}
	if (r != 0)
		return -r;
	if (!found)
		return -ENOENT;
	*ret = group.gr_gid;
	return 0;
}

static int
peer_user(const char *name, uid_t *ret)
{
	struct passwd user, *found = NULL;
	CLEANUP_FREE char *buffer = NULL;
	int r = ERANGE;

	for (size_t size = 4096; r == ERANGE && size <= 1024 * 1024; size *= 4) {
		free(buffer);
		buffer = malloc(size);
		if (!buffer)
			return -ENOMEM;
		r = getpwnam_r(name, &user, buffer, size, &found);
	}
	if (r != 0)
		return -r;
	if (!found)
		return -ENOENT;
	*ret = user.pw_uid;
	return 0;
}

int
peer_rules_new(const struct config_control *config, struct peer_rules **ret, struct error *error)
{
	CLEANUP(peer_rules_free) struct peer_rules *rules = calloc(1, sizeof(*rules));
	int r;

	if (!rules)
		return error_set(error, -ENOMEM, "out of memory");
	rules->users = calloc(config->admin_users.count + 1, sizeof(uid_t));
	rules->groups = calloc(config->admin_groups.count + 1, sizeof(gid_t));
	if (!rules->users || !rules->groups)
		return error_set(error, -ENOMEM, "out of memory");
	for (; rules->user_count < config->admin_users.count; rules->user_count++) {
		const char *name = config->admin_users.items[rules->user_count];

		r = peer_user(name, &rules->users[rules->user_count]);
		if (r < 0)
			return error_set(error, -EINVAL, "control.admin_users: user \"%.60s\": %s", name,
					 r == -ENOENT ? "there is none of that name" : strerror(-r));
	}
	for (; rules->group_count < config->admin_groups.count; rules->group_count++) {
		const char *name = config->admin_groups.items[rules->group_count];

		r = peer_group(name, &rules->groups[rules->group_count]);
		if (r < 0)
			return error_set(error, -EINVAL, "control.admin_groups: group \"%.60s\": %s", name,
					 r == -ENOENT ? "there is none of that name" : strerror(-r));
	}
	rules->restricted = rules->user_count + rules->group_count > 0;
	*ret = STEAL(rules);
	return 0;
}

void
peer_rules_free(struct peer_rules **rules)
{
	if (!*rules)
		return;
	free((*rules)->users);
	free((*rules)->groups);
	free(*rules);
	*rules = NULL;
}

static bool
peer_has_group(const struct peer *peer, gid_t group)
{
	if (peer->gid == group)
		return true;
	for (size_t i = 0; i < peer->group_count; i++)
		if (peer->groups[i] == group)
			return true;
	return false;
}

bool
peer_is_owner(const struct peer *peer)
{
	return peer->uid == 0 || peer->uid == geteuid();
}

bool
peer_may_change(const struct peer *peer, const struct peer_rules *rules)
{
	if (!rules->restricted || peer_is_owner(peer))
		return true;
	for (size_t i = 0; i < rules->user_count; i++)
		if (peer->uid == rules->users[i])
			return true;
	for (size_t i = 0; i < rules->group_count; i++)
		if (peer_has_group(peer, rules->groups[i]))
			return true;
	return false;
}
