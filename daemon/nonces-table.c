/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nonces-table.h"

#include "cleanup.h"

#include <errno.h>
#include <string.h>

uint32_t
nonces_table_buckets(int64_t capacity)
{
	uint32_t buckets = 1;

	/* Half full, the fuller of two buckets of 16 is next to never full. */
	while ((int64_t) buckets * NONCES_WAYS < 2 * capacity)
		buckets *= 2;
	return buckets;
}

bool
nonces_table_remembers(const struct nonces_slot *slot, int64_t oldest)
{
	return slot->signed_at != 0 && slot->signed_at >= oldest;
}

bool
nonces_table_find(const struct nonces_slot *slots, uint32_t buckets, const uint8_t digest[16], int64_t oldest,
		  size_t *ret)
{
	unsigned most = 0;

	*ret = SIZE_MAX;
	for (unsigned choice = 0; choice < 2; choice++) {
		uint32_t number;
		memcpy(&number, digest + choice * sizeof(number), sizeof(number));
		size_t first = (size_t) (number & (buckets - 1)) * NONCES_WAYS, room = SIZE_MAX;
		unsigned rooms = 0;
		for (size_t i = first; i < first + NONCES_WAYS; i++) {
			if (!nonces_table_remembers(&slots[i], oldest)) {
				room = i;
				rooms++;
			} else if (memcmp(slots[i].digest, digest, sizeof(slots[i].digest)) == 0) {
				*ret = i;
				return true;
			}
		}
		if (rooms > most) {
			most = rooms;
			*ret = room;
		}
	}
	return false;
}

int
nonces_table_copy(const struct nonces_slot *slots, uint32_t count, uint32_t buckets, int64_t oldest,
		  struct nonces_slot **ret)
{
	CLEANUP_FREE struct nonces_slot *fresh = calloc((size_t) buckets * NONCES_WAYS, sizeof(*fresh));

	if (fresh == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < (size_t) count * NONCES_WAYS; i++) {
		size_t place;
		if (!nonces_table_remembers(&slots[i], oldest))
			continue;
		if (!nonces_table_find(fresh, buckets, slots[i].digest, oldest, &place) && place == SIZE_MAX)
			return -ENOSPC;
		fresh[place] = slots[i];
	}
	*ret = STEAL(fresh);
	return 0;
}
