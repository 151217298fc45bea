/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* peer.h - who is at the other end of a Unix socket, and whether they may change the daemon.
 *
 * Credentials and groups are the kernel's, taken when the connection was made (unix(7), SO_PEERCRED, SO_PEERGROUPS), so
 * that no look-up in a user database stands in the way of an operator. Names of the configuration are looked up once.
 *
 * Threads: any. Owns: a peer owns its list of groups; rules own their lists.
 */
#include "config.h"
#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	gid_t *groups; /* supplementary */
	size_t group_count;
};

int peer_read(int fd, struct peer *ret);
void peer_clear(struct peer *peer);

struct peer_rules;

/* -EINVAL names a user or group that does not exist. */
int peer_rules_new(const struct config_control *config, struct peer_rules **ret, struct error *error);
void peer_rules_free(struct peer_rules **rules);
/* Root and the daemon's own user always; listed users and members of listed groups; everyone if nothing is listed, as
 * then the socket's own group and mode decide. */
bool peer_may_change(const struct peer *peer, const struct peer_rules *rules);
/* Root or the daemon's own user: some connections are kept free for them. */
bool peer_is_owner(const struct peer *peer);
/* The number of a group. -ENOENT. */
int peer_group(const char *name, gid_t *ret);
