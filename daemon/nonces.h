/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* nonces.h - what keeps a signed message from being taken twice: the nonces one plugin has accepted, in a table of
 * fixed size and in a file, so that neither a restart nor a crash nor a loss of power lets a message in again.
 *
 * A message says when it was signed. It is acceptable from `skew` before that moment to `window` after it, once; a
 * nonce is remembered for window + skew, by 128 bits of its SHA-256 with the file's own salt. A full table refuses:
 * forgetting would let replays in. What can no longer be told from the file - it is damaged, the machine stopped
 * without a close - moves the `horizon`: nothing signed before it is accepted, which refuses honest messages for `skew`
 * or less.
 *
 * The window belongs to the configuration and may change while plugins ask: a longer one moves the horizon to the
 * oldest message the table still knows.
 *
 * Units: seconds of CLOCK_REALTIME. Threads: any; open, set and drop by whoever changes the plugin, one at a time.
 * Owns: the table, and the file while it is open.
 */
#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nonces;

enum {
	NONCES_LENGTH = 256, /* bytes of a nonce at most */
	NONCES_CAPACITY_MAX = 1000000,
};

struct nonces_settings {
	int64_t window, skew; /* window 0: no store */
	int64_t capacity;     /* nonces at once, at least; up to four times as many find room */
};

/* Read from clocks by nonces_time; given by tests. */
struct nonces_time {
	int64_t now;
	int64_t boot; /* when the machine began */
};
struct nonces_time nonces_time(void);

int nonces_new(const char *plugin, struct nonces **ret);
/* Writes out what is there and closes; accepts NULL inside. */
void nonces_free(struct nonces **nonces);

/* Makes the file folder/PLUGIN and room for so many; fails without a change. One that is open is only enlarged or made
 * smaller. -EBUSY: the file is another process's, or the folder is not the one it is open in. -ENOSPC: more are
 * remembered than that. */
int nonces_open(struct nonces *nonces, const char *folder, const struct nonces_settings *settings,
		const struct nonces_time *time, struct error *error);
/* From here on; the store is open, or window is 0, which closes it. */
void nonces_set(struct nonces *nonces, const struct nonces_settings *settings, int64_t now);

/* 0: acceptable, and remembered. -EEXIST: it was accepted before. -ETIME: signed too long ago, too far ahead, or before
 * the horizon. -ENOSPC: the table is full. -EIO: it cannot be written down; a message that was refused so once is
 * refused ever after. -EINVAL: no nonce, or too long. -EOPNOTSUPP: no window. */
int nonces_accept(struct nonces *nonces, const void *nonce, size_t length, int64_t signed_at, int64_t now);
int64_t nonces_window(struct nonces *nonces); /* 0: no store */

/* Makes room at once and lets nothing in again: the horizon moves to now + skew. */
int nonces_drop(struct nonces *nonces, int64_t now, struct error *error);

struct nonces_report {
	bool open;
	struct nonces_settings settings;
	int64_t horizon; /* 0: none */
	uint64_t room, remembered;
	/* since the start of the process */
	uint64_t accepted, repeated, untimely, full, unwritten;
};
/* In portions: nobody waits for it long. */
void nonces_read(struct nonces *nonces, int64_t now, struct nonces_report *ret);
