/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* identity-cache.h - identities of clients that came before, so that one who returns is not read again.
 *
 * An identity follows from the bytes of the certificates alone, so that nothing makes an entry wrong: the key is their
 * SHA-256, and no policy is in it. Connections of one client share one identity. Bounded: IDENTITY_CACHE_ROOM entries,
 * in sets of a few; in a full set one goes that was not asked for since the hand last passed.
 *
 * Threads: any; one lock, held for a look-up. Owns: a reference of each identity it holds.
 */
#include "identity.h"

enum { IDENTITY_CACHE_ROOM = 2048 };

struct identity_cache;

int identity_cache_new(struct identity_cache **ret);
/* identity_read_chain, unless the same chain is known. */
int identity_cache_read(struct identity_cache *cache, const struct identity_der *chain, size_t count,
			struct identity **ret, struct error *error);
void identity_cache_free(struct identity_cache **cache); /* accepts NULL */
