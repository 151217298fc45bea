/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verdict-look.c - what the floors say by themselves: trend, fragmentation, steps of one block. */
#include "verdict-internal.h"

#include "cleanup.h"
#include "trend.h"

#include <math.h>

static void
look_exposure(const struct signals_block *blocks, enum signals_axis axis, double x[SIGNALS_BLOCKS])
{
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		x[i] = verdict_served(&blocks[0].exposure, &blocks[i].exposure, axis);
}

/* Slope of some of the points; 0 if there is none. */
static double
part_slope(const double *x, const double *y, unsigned from, unsigned count)
{
	struct trend_line line;

	return trend_slope(count, x + from, y + from, &line) < 0 ? 0 : line.slope;
}

/* The straightest line through the floors: against requests, or another exposure that moves at most of them. */
static void
look_lines(struct verdict_look *look)
{
	const unsigned half = SIGNALS_BLOCKS / 2, quarter = SIGNALS_BLOCKS / 4;
	double x[SIGNALS_BLOCKS], y[SIGNALS_BLOCKS];
	struct trend_line best = {.spread = INFINITY}, line;
	enum signals_axis straightest = SIGNALS_AXES;

	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		y[i] = (double) look->blocks[i].floor - (double) look->blocks[0].floor;
	for (unsigned axis = 0; axis < SIGNALS_AXES; axis++) {
		unsigned moved = 0;
		look_exposure(look->blocks, axis, x);
		for (unsigned i = 1; i < SIGNALS_BLOCKS; i++)
			moved += x[i] > x[i - 1];
		if (moved < half || trend_slope(SIGNALS_BLOCKS, x, y, &line) < 0 || line.slope <= 0 ||
		    line.spread >= best.spread)
			continue;
		best = line;
		straightest = axis;
	}
	if (straightest == SIGNALS_AXES)
		return;
	look_exposure(look->blocks, straightest, x);
	look->overall = best.slope;
	look->noise = best.spread;
	look->growth = best.slope * x[SIGNALS_BLOCKS - 1];
	look->first_half = part_slope(x, y, 0, half);
	look->last_half = part_slope(x, y, half, half);
	/* The last quarter with the point before it: three steps. */
	look->last_quarter = part_slope(x, y, SIGNALS_BLOCKS - quarter - 1, quarter + 1);
}

static void
look_at(const struct verdict_input *input, unsigned scale, struct verdict_look *look)
{
	const struct signals_history *history = input->history;
	const struct signals_block *blocks = history->block[scale];
	double floors[SIGNALS_BLOCKS];

	*look = (struct verdict_look){.scale = scale, .blocks = blocks};
	look->enough = history->kept[scale] == SIGNALS_BLOCKS && verdict_warm(input, &blocks[0].exposure);
	if (!look->enough)
		return;
	const struct signals_block *last = &blocks[SIGNALS_BLOCKS - 1];
	for (unsigned i = 0; i < SIGNALS_BLOCKS; i++)
		floors[i] = (double) blocks[i].floor;
	look->kendall = trend_kendall(SIGNALS_BLOCKS, floors);
	look->requests = verdict_served(&blocks[0].exposure, &last->exposure, SIGNALS_REQUESTS);
	look->seconds = verdict_served(&blocks[0].exposure, &last->exposure, SIGNALS_SECONDS);
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

	verdict_note(ret, "mann-kendall s", look->kendall, ">=", limit->kendall, "");
	if (ret->test_count > 0) {
		ret->tests[ret->test_count - 1].of_scale = true;
		ret->tests[ret->test_count - 1].scale = (uint8_t) look->scale;
	}
	if (look->kendall < limit->kendall)
		return;
	verdict_note(ret, "growth", look->growth, ">=", look->growth_least, "bytes");
	verdict_note(ret, "above the noise", look->growth, ">=", limit->noise * look->noise, "bytes");
	verdict_note(ret, "no plateau: last half to first", look->last_half, ">=", limit->plateau * look->first_half,
		     "slope");
	verdict_note(ret, "no step: first half to last", look->first_half, ">=", limit->step * look->last_half,
		     "slope");
	verdict_note(ret, "goes on: last quarter to all", look->last_quarter, ">=", limit->recent * look->overall,
		     "slope");
}

/* Looks at all scales; *ret_shown is the one to tell of: the largest that passed, else that of the clearest order.
 * Returns what the trend alone is worth. */
enum verdict_outcome
verdict_trend(const struct verdict_input *input, struct verdict *ret, struct verdict_look *ret_shown)
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
		if (scale == 0 || !looks_agree(look, &looks[scale - 1]))
			continue;
		pair = look;
		likely = verdict_long_enough(input, looks[scale - 1].requests, looks[scale - 1].seconds);
	}
	if (shown == NULL)
		return VERDICT_OK;
	if (pair != NULL)
		shown = pair;
	note_look(ret, shown);
	*ret_shown = *shown;
	if (shown->passed)
		verdict_note(ret, "an adjacent scale agrees", pair != NULL, ">=", 1, "");
	if (pair && !input->has_evict)
		verdict_note(ret, "long enough without a hook", pair->requests / 2,
			     ">=", verdict_thresholds.alone_requests, "requests");
	return likely ? VERDICT_LIKELY : shown->passed ? VERDICT_SUSPECT : VERDICT_OK;
}

/* Pages held grow at one scale while what lives does not. */
bool
verdict_fragmentation(const struct verdict_input *input, struct verdict *ret)
{
	const struct signals_history *history = input->history;

	for (unsigned scale = 2; scale < SIGNALS_SCALES; scale++) {
		const struct signals_block *blocks = history->block[scale], *last = &blocks[SIGNALS_BLOCKS - 1];
		double spare[SIGNALS_BLOCKS], x[SIGNALS_BLOCKS];
		struct trend_line line;
		if (history->kept[scale] < SIGNALS_BLOCKS || !verdict_warm(input, &blocks[0].exposure))
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
		ret->grown = verdict_whole(grown);
		ret->scale = scale;
		return true;
	}
	return false;
}

/* Growth of a few blocks that grew each: steps up, none down, and hardly a new block. */
bool
verdict_buffer(const struct verdict_look *look)
{
	if (!look->passed || look->objects >= VERDICT_FEW || look->foreign >= look->growth / 2)
		return false;
	double largest = (double) look->blocks[SIGNALS_BLOCKS - 1].largest - (double) look->blocks[0].largest;
	return largest > look->growth / 2;
}

/* A buffer that doubles makes steps too far apart for the trend: seen over scales, it never sinks, and grew more than
 * once while blocks stayed as many. */
bool
verdict_steps(const struct verdict_input *input, struct verdict *ret)
{
	const struct signals_history *history = input->history;

	for (unsigned scale = SIGNALS_SCALES; scale-- > 2;) {
		const struct signals_block *blocks = history->block[scale], *last = &blocks[SIGNALS_BLOCKS - 1];
		double least = (double) input->settings.min_growth / 2;
		unsigned steps = 0, falls = 0, odd = 0;
		if (history->kept[scale] < SIGNALS_BLOCKS || !verdict_warm(input, &blocks[0].exposure))
			continue;
		for (unsigned i = 1; i < SIGNALS_BLOCKS; i++) {
			double step = (double) blocks[i].floor - (double) blocks[i - 1].floor;
			double grew = (double) blocks[i].largest - (double) blocks[i - 1].largest;
			steps += step >= least && grew >= step / 4;
			odd += step >= least && grew < step / 4;
			falls += step <= -least;
		}
		double objects = fabs((double) last->objects - (double) blocks[0].objects);
		double requests = verdict_served(&blocks[0].exposure, &last->exposure, SIGNALS_REQUESTS);
		double seconds = verdict_served(&blocks[0].exposure, &last->exposure, SIGNALS_SECONDS);
		if (steps < 2 || falls > 0 || odd > 0 || objects >= VERDICT_FEW ||
		    !verdict_long_enough(input, requests, seconds))
			continue;
		verdict_note(ret, "steps of the largest block", steps, ">=", 2, "");
		verdict_note(ret, "new blocks meanwhile", objects, "<", VERDICT_FEW, "");
		ret->grown = last->floor - blocks[0].floor;
		ret->window_requests = verdict_whole(requests);
		ret->window_seconds = seconds;
		ret->scale = scale;
		return true;
	}
	return false;
}
