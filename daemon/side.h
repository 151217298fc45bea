/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* side.h - the side-table word of a block: is it live, who made it, when, and on whose account.
 *
 * One 64-bit word a block, outside the heap's range, written once by the allocating and once by the freeing thread.
 * A word without SIDE_LIVE belongs to a free block: 0 in a thread's bin, otherwise the link of its span's free list.
 * The epoch is the plugin's request clock, one tick a request, 32 bits: it wraps after 4,294,967,296 requests, and
 * ages are differences modulo that.
 *
 * Threads: words are read and written with relaxed atomics (acquire where the profile walk needs it). Owns: nothing.
 */
#include <stdbool.h>
#include <stdint.h>

static const uint64_t SIDE_LIVE = 1ULL << 63;
static const uint64_t SIDE_ARENA = 1ULL << 62;   /* a chunk of a request arena */
static const uint64_t SIDE_SAMPLED = 1ULL << 61; /* its stack is on record */
static const uint64_t SIDE_BOOKED = 1ULL << 60;  /* counted by a booking that is still open */

enum {
	SIDE_SITE_SHIFT = 32,
	SIDE_SITE_BITS = 17,
	SIDE_SITES = 1 << SIDE_SITE_BITS, /* site ids are 0 (unknown) .. SIDE_SITES - 1 */
};

static inline uint64_t
side_site_bits(uint32_t site)
{
	return (uint64_t) site << SIDE_SITE_SHIFT;
}

static inline uint32_t
side_site(uint64_t word)
{
	return (uint32_t) (word >> SIDE_SITE_SHIFT) & (SIDE_SITES - 1);
}

static inline uint32_t
side_epoch(uint64_t word)
{
	return (uint32_t) word;
}

/* Live, and neither an arena's nor sampled. */
static inline bool
side_is_plain(uint64_t word)
{
	/* As signed numbers these are the lowest: below all that are sampled or an arena's, and those are negative too.
	 */
	return (int64_t) word < (int64_t) (SIDE_LIVE | SIDE_SAMPLED);
}

static inline uint64_t
side_load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void
side_store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}
