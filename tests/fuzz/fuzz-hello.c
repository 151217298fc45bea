/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz-hello.c - any bytes as a ClientHello: refused, or a name without NUL and no more than there is room for. */
#include "cleanup.h"
#include "hello.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hello hello, again;
	memset(&hello, 0x55, sizeof(hello));
	int r = hello_read(data, size, &hello);
	if (r < 0) {
		unsigned char untouched[sizeof(hello)];
		memset(untouched, 0x55, sizeof(untouched));
		assert(r == -EBADMSG && memcmp(&hello, untouched, sizeof(hello)) == 0);
		return 0;
	}
	assert(memchr(hello.server_name, '\0', sizeof(hello.server_name)));
	assert(hello.ticket_count <= HELLO_TICKETS && hello.keys < 1U << HELLO_KEYS);
	for (const char *p = hello.server_name; *p; p++)
		assert(*p < 'A' || *p > 'Z');
	assert(hello_read(data, size, &again) == 0 && again.keys == hello.keys &&
	       strcmp(again.server_name, hello.server_name) == 0 && again.ticket_count == hello.ticket_count);
	return 0;
}
