/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* chain.h - a client's certificate chain that was verified: what the proof rests on, and until when it holds.
 *
 * Immutable and counted: one record for all connections that showed the same certificates.
 *
 * Threads: ref and unref from any. Owns: copies of the certificates.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { CHAIN_DIGEST = 32, CHAIN_DEPTH = 8, CHAIN_SENT = CHAIN_DEPTH + 1, CHAIN_SERIAL = 20 };

struct chain_bytes {
	const unsigned char *data;
	size_t size;
};

/* A certificate of the proved path that a revocation list could name. */
struct chain_link {
	struct chain_bytes issuer; /* DER name */
	unsigned char serial[CHAIN_SERIAL];
	uint8_t serial_length;
};

struct chain {
	atomic_uint references;
	unsigned char digest[CHAIN_DIGEST];  /* of the certificates as they were sent */
	unsigned char anchors[CHAIN_DIGEST]; /* of the authorities it was proved with */
	time_t not_before, not_after;        /* while all of the path is valid */
	time_t fresh_until; /* until a required revocation list is outdated; INT64_MAX: none is required */
	size_t link_count, sent_count;
	struct chain_link *links;
	struct chain_bytes *sent; /* DER, the leaf first */
	size_t size;              /* bytes of all this */
};

/* SHA-256 over the certificates and their lengths. False if the library cannot. */
bool chain_digest(const struct chain_bytes *sent, size_t count, unsigned char ret[CHAIN_DIGEST]);
/* Copies all that the template points to, into one block. NULL: out of memory. */
struct chain *chain_new(const struct chain *template);
struct chain *chain_ref(struct chain *chain);
void chain_unref(struct chain **chain);
