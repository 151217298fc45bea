/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* verdict.h - does this instance leak? A pure function of what was recorded: no clock, no I/O, no state.
 *
 * SUSPECT from the floor's trend at one scale (Mann-Kendall, Theil-Sen, neither plateau nor step), LIKELY when two
 * adjacent scales agree or the cohorts of a site do not thin out with age, CONFIRMED only by probe (probe.h): no
 * passive test can tell a filling cache from a leak.
 *
 * Threads: any. Owns: nothing; results are plain values.
 */
#include "signals.h"

enum verdict_outcome { VERDICT_WARMING, VERDICT_OK, VERDICT_SUSPECT, VERDICT_LIKELY, VERDICT_CONFIRMED };
/* What it is, beside how sure we are. */
enum verdict_class {
	VERDICT_NONE,
	VERDICT_LEAK,
	VERDICT_CACHE_GROWTH,   /* grew, and the probe took it back */
	VERDICT_CLIENT_STATE,   /* grows with distinct clients */
	VERDICT_FRAGMENTATION,  /* pages held grow, live bytes do not */
	VERDICT_GROWING_BUFFER, /* bytes grow, objects do not */
};
const char *verdict_outcome_name(enum verdict_outcome outcome); /* "ok", "suspect", ... */
const char *verdict_class_name(enum verdict_class class);       /* "leak", "cache growth", ... */

enum { VERDICT_SITES = 8, VERDICT_COHORTS = 32, VERDICT_TESTS = 20 };

/* Bytes and blocks of one call site that still live, by the age of their birth; from a walk of the heap. */
struct verdict_site {
	uintptr_t site;
	bool foreign;
	uint64_t bytes, objects;
	uint64_t age_bytes[VERDICT_COHORTS]; /* by log2 of age in requests, as heap.h */
};

struct verdict_settings {
	double min_rate;                         /* bytes a request below which growth is ignored */
	uint64_t min_growth;                     /* bytes a window must have grown */
	uint64_t warm_up_time, warm_up_requests; /* microseconds; both must be over, or sixty times the time alone */
};
struct verdict_settings verdict_default_settings(void);

/* What probes of this instance found so far (probe.h). */
struct verdict_probes {
	unsigned done, rejected; /* ended; ended with "it was a cache" */
	bool running;
	bool confirmed;
	enum verdict_class class;                 /* of the confirmed one: LEAK, CLIENT_STATE, GROWING_BUFFER */
	uint64_t residual_first, residual_second; /* bytes that grew between evictions, each interval */
	uint64_t interval_requests;               /* of the two intervals together */
	struct signals_exposure first, second;    /* what was served in each interval */
	int64_t objects_grown;
	uint64_t survived;      /* of the first interval's births, bytes that outlived the second; 0: not known */
	uint64_t walk_age;      /* requests from the last eviction to the walk of the heap */
	double rate;            /* bytes a request between evictions, when confirmed */
	enum signals_axis axis; /* what explained the growth that made it begin; and whether it could be told */
	bool separable;
	double begin_rate;    /* bytes a request it had seemed to grow then */
	double rejected_rate; /* bytes a request it had seemed to grow when it was last rejected */
};

struct verdict_input {
	const struct signals_history *history;
	const struct verdict_site *sites; /* may be NULL: none was taken yet */
	size_t site_count;
	uint32_t epoch;                     /* the request clock when sites was taken */
	const struct verdict_site *earlier; /* of a walk some time before; may be NULL */
	size_t earlier_count;
	uint32_t earlier_epoch;
	bool has_evict;
	struct verdict_probes probes;
	uint64_t hard_limit; /* bytes, 0: none */
	struct verdict_settings settings;
};

/* One test as it came out, for `explain`. */
struct verdict_test {
	const char *name; /* "mann-kendall s" */
	const char *unit; /* "", "bytes", "requests", ... */
	double value, threshold;
	const char *relation; /* what passes: ">=", "<=", "<", ">", "=" */
	bool passed, of_scale;
	uint8_t scale; /* of the ladder, if it is of one */
};

/* A call site as a verdict names it. */
struct verdict_suspect {
	uintptr_t site;
	bool foreign;
	uint64_t bytes, objects;
};

struct verdict {
	enum verdict_outcome outcome;
	enum verdict_class class;
	enum signals_axis axis;
	bool separable; /* false: the traffic does not tell axis from others; axis is then the likeliest */
	bool foreign;   /* most of the growth lies in the foreign heap: a library's, and no restart gives it back */
	double rate, rate_low,
		rate_high;  /* bytes for each unit of axis (per second for SIGNALS_SECONDS), 95 % interval */
	double per_request; /* the same growth as bytes a request, for comparing */
	uint64_t grown;     /* bytes over the window it was judged on */
	uint64_t window_requests;
	double window_seconds;
	double seconds_to_limit; /* < 0: no limit in sight */
	uint64_t clients;        /* seen so far */
	uint64_t largest;        /* bytes of the largest live block, 0: not known */
	unsigned scale;          /* of the ladder it was judged on */
	unsigned site_count;
	struct verdict_suspect sites[VERDICT_SITES]; /* likeliest first */
	double site_rates[VERDICT_SITES];            /* bytes a request of each */
	unsigned test_count;
	struct verdict_test tests[VERDICT_TESTS];
};

void verdict_judge(const struct verdict_input *input, struct verdict *ret);
/* One sentence: "leaks 16.2 ± 0.4 bytes per request, 3h10min to its limit, confirmed by probe". The sites are the
 * caller's to name. Always terminated. */
void verdict_sentence(const struct verdict *verdict, char *ret, size_t size);
