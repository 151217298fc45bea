/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* verdict-internal.h - what the files of the verdict share: thresholds, looks at scales, axes, cohorts.
 *
 * Threads: any. Owns: nothing.
 */
#include "verdict.h"

/* verdict.c has the values and the reason of each. */
extern const struct verdict_thresholds {
	int kendall;
	double growth_share, noise;
	double plateau, step, recent;
	double agree, separable;
	double octaves, thinning;
	uint64_t cohort_span;
	double fragmentation_share;
	uint64_t fragmentation_bytes;
	uint64_t probe_ticks, probe_requests, probe_most_requests;
	uint64_t probe_time, probe_most_time;
	unsigned probe_evictions;
	double probe_agree, probe_survive;
	int64_t probe_objects;
	unsigned probe_raises;
	double probe_crowd;
	uint64_t probe_crowd_slack;
	unsigned probe_backoff;
} verdict_thresholds;

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

/* Which exposure explains the growth. */
struct verdict_cause {
	enum signals_axis axis;
	bool separable;
	double rest;     /* share of the increments' squares that the causes leave unexplained */
	double evidence; /* log likelihood that would be lost without the axis */
	double rate;     /* bytes a unit of axis by least squares */
};
void verdict_explain(const struct signals_history *history, unsigned scale, struct verdict_cause *ret);

/* Fills sites, site_rates, site_count, foreign of *ret by likelihood; returns the bytes a request of those sites that
 * do not thin out with age. */
double verdict_rank(const struct verdict_input *input, struct verdict *ret);
/* Bytes of ages below `requests` (ages spread evenly within a column). */
double verdict_younger(const struct verdict_site *site, double requests);

/* Adds a row; says whether it passed. */
bool verdict_note(struct verdict *verdict, const char *name, double value, const char *relation, double threshold,
		  const char *unit);
