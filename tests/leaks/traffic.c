/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "traffic.h"

#include <math.h>

enum {
	CLIENTS = 300, /* known at the beginning */
	DAY = 7200,    /* seconds */
	DRIFT = 30,    /* seconds between changes of the shares */
};

const char *
traffic_shape_name(enum traffic_shape shape)
{
	static const char *const names[] = {"steady", "diurnal", "bursty"};
	return names[shape];
}

struct traffic_mix
traffic_default_mix(void)
{
	return (struct traffic_mix){
		.rate = 1,
		.errors = 0.02,
		.aborts = 0.01,
		.slow = 0.002,
		.length = 20,
		.resumed = 0.4,
		.newcomers = 0.05,
		.special = 0.1,
		.keys = 1e6,
	};
}

/* --- numbers ----------------------------------------------------------------------------------------------------- */

/* Source: splitmix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t
draw(struct traffic *traffic)
{
	uint64_t z = traffic->random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* 0 < x <= 1. */
static double
uniform(struct traffic *traffic)
{
	return ((double) (draw(traffic) >> 11) + 1) * 0x1p-53;
}

static bool
happens(struct traffic *traffic, double share)
{
	return uniform(traffic) <= share;
}

static double
exponential(struct traffic *traffic, double mean)
{
	return -log(uniform(traffic)) * mean;
}

static double
normal(struct traffic *traffic)
{
	return sqrt(-2 * log(uniform(traffic))) * cos(2 * M_PI * uniform(traffic));
}

uint32_t
traffic_below(struct traffic *traffic, uint32_t bound)
{
	return (uint32_t) ((draw(traffic) >> 32) * bound >> 32);
}

/* --- shapes ------------------------------------------------------------------------------------------------------ */

void
traffic_begin(struct traffic *traffic, enum traffic_shape shape, const struct traffic_mix *mix, uint64_t seed)
{
	*traffic = (struct traffic){
		.shape = shape,
		.mix = *mix,
		.random = seed * 0xd1342543de82ef95 + (uint64_t) shape,
		.clients = CLIENTS,
	};
	traffic->phase = uniform(traffic);
	traffic->burst_begins = exponential(traffic, 30);
}

/* Requests a second, now. */
static double
rate_now(struct traffic *traffic)
{
	switch (traffic->shape) {
	case TRAFFIC_DIURNAL:
		return 10 * (1.05 + 0.95 * sin(2 * M_PI * (traffic->at / DAY + traffic->phase)));
	case TRAFFIC_BURSTY:
		if (traffic->at >= traffic->burst_begins) {
			traffic->burst_ends = traffic->burst_begins + 1 + exponential(traffic, 4);
			traffic->burst_begins = traffic->burst_ends + 10 + exponential(traffic, 60);
		}
		return traffic->at < traffic->burst_ends ? 1000 : 2;
	default:
		return 500;
	}
}

static void
drift(struct traffic *traffic)
{
	if (traffic->shape == TRAFFIC_STEADY || traffic->at < traffic->drift_at)
		return;
	traffic->drift_at = traffic->at + DRIFT;
	for (unsigned i = 0; i < 3; i++)
		traffic->drift[i] = 0.9 * traffic->drift[i] + 0.25 * normal(traffic);
}

void
traffic_next(struct traffic *traffic, struct traffic_next *ret)
{
	const struct traffic_mix *mix = &traffic->mix;
	double rate = rate_now(traffic) * mix->rate, step = exponential(traffic, 1 / rate);

	/* Between bursts hardly anything comes: the next burst must not be slept through. */
	if (traffic->shape == TRAFFIC_BURSTY && traffic->at < traffic->burst_begins &&
	    traffic->at + step > traffic->burst_begins)
		step = traffic->burst_begins - traffic->at;
	traffic->at += step;
	drift(traffic);
	*ret = (struct traffic_next){
		.at = (uint64_t) (traffic->at * 1e6),
		.took = 1000 + (uint64_t) exponential(traffic, 8000),
		.key = (uint64_t) pow(mix->keys, uniform(traffic)),
		.slow = happens(traffic, mix->slow),
		.special = happens(traffic, mix->special),
	};
	ret->error = !ret->slow && happens(traffic, mix->errors * exp(traffic->drift[0]));
	ret->abort = happens(traffic, mix->aborts);
}

void
traffic_open(struct traffic *traffic, struct traffic_opening *ret)
{
	const struct traffic_mix *mix = &traffic->mix;
	double length = mix->length * exp(traffic->drift[2]);

	ret->requests = 1 + (uint32_t) exponential(traffic, length > 1 ? length - 1 : 0.01);
	ret->resumed = happens(traffic, mix->resumed);
	if (happens(traffic, 0.03)) {
		ret->client = TRAFFIC_MONITOR;
	} else if (happens(traffic, mix->newcomers * exp(traffic->drift[1]))) {
		ret->client = traffic->clients++;
		ret->resumed = false; /* there is nothing to resume yet */
	} else {
		ret->client = 1 + traffic_below(traffic, traffic->clients - 1);
	}
}
