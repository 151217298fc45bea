/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* hello.h - what a ClientHello says about the certificate its sender can use and the ticket it brings.
 *
 * Sources: RFC 8446, 4.1.2 and 4.2; RFC 5246, 7.4.1; RFC 6066, 3; RFC 5077, 3.2.
 *
 * Threads: pure functions. Owns: nothing.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Kinds of server keys. */
enum hello_key { HELLO_RSA, HELLO_P256, HELLO_P384, HELLO_P521, HELLO_ED25519, HELLO_KEYS };

enum { HELLO_NAME = 256, HELLO_TICKETS = 4, HELLO_TICKET_NAME = 16 };

struct hello {
	char server_name[HELLO_NAME]; /* lower case; "": none */
	unsigned keys;                /* 1 << enum hello_key: what its sender can verify */
	/* The first bytes of its tickets, by which GnuTLS names the key that sealed them. */
	unsigned char tickets[HELLO_TICKETS][HELLO_TICKET_NAME];
	size_t ticket_count;
};

/* body: the message without its header. -EBADMSG: no ClientHello; GnuTLS will say so to the client. */
int hello_read(const void *body, size_t length, struct hello *ret);
