/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* ticket.h - the secrets that seal session tickets: made, replaced in time, or read from a file that a fleet shares.
 *
 * A ticket's key is derived (HKDF, RFC 5869) from a secret, the name of the credential set and the policy in force, so
 * that a ticket is worth nothing under any other policy: resumption cannot outlive what it was granted by. The newest
 * secret seals; older ones still open what they have sealed until that has outlived its lifetime.
 *
 * The file has one secret a line, 64 to 256 hexadecimal digits; the first seals, the others open. "#" begins a comment.
 *
 * Threads: a ring belongs to its caller; keys are immutable. Owns: pages excluded from core dumps.
 */
#include "error.h"
#include "hello.h"
#include "secret.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum { TICKET_KEY = 64, TICKET_POLICY = 32, TICKET_SECRETS = 4 };

struct ticket_ring;

int ticket_ring_new(struct ticket_ring **ret);
void ticket_ring_free(struct ticket_ring **ring);
/* Without a file: a first secret, another once the newest is `period` seconds old; forgets those that opened long
 * enough. Returns true if the secrets changed, a negative errno if there is no randomness. */
int ticket_ring_turn(struct ticket_ring *ring, time_t now, unsigned period, unsigned lifetime);
/* The file's secrets from now on. *ret_changed: they differ from those before. On failure the old ones stay. */
int ticket_ring_read(struct ticket_ring *ring, const char *name, const void *text, size_t length, time_t now,
		     bool *ret_changed, struct error *error);
/* Writes the secrets over what the file held / reads what was written. A memory file (memfd_create(2)) keeps them off
 * disks; one write within a page is whole or was not made, whenever the process ends. -EBADMSG: not such a file. */
int ticket_ring_save(const struct ticket_ring *ring, int fd);
int ticket_ring_load(struct ticket_ring *ring, int fd);
time_t ticket_ring_since(const struct ticket_ring *ring); /* when the newest secret came; 0: none yet */
size_t ticket_ring_count(const struct ticket_ring *ring);

/* Keys of one ring under one policy, the newest first. */
struct ticket_keys {
	struct secret pages; /* private */
	size_t count;
	unsigned lifetime; /* seconds */
};

int ticket_keys_derive(const struct ticket_ring *ring, const char *set, const unsigned char policy[TICKET_POLICY],
		       unsigned lifetime, struct ticket_keys *ret);
void ticket_keys_clear(struct ticket_keys *keys);
/* The one that opens a ticket of the hello, or else the newest; NULL: there is none. */
const unsigned char *ticket_keys_choose(const struct ticket_keys *keys, const struct hello *hello, time_t now);
