/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* signals.h - what is known of one plugin instance over time: the least it held, and what it had served by then.
 *
 * A *sample* is one reading of the heaps. A *block* is at least 128 requests or one second of samples, whichever is
 * over first; it keeps the reading with the fewest live bytes (the floor: what is left when the requests of the moment
 * are not counted) and the exposures at that moment, so that growth between two floors belongs exactly to what was
 * served between them. Blocks stand on a dyadic ladder (ladder.h): a block of scale j+1 is the lower of two blocks of
 * scale j. Beside it stand *moments* (moments.h): how floor and exposures vary together, from which is told what causes
 * the growth.
 *
 * Seconds to months fit in bounded memory. Of 7.5 KiB an instance the ladder takes 5.3 (146 blocks of 36 bytes), the
 * moments 1.9 (six of 320 bytes), the newest readings 0.4.
 *
 * Units: bytes, microseconds of the clock the owner chose. Threads: signals_sample from any, without waiting: if
 * another thread is just at it, the sample is left out. The others take the same flag, and wait for it (below a
 * microsecond, or the length of a copy). Owns: its blocks.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SIGNALS_SCALES = 20,
	SIGNALS_BLOCKS = 12,          /* kept a scale: as many as one look takes */
	SIGNALS_BLOCK_REQUESTS = 128, /* of scale 0; or: */
	SIGNALS_BLOCK_TIME = 1000000, /* microseconds */
	SIGNALS_SAMPLE_EVERY = 48,    /* requests between samples on the way of requests: five in 256 and more */
	SIGNALS_LARGE = 32768,        /* bytes: smaller blocks share pages, and the largest of them is not known */
	SIGNALS_MOMENT_SCALES = 12,   /* have moments: */
	SIGNALS_MOMENT_EVERY = 2,     /* each second of them */
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

/* One reading. exposure.count[SIGNALS_SECONDS] is filled in by the recorder. */
struct signals_sample {
	struct signals_exposure exposure;
	uint64_t live_bytes, live_objects; /* own heap without request arenas */
	uint64_t arena_bytes;
	uint64_t foreign_bytes;
	uint64_t resident_bytes; /* own heap */
	uint64_t largest_bytes;  /* the largest live block, 0: none of SIGNALS_LARGE or more */
	uint32_t inflight, open_connections;
};

/* Bytes that count: both heaps, without arenas. */
static inline uint64_t
signals_bytes(const struct signals_sample *sample)
{
	uint64_t sum = sample->live_bytes + sample->foreign_bytes;
	return sum < sample->live_bytes ? UINT64_MAX : sum;
}

struct signals_block {
	struct signals_exposure exposure; /* at the floor */
	uint64_t floor;                   /* fewest signals_bytes */
	uint64_t foreign;                 /* the foreign part of the floor */
	uint64_t objects;                 /* live_objects then */
	uint64_t largest;                 /* largest_bytes then */
	uint64_t resident;                /* resident_bytes at the end of the block */
};

/* Of levels less their mean: x the exposures (seconds as such), y the floor. A collapse of the floor is cut out of all
 * of them. */
struct signals_moments {
	uint64_t count;
	double xx[SIGNALS_AXES][SIGNALS_AXES]; /* upper triangle and diagonal */
	double xy[SIGNALS_AXES];
	double yy;
};

/* A copy for the judge. Blocks of each scale oldest first. */
struct signals_history {
	uint64_t began;                  /* clock at the instance's start or at the last signals_restart */
	struct signals_exposure before;  /* exposures then; seconds are 0 at the instance's start */
	struct signals_sample last;      /* the newest reading */
	uint64_t blocks[SIGNALS_SCALES]; /* closed ever, by scale */
	unsigned kept[SIGNALS_SCALES];
	struct signals_block block[SIGNALS_SCALES][SIGNALS_BLOCKS];
	struct signals_moments moments[SIGNALS_MOMENT_SCALES];
};

/* The lowest reading since signals_watch. */
struct signals_watch {
	unsigned samples;
	struct signals_sample floor; /* valid once samples > 0 */
};

struct signals;

/* now: the clock at the beginning. -ENOMEM. */
int signals_new(uint64_t now, struct signals **ret);
void signals_free(struct signals **signals); /* accepts NULL */
/* All of it as it is now; what the copy is told, the original does not know. -ENOMEM. */
int signals_copy(const struct signals *signals, struct signals **ret);
/* Returns true if a block of scale 0 was closed. A clock that went back stands still; exposures never sink. */
bool signals_sample(struct signals *signals, uint64_t now, const struct signals_sample *sample);
void signals_history(const struct signals *signals, struct signals_history *ret);
/* How many blocks of scale 0 were closed since the beginning or the last signals_restart. */
uint64_t signals_blocks(const struct signals *signals);
/* The newest reading alone. */
void signals_last(const struct signals *signals, struct signals_sample *ret);
/* Forgets all blocks: after a reload of the plugin's settings, a probe that was rejected. Exposures go on. */
void signals_restart(struct signals *signals, uint64_t now);
/* Begins to look for the lowest reading from now on; signals_watched tells what it is so far. */
void signals_watch(struct signals *signals);
void signals_watched(const struct signals *signals, struct signals_watch *ret);
