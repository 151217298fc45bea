/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* signals.h - what is known of one plugin instance over time: the least it held, and what it had served by then.
 *
 * A *sample* is one reading of the heap. A *block* is at least 128 requests or one second of samples; it keeps the
 * reading with the least live bytes (the floor: what is left when the requests of the moment are not counted) and the
 * exposures at that moment. Blocks stand on a dyadic ladder: a block of scale j+1 is the lower of two blocks of scale
 * j. So hours to months fit in bounded memory.
 *
 * Source: the floor and its ladder are this project's; see ARCHITECTURE.md.
 *
 * Units: bytes, microseconds of the clock the owner chose. Threads: signals_sample from any, without waiting: if
 * another thread is just sampling, the sample is left out. signals_history copies under the same flag. Owns: nothing
 * else.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SIGNALS_SCALES = 20,
	SIGNALS_BLOCKS = 16,          /* kept a scale */
	SIGNALS_BLOCK_REQUESTS = 128, /* of scale 0; or: */
	SIGNALS_BLOCK_TIME = 1000000, /* microseconds */
	SIGNALS_SAMPLE_EVERY = 48,    /* requests between samples on the way of requests: five a block and more */
};

/* What may cause a leak; cumulative counts since the instance began. */
enum signals_axis {
	SIGNALS_REQUESTS,
	SIGNALS_ERRORS,      /* requests that ended with 4xx, 5xx or without an answer */
	SIGNALS_HANDSHAKES,  /* full handshakes (not resumed) of connections that reached the plugin */
	SIGNALS_CONNECTIONS, /* connections that reached the plugin */
	SIGNALS_CLIENTS,     /* distinct identities that reached the plugin */
	SIGNALS_SECONDS,     /* microseconds in the books, seconds in words */
	SIGNALS_AXES,
};
const char *signals_axis_name(enum signals_axis axis); /* "request", "error", ... */

struct signals_exposure {
	uint64_t count[SIGNALS_AXES];
};

/* One reading. */
struct signals_sample {
	struct signals_exposure exposure;
	uint64_t live_bytes, live_objects; /* own heap without request arenas */
	uint64_t arena_bytes;
	uint64_t foreign_bytes;
	uint64_t resident_bytes; /* own heap */
	uint64_t largest_bytes;  /* the largest live block, 0: not known */
	uint32_t inflight, open_connections;
};

struct signals_block {
	struct signals_exposure exposure; /* at the floor */
	uint64_t floor;                   /* least live_bytes */
	uint64_t objects;                 /* live_objects then */
	uint64_t foreign;                 /* least foreign_bytes */
	uint64_t resident;                /* resident_bytes at the end of the block */
	uint64_t largest;                 /* largest_bytes at the floor */
	uint64_t escaped;                 /* reserved for totals of escapes at the floor */
};

/* A copy for the judge. Blocks of each scale oldest first. */
struct signals_history {
	uint64_t began;                  /* clock at the instance's start or at the last signals_restart */
	struct signals_sample last;      /* the newest reading */
	uint64_t blocks[SIGNALS_SCALES]; /* closed ever, by scale */
	unsigned kept[SIGNALS_SCALES];
	struct signals_block block[SIGNALS_SCALES][SIGNALS_BLOCKS];
};

struct signals;

/* now: the clock at the beginning. -ENOMEM. */
int signals_new(uint64_t now, struct signals **ret);
void signals_free(struct signals **signals); /* accepts NULL */
/* Returns true if a block of scale 0 was closed. */
bool signals_sample(struct signals *signals, uint64_t now, const struct signals_sample *sample);
void signals_history(const struct signals *signals, struct signals_history *ret);
/* Forgets all blocks: after a warm-up, a reload of the plugin's settings, a probe that was rejected. Exposures go on.
 */
void signals_restart(struct signals *signals, uint64_t now);
