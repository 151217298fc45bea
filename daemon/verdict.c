/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verdict.h"

#include "cleanup.h"
#include "verdict-internal.h"

#include <math.h>
#include <string.h>

/* Every threshold, with its reason. What an operator may set is in verdict_default_settings below. */
const struct verdict_thresholds verdict_thresholds = {
	/* Trend of the floors of twelve blocks. */
	.kendall = 50,         /* of 66: one chance in some 3,000 looks if the order of the floors meant nothing */
	.growth_share = 0.005, /* of what lives: less is within the habits of any large store */
	.noise = 6,            /* median deviations that the growth must exceed: four standard deviations */
	.plateau = 0.6,        /* slope of the last half to that of the first: what fills up slows down */
	.step = 0.2,           /* slope of the first half to that of the last: a step is no trend */
	.recent = 0.5,         /* slope of the last quarter to that of all: it has not ended just now */
	.agree = 2,            /* slopes of two adjacent scales: noise does not scale */
	/* Axis: twice the logarithm of a likelihood ratio is about chi-square: 10 here is one in 10,000. */
	.separable = 10,
	.dependent = 8, /* neighbouring floors that count as one: what comes and goes spans several */
	/* Cohorts of a site. */
	.octaves = 4,         /* ages compared: one sixteenth of life and older */
	.thinning = 0.5,      /* thinnest to densest octave: what is thrown out at random halves within its mean age */
	.cohort_span = 32768, /* requests of life: three warm-ups, so that the octaves lie behind it */
	/* Without an eviction hook nobody clears a cache that fills, and LIKELY is the last word: it takes more than
	 * the seconds that a cache of minutes or a tooth of a saw takes, and less than 100,000 requests. */
	.alone_requests = 40000, /* of the smaller of two scales that agree; added to cohort_span */
	.alone_seconds = 43200,  /* or so long */
	/* Pages without blocks: half as much again as lives there is what size classes and caches may cost. */
	.fragmentation_share = 0.5,
	.fragmentation_bytes = 1 << 20, /* below a mebibyte nobody cares */
	/* The probe. */
	.probe_ticks = 16,              /* readings for a floor after an eviction: some requests are over by then */
	.probe_requests = 8192,         /* shortest interval: at 4 bytes a request it grows by the least growth */
	.probe_most_requests = 1 << 17, /* longest: a quarter of a byte a request would have shown */
	.probe_time = 3600000000,       /* an hour: shortest where requests are few; caches fill on in the night */
	.probe_most_time = 14400000000, /* four hours: longest */
	.probe_evictions = VERDICT_PROBE_EVICTIONS, /* each costs the plugin its caches */
	.probe_agree = 3,                           /* rates of the two intervals: tens of events vary less */
	.probe_steady = 0.75,                       /* of the median rate before: slower, and something fills up */
	.probe_survive = 0.5,   /* of the first interval's residual: its births outlive the second */
	.probe_raises = 2,      /* of a buffer that had grown twice before: four steps are no accident */
	.probe_raises_more = 3, /* of one that had not been seen to */
	.probe_unusual = 8,     /* times the mean size: so large new blocks may be old ones that swing */
	.probe_crowd = 1.25,    /* connections at an eviction to those at the first */
	.probe_crowd_slack = 8, /* where there are few */
	.probe_backoff = 4,     /* times longer after each rejection */
};

struct verdict_settings
verdict_default_settings(void)
{
	return (struct verdict_settings){
		.min_rate = 0.5,     /* one byte a request on average must show, with a margin for its estimate */
		.min_growth = 32768, /* four spans' worth of the usual small blocks */
		.warm_up_time = 60000000,
		.warm_up_requests = 10000,
	};
}

bool
verdict_long_enough(const struct verdict_input *input, double requests, double seconds)
{
	return input->has_evict || requests >= verdict_thresholds.alone_requests ||
	       seconds >= verdict_thresholds.alone_seconds;
}

bool
verdict_note(struct verdict *verdict, const char *name, double value, const char *relation, double threshold,
	     const char *unit)
{
	bool passed = relation[0] == '>'   ? (relation[1] == '=' ? value >= threshold : value > threshold)
		      : relation[0] == '<' ? (relation[1] == '=' ? value <= threshold : value < threshold)
					   : value == threshold;

	if (verdict->test_count < VERDICT_TESTS)
		verdict->tests[verdict->test_count++] = (struct verdict_test){.name = name,
									      .unit = unit,
									      .value = value,
									      .threshold = threshold,
									      .relation = relation,
									      .passed = passed};
	return passed;
}

/* Whole and within reach: what is read from a record may be anything. */
uint64_t
verdict_whole(double value)
{
	return value >= 0x1p64 ? UINT64_MAX : value > 0 ? (uint64_t) value : 0;
}

double
verdict_served(const struct signals_exposure *from, const struct signals_exposure *to, enum signals_axis axis)
{
	double units = to->count[axis] > from->count[axis] ? (double) (to->count[axis] - from->count[axis]) : 0;

	return axis == SIGNALS_SECONDS ? units / 1e6 : units;
}

/* Both warm, or so long that the lack of requests is how this plugin lives. */
bool
verdict_warm(const struct verdict_input *input, const struct signals_exposure *at)
{
	const struct verdict_settings *settings = &input->settings;
	const struct signals_exposure *from = &input->history->before;
	double seconds = verdict_served(from, at, SIGNALS_SECONDS), warm = (double) settings->warm_up_time / 1e6;

	return seconds >= warm && (verdict_served(from, at, SIGNALS_REQUESTS) >= (double) settings->warm_up_requests ||
				   seconds >= 60 * warm);
}

/* The scale whose twelve blocks are about the probe's two intervals. */
static unsigned
probe_scale(const struct verdict_probes *probes)
{
	unsigned scale = 0;

	while (scale + 1 < SIGNALS_SCALES &&
	       (uint64_t) SIGNALS_BLOCKS * SIGNALS_BLOCK_REQUESTS << (scale + 1) <= probes->interval_requests)
		scale++;
	return scale;
}

/* After each eviction caches fill again, in step with whatever fills them. So what was known before counts, if the
 * growth was the same: only where something masked it the increments of the probe's own time say more. */
static void
probe_axis(const struct verdict_input *input, struct verdict *ret)
{
	const struct verdict_probes *probes = &input->probes;
	double agree = verdict_thresholds.agree;
	struct verdict_cause cause;

	ret->axis = probes->axis;
	ret->separable = probes->separable;
	if (probes->begin_rate <= agree * probes->rate && probes->rate <= agree * probes->begin_rate)
		return;
	verdict_explain(input->history, probe_scale(probes), &cause);
	ret->axis = cause.axis;
	ret->separable = cause.separable;
}

static void
judge_probes(const struct verdict_probes *probes, struct verdict *ret)
{
	double least = fmin((double) probes->residual_first, (double) probes->residual_second);

	verdict_note(ret, "residual after evictions, lesser", least, ">", 0, "bytes");
	verdict_note(ret, "new blocks after evictions", (double) probes->objects_grown, ">=", VERDICT_FEW, "");
	if (probes->survived > 0)
		verdict_note(ret, "first interval's births that stay", (double) probes->survived,
			     ">=", verdict_thresholds.probe_survive * (double) probes->residual_first, "bytes");
}

/* What is known before the probe has spoken. */
static void
judge_passive(const struct verdict_input *input, struct verdict *ret)
{
	struct verdict_look look = {0};
	enum verdict_outcome outcome = verdict_trend(input, ret, &look);

	if (look.enough) {
		ret->scale = look.scale;
		ret->window_requests = verdict_whole(look.requests);
		ret->window_seconds = look.seconds;
		ret->grown = verdict_whole(look.growth);
	}
	bool buffer = look.enough && verdict_buffer(&look);
	bool steps = outcome < VERDICT_LIKELY && verdict_steps(input, ret);
	double steady = verdict_rank(input, buffer || steps, ret);
	if (input->sites)
		verdict_note(ret, "sites that do not thin out", steady, ">=", input->settings.min_rate, "B/request");
	bool cohorts = steady > 0 && steady >= input->settings.min_rate;
	if (cohorts || steps)
		outcome = VERDICT_LIKELY;
	if (outcome < VERDICT_SUSPECT && verdict_fragmentation(input, ret)) {
		ret->outcome = VERDICT_SUSPECT;
		ret->class = VERDICT_FRAGMENTATION;
		return;
	}
	ret->outcome = outcome;
	if (outcome < VERDICT_SUSPECT)
		return;
	ret->class = VERDICT_LEAK;
	struct verdict_cause cause;
	verdict_explain(input->history, ret->scale, &cause);
	ret->axis = cause.axis;
	ret->separable = cause.separable;
	if (look.passed)
		ret->foreign = look.foreign > look.growth / 2;
	/* A mask grows faster than what it hides: where old cohorts tell another rate than the floors, they are right.
	 */
	if (cohorts && (!look.passed || steady < look.per_request / verdict_thresholds.agree))
		verdict_rate_cohorts(input, ret, steady);
	else if (look.passed)
		verdict_rate_floors(ret, &look);
	if (buffer || (steps && !cohorts))
		ret->class = VERDICT_GROWING_BUFFER;
	else if (ret->axis == SIGNALS_CLIENTS && ret->separable)
		ret->class = VERDICT_CLIENT_STATE;
	if (ret->rate <= 0 && ret->window_requests > 0) {
		ret->per_request = ret->rate = (double) ret->grown / (double) ret->window_requests;
		ret->rate_low = 0;
		ret->rate_high = 2 * ret->rate;
		ret->axis = SIGNALS_REQUESTS;
		ret->separable = false;
	}
}

void
verdict_judge(const struct verdict_input *input, struct verdict *ret)
{
	const struct signals_history *history = input->history;
	const struct verdict_probes *probes = &input->probes;
	bool warm = verdict_warm(input, &history->last.exposure);

	memset(ret, 0, sizeof(*ret));
	ret->seconds_to_limit = -1;
	ret->clients = history->last.exposure.count[SIGNALS_CLIENTS];
	ret->largest = history->last.largest_bytes;
	verdict_note(ret, "requests since the beginning",
		     verdict_served(&history->before, &history->last.exposure, SIGNALS_REQUESTS),
		     ">=", (double) input->settings.warm_up_requests, "requests");
	verdict_note(ret, "time since the beginning",
		     verdict_served(&history->before, &history->last.exposure, SIGNALS_SECONDS),
		     ">=", (double) input->settings.warm_up_time / 1e6, "s");
	if (probes->confirmed) {
		ret->outcome = VERDICT_CONFIRMED;
		ret->class = probes->class;
		probe_axis(input, ret);
		if (ret->class == VERDICT_LEAK && ret->axis == SIGNALS_CLIENTS && ret->separable)
			ret->class = VERDICT_CLIENT_STATE;
		judge_probes(probes, ret);
		verdict_rate_probe(probes, ret);
		(void) verdict_rank(input, probes->class == VERDICT_GROWING_BUFFER, ret);
	} else if (!warm) {
		ret->outcome = VERDICT_WARMING;
		ret->class = probes->rejected > 0 ? VERDICT_CACHE_GROWTH : VERDICT_NONE;
	} else {
		judge_passive(input, ret);
		/* It had its probe: the same growth again is the same cache. */
		if (probes->rejected > 0 && ret->class != VERDICT_FRAGMENTATION &&
		    ret->per_request <= verdict_thresholds.agree * probes->rejected_rate) {
			ret->class = VERDICT_CACHE_GROWTH;
			if (ret->outcome > VERDICT_SUSPECT)
				ret->outcome = VERDICT_SUSPECT;
		}
	}
	if (probes->running && ret->outcome < VERDICT_LIKELY)
		ret->outcome = VERDICT_LIKELY;
	verdict_limit(input, ret);
}
