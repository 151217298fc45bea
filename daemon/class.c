/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "class.h"

struct class_row class_rows[CLASS_COUNT + 1];
uint8_t class_table[CLASS_TABLE_BYTES / 16 + 1];

enum {
	CLASS_CACHE_BYTES = 32768, /* aim for what one bin keeps */
	CLASS_CACHE_MOST = 128,
	CLASS_CACHE_LEAST = 2,
};

static uint32_t
class_size_of(unsigned class)
{
	if (class <= 8)
		return class * 16;
	unsigned k = class - 9, log = 7 + k / 8;
	return (1U << log) + (k % 8 + 1) * (1U << (log - 3));
}

void
class_setup(void)
{
	for (unsigned class = 1; class <= CLASS_COUNT; class ++) {
		struct class_row *row = &class_rows[class];

		row->size = class_size_of(class);
		row->magic = (uint32_t) (((1ULL << 32) + row->size - 1) / row->size);
		row->blocks = (uint16_t) (CLASS_SPAN_BYTES / row->size);
		uint32_t cache = CLASS_CACHE_BYTES / row->size;
		if (cache > CLASS_CACHE_MOST)
			cache = CLASS_CACHE_MOST;
		if (cache < CLASS_CACHE_LEAST)
			cache = CLASS_CACHE_LEAST;
		row->cache = (uint16_t) cache;
	}
	class_table[0] = 1; /* malloc(0) is a block like any other */
	for (unsigned i = 1; i < sizeof(class_table); i++)
		class_table[i] = (uint8_t) class_compute(i * 16UL);
}
