/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Framing and calls. The first byte says in pieces of what size the rest arrives: the messages must be the same. */
#include "wire.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All complete messages, each with its NUL, appended to ret. */
static size_t
take_messages(struct wire *wire, char *ret, size_t used)
{
	const char *text;
	size_t length;

	while (wire_next(wire, &text, &length) == 1) {
		CLEANUP(wire_call_clear) struct wire_call call = {0};

		assert(text[length] == '\0');
		if (wire_call_parse(text, length, &call, NULL) == 0)
			assert(call.method && json_is_object(call.parameters));
		memcpy(ret + used, text, length + 1);
		used += length + 1;
	}
	return used;
}

static size_t
run(const uint8_t *data, size_t size, size_t piece, char *ret)
{
	CLEANUP(wire_free) struct wire *wire = NULL;
	size_t used = 0;

	if (wire_new(WIRE_CALL_MAX, WIRE_REPLY_MAX, &wire) < 0)
		abort();
	for (size_t i = 0; i < size; i += piece) {
		if (wire_feed(wire, data + i, size - i < piece ? size - i : piece) < 0)
			abort();
		used = take_messages(wire, ret, used);
	}
	return used;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *whole = NULL, *pieces = NULL;
	size_t length;

	if (size < 2 || size > 65536)
		return 0;
	whole = malloc(size);
	pieces = malloc(size);
	if (!whole || !pieces)
		abort();
	length = run(data + 1, size - 1, size, whole);
	if (run(data + 1, size - 1, (size_t) data[0] + 1, pieces) != length || memcmp(whole, pieces, length) != 0)
		abort();
	return 0;
}
