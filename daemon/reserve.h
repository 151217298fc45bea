/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* reserve.h - address space kept back for libraries that do not survive a NULL from malloc.
 *
 * GMP and nettle abort, libtasn1 and GnuTLS follow the null pointer, in the middle of a handshake; jansson reads on
 * without the byte it had no room for. The daemon's own code takes the NULL. So when the C library has nothing more and
 * a library asks, a piece of what was kept back is given up and the C library asked again (interpose); until the
 * reserve is whole again, nobody new is let in. Pieces are never touched: they cost address space, not memory.
 *
 * Threads: any. Owns: its pieces.
 */
#include <stdbool.h>
#include <stddef.h>

enum {
	RESERVE_PIECES = 16,
	RESERVE_PIECE = 256 << 10,
};

/* Takes back what is missing as far as the system gives it; returns how many pieces are missing still. */
unsigned reserve_fill(void);
/* Gives up one piece; false: there is none left. */
bool reserve_spend(void);
/* Pieces given up and not taken back. Before the first reserve_fill: none. */
unsigned reserve_missing(void);
/* Pieces ever given up. */
unsigned long reserve_spent(void);
