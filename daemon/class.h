/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* class.h - the size classes of small blocks: 16-byte steps to 128, then eight a doubling up to 32 KiB.
 *
 * Eight steps a doubling cost at most 12.5 % of a block, 5 % on average; a span is 64 KiB for every class, and what its
 * last block leaves over is never touched, so it costs addresses and no memory.
 *
 * Threads: any after class_setup. Owns: nothing.
 */
#include <stddef.h>
#include <stdint.h>

enum {
	CLASS_COUNT = 72, /* classes are 1 .. CLASS_COUNT; 0: no class */
	CLASS_LARGE = 255,
	CLASS_SPAN_BYTES = 65536,
	CLASS_MAX_BYTES = 32768,
	CLASS_TABLE_BYTES = 1024,
};

struct class_row {
	uint32_t size;
	uint32_t magic;  /* ceil(2^32 / size): divides an offset that is a multiple of size exactly */
	uint16_t blocks; /* a span */
	uint16_t cache;  /* most blocks a thread keeps */
};

extern struct class_row class_rows[CLASS_COUNT + 1];
extern uint8_t class_table[CLASS_TABLE_BYTES / 16 + 1];

/* Fills the tables; idempotent. Called by heap_reserve before any other use. */
void class_setup(void);

/* The class of sizes 1 .. CLASS_MAX_BYTES by arithmetic. */
static inline unsigned
class_compute(size_t size)
{
	if (size <= 128)
		return (unsigned) ((size + 15) / 16);
	size_t m = size - 1;
	unsigned log = 63U - (unsigned) __builtin_clzl(m);
	return 9U + (log - 7U) * 8U + (unsigned) ((m >> (log - 3U)) & 7U);
}

/* size: 0 .. CLASS_MAX_BYTES. */
static inline unsigned
class_of(size_t size)
{
	if (__builtin_expect(size <= CLASS_TABLE_BYTES, 1))
		return class_table[(size + 15) / 16];
	return class_compute(size);
}
