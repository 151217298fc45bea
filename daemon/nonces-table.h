/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* nonces-table.h - which nonces are remembered: slots in buckets, each nonce in the emptier of two.
 *
 * A slot whose message was signed before `oldest` counts as empty: nothing is ever removed. Half full, the fuller of
 * two buckets of 16 is next to never full.
 *
 * Threads: one at a time for a table. Owns: nothing; a table is a plain array of buckets * NONCES_WAYS slots.
 * Source: Azar, Broder, Karlin, Upfal, "Balanced Allocations", 1994.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NONCES_WAYS = 16, NONCES_BUCKETS_MAX = 1 << 18 };

struct nonces_slot {
	uint8_t digest[16];
	int64_t signed_at; /* 0: empty */
};

/* A power of two, for so many nonces at least. */
uint32_t nonces_table_buckets(int64_t capacity);
bool nonces_table_remembers(const struct nonces_slot *slot, int64_t oldest);
/* Where the digest stands (true), or may stand; SIZE_MAX: nowhere. */
bool nonces_table_find(const struct nonces_slot *slots, uint32_t buckets, const uint8_t digest[16], int64_t oldest,
		       size_t *ret);
/* What of it is remembered, in a table of another number of buckets (malloced). -ENOSPC: it has no room for all. */
int nonces_table_copy(const struct nonces_slot *slots, uint32_t count, uint32_t buckets, int64_t oldest,
		      struct nonces_slot **ret);
