/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* traffic.h - requests as clients would send them, one after the other, the same for the same seed.
 *
 * Three shapes: *steady* (500 a second, shares that do not change), *diurnal* (10 a second on average, between a tenth
 * and twice of that over a day of two hours), *bursty* (2 a second, and now and then seconds of a thousand). In the
 * last two the shares of errors, new clients and short connections drift, as they do where traffic is real: that is
 * what tells one cause from another.
 *
 * Threads: one at a time. Owns: nothing; a traffic is a plain value.
 */
#include <stdbool.h>
#include <stdint.h>

enum traffic_shape { TRAFFIC_STEADY, TRAFFIC_DIURNAL, TRAFFIC_BURSTY, TRAFFIC_SHAPES };
const char *traffic_shape_name(enum traffic_shape shape);

/* Shares are 0..1, of requests unless something else is said. */
struct traffic_mix {
	double rate; /* times the shape's */
	double errors, aborts, slow;
	double length;    /* requests of a connection, on average */
	double resumed;   /* of connections */
	double newcomers; /* of connections: clients nobody has seen */
	double special;   /* on the second route */
	double keys;      /* how many there are to ask for; small numbers are asked for more often */
};
struct traffic_mix traffic_default_mix(void);

enum {
	TRAFFIC_LINES = 96,  /* connections that are open at once, at most */
	TRAFFIC_MONITOR = 0, /* the client with 3 % of the connections */
};

/* The next request. */
struct traffic_next {
	uint64_t at;   /* microseconds since the beginning */
	uint64_t took; /* how long it is under way, unless it is slow */
	uint64_t key;
	bool error, abort, slow, special;
};

/* A connection somebody opens. */
struct traffic_opening {
	uint32_t client;
	bool resumed;
	uint32_t requests; /* that will come on it */
};

struct traffic {
	enum traffic_shape shape;
	struct traffic_mix mix;
	uint64_t random, began;
	double at;    /* seconds */
	double phase; /* of the day */
	double burst_ends, burst_begins;
	double drift_at;
	double drift[3]; /* errors, newcomers, connections: factors as logarithms */
	uint32_t clients;
};

void traffic_begin(struct traffic *traffic, enum traffic_shape shape, const struct traffic_mix *mix, uint64_t seed);
void traffic_next(struct traffic *traffic, struct traffic_next *ret);
void traffic_open(struct traffic *traffic, struct traffic_opening *ret);
/* 0 .. bound - 1, of the same random numbers. */
uint32_t traffic_below(struct traffic *traffic, uint32_t bound);
