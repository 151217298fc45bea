/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* verdict-internal.h - what the files of the verdict share: thresholds, looks at scales, axes, cohorts.
 *
 * Threads: any. Owns: nothing.
 */
#include "verdict.h"

/* The most floors a probe tears; how many rates it can keep. */
enum { VERDICT_PROBE_EVICTIONS = 16 };

/* verdict.c has the values and the reason of each. */
extern const struct verdict_thresholds {
	int kendall;
	double growth_share, noise;
	double plateau, step, recent;
	double agree, separable, dependent;
	double octaves, thinning;
	uint64_t cohort_span;
	double alone_requests, alone_seconds;
	double fragmentation_share;
	uint64_t fragmentation_bytes;
	uint64_t probe_ticks, probe_requests, probe_most_requests;
	uint64_t probe_time, probe_most_time;
	unsigned probe_evictions;
	double probe_agree, probe_steady, probe_survive;
	unsigned probe_raises, probe_raises_more;
	double probe_unusual;
	double probe_crowd;
	uint64_t probe_crowd_slack;
	unsigned probe_backoff;
} verdict_thresholds;

enum { VERDICT_FEW = 16 /* blocks: what may come and go beside a buffer that grows */ };

/* One scale, looked at. */
struct verdict_look {
	unsigned scale;
	bool enough; /* as many blocks as a look takes */
	bool passed;
	int kendall;
	double growth, growth_least;
	double noise; /* median deviation from the line */
	double first_half, last_half, last_quarter, overall;
	double requests, seconds; /* between the first and the last floor */
	double per_request;
	double foreign;                     /* growth of the foreign part */
	double objects;                     /* growth in objects */
	const struct signals_block *blocks; /* SIGNALS_BLOCKS of them */
};

/* Looks at all scales; *ret_shown is the one to tell of: the largest that agrees with its neighbour, else the largest
 * that passed, else that of the clearest order. Returns what the trend alone is worth. */
enum verdict_outcome verdict_trend(const struct verdict_input *input, struct verdict *ret,
				   struct verdict_look *ret_shown);
/* The growth it shows is that of few blocks. */
bool verdict_buffer(const struct verdict_look *look);
/* Steps of the largest block, too far apart for a trend. Fills in window and growth. */
bool verdict_steps(const struct verdict_input *input, struct verdict *ret);
/* Pages held grow at one scale while what lives does not. */
bool verdict_fragmentation(const struct verdict_input *input, struct verdict *ret);

/* Rates: from the floors the verdict was judged on; where floors are masked, from what survives; from the probe. */
void verdict_rate_floors(struct verdict *ret, const struct verdict_look *look);
void verdict_rate_cohorts(const struct verdict_input *input, struct verdict *ret, double per_request);
void verdict_rate_probe(const struct verdict_probes *probes, struct verdict *ret);
void verdict_limit(const struct verdict_input *input, struct verdict *ret);

/* Which exposure explains the growth. */
struct verdict_cause {
	enum signals_axis axis;
	bool separable;
	double rest;     /* share of the floor's squares that the causes leave unexplained */
	double evidence; /* log likelihood that would be lost without the axis */
	double rate;     /* bytes a unit of axis by least squares */
};
void verdict_explain(const struct signals_history *history, unsigned scale, struct verdict_cause *ret);

/* Fills sites, site_rates, site_count, foreign of *ret by likelihood; returns the bytes a request of those sites that
 * do not thin out with age. buffer: it is a few blocks that grow, which keep the birth they had. */
double verdict_rank(const struct verdict_input *input, bool buffer, struct verdict *ret);
/* Bytes of ages below `requests` (ages spread evenly within a column). */
double verdict_younger(const struct verdict_site *site, double requests);

/* Units of the axis between the two, seconds as such. */
double verdict_served(const struct signals_exposure *from, const struct signals_exposure *to, enum signals_axis axis);
/* Both warm-ups were over by then, or so long ago that the lack of requests is how this plugin lives. */
bool verdict_warm(const struct verdict_input *input, const struct signals_exposure *at);
/* Whole and within reach: what is read from a record may be anything. */
uint64_t verdict_whole(double value);
/* Without an eviction hook LIKELY is the last word, and takes a longer window. */
bool verdict_long_enough(const struct verdict_input *input, double requests, double seconds);
/* Adds a row; says whether it passed. Words are kept as they are: they have to last. */
bool verdict_note(struct verdict *verdict, const char *name, double value, const char *relation, double threshold,
		  const char *unit);
