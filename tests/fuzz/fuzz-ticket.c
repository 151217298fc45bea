/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz-ticket.c - any text as a file of ticket secrets: taken whole, or refused with its line and without its digits.
 */
#include "ticket.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char policy[TICKET_POLICY];
	static const struct hello nobody = {.ticket_count = 0};
	CLEANUP(ticket_ring_free) struct ticket_ring *ring = NULL;
	CLEANUP(ticket_keys_clear) struct ticket_keys keys = {.count = 0};
	struct error error = {0};
	bool changed = false, again = true;
	int r = ticket_ring_new(&ring);

	assert(r == 0);
	r = ticket_ring_read(ring, "FILE", data, size, 1, &changed, &error);
	assert((r == 0) == (error.code == 0));
	if (r < 0) {
		assert(r == -EINVAL || r == -E2BIG || r == -ENODATA);
		assert(ticket_ring_count(ring) == 0 && error.text[0]);
		return 0;
	}
	assert(changed && ticket_ring_count(ring) >= 1 && ticket_ring_count(ring) <= TICKET_SECRETS);
	r = ticket_ring_read(ring, "FILE", data, size, 2, &again, NULL);
	assert(r == 0 && !again && ticket_ring_since(ring) == 1);
	r = ticket_keys_derive(ring, "main", policy, 3600, &keys);
	assert(r == 0 && keys.count == ticket_ring_count(ring) && ticket_keys_choose(&keys, &nobody, 1));
	return 0;
}
