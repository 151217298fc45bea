/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verdict.h"

#include "cleanup.h"
#include "trend.h"
#include "verdict-internal.h"

#include <math.h>
#include <stdio.h>
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
	/* Cohorts of a site. */
	.octaves = 4,         /* ages compared: one sixteenth of life and older */
	.thinning = 0.5,      /* thinnest to densest octave: what is thrown out at random halves within its mean age */
	.cohort_span = 32768, /* requests of life: three warm-ups, so that the octaves lie behind it */
	/* Pages without blocks: half as much again as lives there is what size classes and caches may cost. */
	.fragmentation_share = 0.5,
	.fragmentation_bytes = 1 << 20, /* below a mebibyte nobody cares */
	/* The probe. */
	.probe_ticks = 16,              /* readings for a floor after an eviction: some requests are over by then */
	.probe_requests = 8192,         /* shortest interval: at 4 bytes a request it grows by the least growth */
	.probe_most_requests = 1 << 17, /* longest: a quarter of a byte a request would have shown */
	.probe_time = 600000000,        /* ten minutes: shortest interval where requests are few */
	.probe_most_time = 14400000000, /* four hours: longest */
	.probe_evictions = 16,          /* each costs the plugin its caches */
	.probe_agree = 3,               /* rates of the two intervals: tens of events vary less */
	.probe_survive = 0.5,           /* of the first interval's residual: its births outlive the second */
	.probe_objects = 16,            /* below that many new blocks it may be one that grows */
	.probe_raises = 3,      /* then so many intervals must grow: a table that doubles does it once or twice */
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
verdict_note(struct verdict *verdict, const char *name, double value, const char *relation, double threshold,
	     const char *unit)
{
	bool passed = relation[0] == '>'   ? (relation[1] == '=' ? value >= threshold : value > threshold)
		      : relation[0] == '<' ? (relation[1] == '=' ? value <= threshold : value < threshold)
					   : value == threshold;

	if (verdict->test_count < VERDICT_TESTS) {
		struct verdict_test *test = &verdict->tests[verdict->test_count++];
		*test = (struct verdict_test){.value = value, .threshold = threshold, .passed = passed};
		snprintf(test->name, sizeof(test->name), "%s", name);
		snprintf(test->unit, sizeof(test->unit), "%s", unit);
		snprintf(test->relation, sizeof(test->relation), "%s", relation);
	}
	return passed;
}

/* Whole and within reach: what is read from a record may be anything. */
static uint64_t
whole(double value)
{
	return value >= 0x1p64 ? UINT64_MAX : value > 0 ? (uint64_t) value : 0;
}

static double
exposure_since(const struct signals_exposure *from, const struct signals_exposure *to, enum signals_axis axis)
{
	double units = to->count[axis] > from->count[axis] ? (double) (to->count[axis] - from->count[axis]) : 0;

	return axis == SIGNALS_SECONDS ? units / 1e6 : units;
}

/* Both warm, or so long that the lack of requests is how this plugin lives. */
static bool
warm_at(const struct verdict_input *input, const struct signals_exposure *at)
{
	const struct verdict_settings *settings = &input->settings;
	const struct signals_exposure *from = &input->history->before;
	double seconds = exposure_since(from, at, SIGNALS_SECONDS), warm = (double) settings->warm_up_time / 1e6;

	return seconds >= warm && (exposure_since(from, at, SIGNALS_REQUESTS) >= (double) settings->warm_up_requests ||
				   seconds >= 60 * warm);
}

/* The straightest line through the floors: against requests, or another exposure that moves at most of them. */
static void
look_lines(struct verdict_look *look)
{
	double x[SIGNALS_BLOCKS], y[SIGNALS_BLOCKS];
	const struct signals_block *blocks = look->blocks;
	struct trend_line best = {.spread = INFINITY}, line;

	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		y[i] = (double) blocks[i].floor - (double) blocks[0].floor;
	for (unsigned axis = 0; axis < SIGNALS_AXES; axis++) {
		unsigned moved = 0;
		for (unsigned i = 0; i < SIGNALS_BLOCKS; i++) {
			x[i] = exposure_since(&blocks[0].exposure, &blocks[i].exposure, axis);
			moved += i > 0 && x[i] > x[i - 1];
		}
		if (moved < SIGNALS_BLOCKS / 2 || trend_slope(SIGNALS_BLOCKS, x, y, &line) < 0 || line.slope <= 0 ||
		    line.spread >= best.spread)
			continue;
		best = line;
		const unsigned half = SIGNALS_BLOCKS / 2, quarter = SIGNALS_BLOCKS / 4;
		struct trend_line part;
		look->overall = line.slope;
		look->first_half = trend_slope(half, x, y, &part) < 0 ? 0 : part.slope;
		look->last_half = trend_slope(half, x + half, y + half, &part) < 0 ? 0 : part.slope;
		/* Of the last quarter with the point before it: three steps. */
		unsigned from = SIGNALS_BLOCKS - quarter - 1;
		look->last_quarter = trend_slope(quarter + 1, x + from, y + from, &part) < 0 ? 0 : part.slope;
		look->growth = line.slope * x[SIGNALS_BLOCKS - 1];
		look->noise = line.spread;
	}
}

static void
look_at(const struct verdict_input *input, unsigned scale, struct verdict_look *look)
{
	const struct signals_history *history = input->history;
	const struct signals_block *blocks = history->block[scale];
	double floors[SIGNALS_BLOCKS];

	*look = (struct verdict_look){.scale = scale, .blocks = blocks};
	look->enough = history->kept[scale] == SIGNALS_BLOCKS && warm_at(input, &blocks[0].exposure);
	if (!look->enough)
		return;
	const struct signals_block *last = &blocks[SIGNALS_BLOCKS - 1];
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = (double) blocks[i].floor;
	look->kendall = trend_kendall(SIGNALS_BLOCKS, floors);
	look->requests = exposure_since(&blocks[0].exposure, &last->exposure, SIGNALS_REQUESTS);
	look->seconds = exposure_since(&blocks[0].exposure, &last->exposure, SIGNALS_SECONDS);
	look->foreign = (double) last->foreign - (double) blocks[0].foreign;
	look->objects = (double) last->objects - (double) blocks[0].objects;
	look->growth_least =
		fmax((double) input->settings.min_growth, verdict_thresholds.growth_share * (double) last->floor);
	look->growth_least = fmax(look->growth_least, input->settings.min_rate * look->requests);
	/* Most looks end here. */
	if (look->kendall < verdict_thresholds.kendall)
		return;
	look_lines(look);
	look->per_request = look->requests > 0 ? look->growth / look->requests : 0;
	look->passed = look->growth >= look->growth_least && look->growth >= verdict_thresholds.noise * look->noise &&
		       look->last_half >= verdict_thresholds.plateau * look->first_half &&
		       look->first_half >= verdict_thresholds.step * look->last_half &&
		       look->last_quarter >= verdict_thresholds.recent * look->overall;
}

/* Growth of the two against their windows, by requests where there are any. */
static bool
looks_agree(const struct verdict_look *a, const struct verdict_look *b)
{
	double left = a->requests > 0 ? a->per_request : a->growth / fmax(a->seconds, 1e-6);
	double right = a->requests > 0 ? b->per_request : b->growth / fmax(b->seconds, 1e-6);

	return a->passed && b->passed && left <= verdict_thresholds.agree * right &&
	       right <= verdict_thresholds.agree * left;
}

static void
note_look(struct verdict *ret, const struct verdict_look *look)
{
	const struct verdict_thresholds *limit = &verdict_thresholds;
	char name[40];

	snprintf(name, sizeof(name), "mann-kendall s (scale %u)", look->scale);
	verdict_note(ret, name, look->kendall, ">=", limit->kendall, "");
	if (look->kendall < limit->kendall)
		return;
	verdict_note(ret, "growth", look->growth, ">=", look->growth_least, "bytes");
	verdict_note(ret, "growth over noise", look->growth, ">=", limit->noise * look->noise, "bytes");
	verdict_note(ret, "no plateau: last half to first", look->last_half, ">=", limit->plateau * look->first_half,
		     "slope");
	verdict_note(ret, "no step: first half to last", look->first_half, ">=", limit->step * look->last_half,
		     "slope");
	verdict_note(ret, "goes on: last quarter to all", look->last_quarter, ">=", limit->recent * look->overall,
		     "slope");
}

/* Looks at all scales; *ret_shown is the one to tell of: the largest that passed, else that of the clearest order.
 * Returns what the trend alone is worth. */
static enum verdict_outcome
judge_trend(const struct verdict_input *input, struct verdict *ret, struct verdict_look *ret_shown)
{
	struct verdict_look looks[SIGNALS_SCALES], *shown = NULL, *pair = NULL;
	bool likely = false;

	for (unsigned scale = 0; scale < SIGNALS_SCALES; scale++) {
		struct verdict_look *look = &looks[scale];
		look_at(input, scale, look);
		if (!look->enough)
			continue;
		if (shown == NULL || look->passed || (!shown->passed && look->kendall > shown->kendall))
			shown = look;
		if (scale > 0 && looks_agree(look, &looks[scale - 1])) {
			likely = true;
			pair = look;
		}
	}
	if (shown == NULL)
		return VERDICT_OK;
	shown = pair ? pair : shown;
	note_look(ret, shown);
	*ret_shown = *shown;
	if (shown->passed)
		verdict_note(ret, "an adjacent scale agrees", likely, ">=", 1, "");
	return likely ? VERDICT_LIKELY : shown->passed ? VERDICT_SUSPECT : VERDICT_OK;
}

/* Pages held grow at one scale while what lives does not. */
static bool
judge_fragmentation(const struct verdict_input *input, struct verdict *ret)
{
	const struct signals_history *history = input->history;

	for (unsigned scale = 2; scale < SIGNALS_SCALES; scale++) {
		const struct signals_block *blocks = history->block[scale], *last = &blocks[SIGNALS_BLOCKS - 1];
		double spare[SIGNALS_BLOCKS], x[SIGNALS_BLOCKS];
		struct trend_line line;
		if (history->kept[scale] < SIGNALS_BLOCKS || !warm_at(input, &blocks[0].exposure))
			return false;
		for (unsigned i = 0; i < SIGNALS_BLOCKS; i++) {
			uint64_t lives = blocks[i].floor - blocks[i].foreign;
			spare[i] = (double) blocks[i].resident - (double) lives;
			x[i] = i;
		}
		double grown = spare[SIGNALS_BLOCKS - 1] - spare[0], lives = (double) (last->floor - last->foreign);
		double floor_grown = (double) last->floor - (double) blocks[0].floor;
		if (trend_kendall(SIGNALS_BLOCKS, spare) < verdict_thresholds.kendall ||
		    trend_slope(SIGNALS_BLOCKS, x, spare, &line) < 0 ||
		    grown < verdict_thresholds.noise * line.spread ||
		    grown < (double) verdict_thresholds.fragmentation_bytes || floor_grown > grown / 4 ||
		    spare[SIGNALS_BLOCKS - 1] < verdict_thresholds.fragmentation_share * lives)
			continue;
		verdict_note(ret, "pages without blocks", spare[SIGNALS_BLOCKS - 1],
			     ">=", verdict_thresholds.fragmentation_share * lives, "bytes");
		verdict_note(ret, "their growth", grown, ">=", (double) verdict_thresholds.fragmentation_bytes,
			     "bytes");
		ret->grown = whole(grown);
		ret->scale = scale;
		return true;
	}
	return false;
}

/* Growth of a few blocks that grew each: steps up, none down, and hardly a new block. */
static bool
looks_like_buffer(const struct verdict_look *look)
{
	double largest = (double) look->blocks[SIGNALS_BLOCKS - 1].largest - (double) look->blocks[0].largest;

	return look->passed && look->objects < (double) verdict_thresholds.probe_objects &&
	       look->foreign < look->growth / 2 && (largest == 0 || largest > look->growth / 4);
}

/* A buffer that doubles makes steps too far apart for the trend: seen over scales, it never sinks, and grew more than
 * once while blocks stayed as many. */
static bool
judge_buffer(const struct verdict_input *input, struct verdict *ret)
{
	const struct signals_history *history = input->history;

	for (unsigned scale = SIGNALS_SCALES; scale-- > 2;) {
		const struct signals_block *blocks = history->block[scale], *last = &blocks[SIGNALS_BLOCKS - 1];
		double least = (double) input->settings.min_growth / 2;
		unsigned steps = 0, falls = 0, odd = 0;
		if (history->kept[scale] < SIGNALS_BLOCKS || !warm_at(input, &blocks[0].exposure))
			continue;
		for (unsigned i = 1; i < SIGNALS_BLOCKS; i++) {
			double step = (double) blocks[i].floor - (double) blocks[i - 1].floor;
			double grew = (double) blocks[i].largest - (double) blocks[i - 1].largest;
			steps += step >= least && grew >= step / 4;
			odd += step >= least && grew < step / 4;
			falls += step <= -least;
		}
		double objects = fabs((double) last->objects - (double) blocks[0].objects);
		if (steps < 2 || falls > 0 || odd > 0 || objects >= (double) verdict_thresholds.probe_objects)
			continue;
		verdict_note(ret, "steps of the largest block", steps, ">=", 2, "");
		verdict_note(ret, "new blocks meanwhile", objects, "<", (double) verdict_thresholds.probe_objects, "");
		ret->grown = last->floor - blocks[0].floor;
		ret->window_requests = whole(exposure_since(&blocks[0].exposure, &last->exposure, SIGNALS_REQUESTS));
		ret->window_seconds = exposure_since(&blocks[0].exposure, &last->exposure, SIGNALS_SECONDS);
		ret->scale = scale;
		return true;
	}
	return false;
}

/* Rate on the axis that explains the growth, from the floors the verdict was judged on. */
static void
rate_from_look(struct verdict *ret, const struct verdict_look *look)
{
	double x[SIGNALS_BLOCKS], y[SIGNALS_BLOCKS];
	struct trend_line line;

	ret->per_request = look->per_request;
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++) {
		x[i] = exposure_since(&look->blocks[0].exposure, &look->blocks[i].exposure, ret->axis);
		y[i] = (double) look->blocks[i].floor - (double) look->blocks[0].floor;
	}
	if (trend_slope(SIGNALS_BLOCKS, x, y, &line) < 0 || line.slope <= 0)
		return;
	ret->rate = line.slope;
	ret->rate_low = fmax(line.low, 0);
	ret->rate_high = line.high;
}

/* Rate from the cohorts, where the floors are masked: what survives, by what caused it. */
static void
rate_from_cohorts(const struct verdict_input *input, struct verdict *ret, double per_request)
{
	const struct signals_exposure none = {{0}}, *all = &input->history->last.exposure;
	double units = exposure_since(&none, all, ret->axis);

	ret->per_request = per_request;
	ret->rate = units > 0 ? per_request * (double) all->count[SIGNALS_REQUESTS] / units : per_request;
	/* The octaves it was taken from differ by no more than that. */
	ret->rate_low = ret->rate * verdict_thresholds.thinning;
	ret->rate_high = ret->rate / verdict_thresholds.thinning;
}

static void
rate_from_probe(const struct verdict_probes *probes, struct verdict *ret)
{
	const struct signals_exposure none = {{0}};
	double first = exposure_since(&none, &probes->first, ret->axis);
	double second = exposure_since(&none, &probes->second, ret->axis);
	double sum = (double) probes->residual_first + (double) probes->residual_second;

	ret->per_request = probes->rate;
	ret->grown = whole(sum);
	ret->window_requests = probes->interval_requests;
	ret->window_seconds = exposure_since(&none, &probes->first, SIGNALS_SECONDS) +
			      exposure_since(&none, &probes->second, SIGNALS_SECONDS);
	if (first <= 0 || second <= 0) {
		ret->axis = SIGNALS_REQUESTS;
		ret->separable = false;
		first = (double) probes->first.count[SIGNALS_REQUESTS];
		second = (double) probes->second.count[SIGNALS_REQUESTS];
		if (first <= 0 || second <= 0)
			return;
	}
	ret->rate = sum / (first + second);
	/* As far as the intervals differ, or as a count of so many events may vary. */
	double differ = fabs((double) probes->residual_first / first - (double) probes->residual_second / second) / 2;
	double counted = probes->objects_grown >= verdict_thresholds.probe_objects
				 ? 1.96 * ret->rate / sqrt((double) probes->objects_grown)
				 : 0;
	double reach = fmax(differ, counted);
	ret->rate_low = fmax(ret->rate - reach, 0);
	ret->rate_high = ret->rate + reach;
}

static void
limit_reach(const struct verdict_input *input, struct verdict *ret)
{
	const struct signals_sample *last = &input->history->last;
	double lives = (double) (ret->foreign ? last->foreign_bytes : last->live_bytes);
	double speed = ret->window_seconds > 0 ? (double) ret->grown / ret->window_seconds : 0;

	ret->seconds_to_limit = -1;
	if (input->hard_limit == 0 || ret->outcome < VERDICT_SUSPECT || speed <= 0 ||
	    ret->class == VERDICT_FRAGMENTATION)
		return;
	ret->seconds_to_limit = fmax((double) input->hard_limit - lives, 0) / speed;
}

static void
judge_probes(const struct verdict_probes *probes, struct verdict *ret)
{
	double least = fmin((double) probes->residual_first, (double) probes->residual_second);

	verdict_note(ret, "residual after evictions, lesser", least, ">", 0, "bytes");
	verdict_note(ret, "new blocks after evictions", (double) probes->objects_grown,
		     ">=", (double) verdict_thresholds.probe_objects, "");
	if (probes->survived > 0)
		verdict_note(ret, "first interval's births that stay", (double) probes->survived,
			     ">=", verdict_thresholds.probe_survive * (double) probes->residual_first, "bytes");
}

/* What is known before the probe has spoken. */
static void
judge_passive(const struct verdict_input *input, struct verdict *ret)
{
	struct verdict_look look = {0};
	enum verdict_outcome outcome = judge_trend(input, ret, &look);

	if (look.enough) {
		ret->scale = look.scale;
		ret->window_requests = whole(look.requests);
		ret->window_seconds = look.seconds;
		ret->grown = whole(look.growth);
	}
	double steady = verdict_rank(input, ret);
	if (input->sites)
		verdict_note(ret, "sites that do not thin out", steady, ">=", input->settings.min_rate, "B/request");
	bool cohorts = steady > 0 && steady >= input->settings.min_rate;
	if (cohorts)
		outcome = VERDICT_LIKELY;
	if (outcome < VERDICT_SUSPECT && judge_fragmentation(input, ret)) {
		ret->outcome = VERDICT_SUSPECT;
		ret->class = VERDICT_FRAGMENTATION;
		return;
	}
	bool buffer = look.enough && looks_like_buffer(&look);
	if (outcome < VERDICT_SUSPECT && judge_buffer(input, ret)) {
		outcome = VERDICT_LIKELY;
		buffer = true;
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
		rate_from_cohorts(input, ret, steady);
	else if (look.passed)
		rate_from_look(ret, &look);
	if (buffer)
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
	bool warm = warm_at(input, &history->last.exposure);

	memset(ret, 0, sizeof(*ret));
	ret->seconds_to_limit = -1;
	verdict_note(ret, "requests since the beginning",
		     exposure_since(&history->before, &history->last.exposure, SIGNALS_REQUESTS),
		     ">=", (double) input->settings.warm_up_requests, "requests");
	verdict_note(ret, "time since the beginning",
		     exposure_since(&history->before, &history->last.exposure, SIGNALS_SECONDS),
		     ">=", (double) input->settings.warm_up_time / 1e6, "s");
	if (probes->confirmed) {
		struct verdict_cause cause;
		ret->outcome = VERDICT_CONFIRMED;
		ret->class = probes->class;
		verdict_explain(history, 7, &cause);
		ret->axis = cause.axis;
		ret->separable = cause.separable;
		judge_probes(probes, ret);
		rate_from_probe(probes, ret);
		(void) verdict_rank(input, ret);
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
	limit_reach(input, ret);
}
