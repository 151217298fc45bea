/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* peer-limit.h - how many connections each client address holds now.
 *
 * An IPv6 client counts by its /64, the smallest network a site is given: its addresses are free to choose from
 * 2^64 of them. Memory is bounded by the number of connections counted.
 *
 * Threads: any; one lock inside. Owns: its table.
 */
#include <stddef.h>
#include <sys/socket.h>

struct peer_limit;

struct peer_key {
	unsigned char bytes[17];
};

int peer_limit_new(struct peer_limit **ret);
void peer_limit_free(struct peer_limit **limit); /* accepts NULL */
struct peer_key peer_limit_key(const struct sockaddr *address);
/* Counts one more unless the address holds `most` already (-EUSERS). -ENOMEM. */
int peer_limit_take(struct peer_limit *limit, const struct peer_key *key, size_t most);
void peer_limit_give(struct peer_limit *limit, const struct peer_key *key);
/* Addresses that hold at least one. */
size_t peer_limit_addresses(struct peer_limit *limit);
