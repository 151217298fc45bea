/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe.h"

#include "cleanup.h"
#include "verdict-internal.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const uint64_t HOUR = 3600000000;

enum phase { IDLE, EVICTING, SETTLING, SERVING, WALKING };

/* What grew from one floor to another. */
struct interval {
	double bytes;
	int64_t objects;
	struct signals_exposure served;
};

struct probe {
	enum phase phase;
	struct probe_settings settings;
	uint64_t begun[PROBE_PER_HOUR]; /* when, in a ring */
	unsigned begins;

	uint64_t began_requests;          /* exposure */
	uint64_t wanted_requests, wanted; /* of the interval under way: ends by either */
	bool has_base, has_past;
	bool buffer;                        /* what grew so far is few blocks */
	struct signals_sample origin, base; /* floors: after the first eviction; where the interval began */
	struct interval past, current;      /* the one before, once it grew; the one that was just compared */
	unsigned evictions, raises;
	uint64_t evicted_requests; /* exposure at the last eviction */
	unsigned wanted_raises;    /* of a buffer */
	/* Of the intervals that raised it, on the axis of the verdict; the fastest first. */
	double rates[VERDICT_PROBE_EVICTIONS];

	bool backing_off;
	uint64_t next_requests, next_time; /* exposures until which no other is begun */
	struct verdict_probes results;
};

struct probe_settings
probe_default_settings(void)
{
	return (struct probe_settings){
		.allow = true, .per_hour = 4, .max_load = 0.8, .min_growth = 32768, .least_time = 30000000};
}

int
probe_new(struct probe **ret)
{
	struct probe *probe = calloc(1, sizeof(*probe));

	if (probe == NULL)
		return -ENOMEM;
	*ret = probe;
	return 0;
}

void
probe_free(struct probe **probe)
{
	free(*probe);
	*probe = NULL;
}

static uint64_t
sample_requests(const struct signals_sample *sample)
{
	return sample->exposure.count[SIGNALS_REQUESTS];
}

static uint64_t
sample_time(const struct signals_sample *sample)
{
	return sample->exposure.count[SIGNALS_SECONDS];
}

static int
refuse(int code, const char *why, const char **ret_why)
{
	if (ret_why)
		*ret_why = why;
	return code;
}

static bool
budget_spent(const struct probe *probe, const struct probe_settings *settings, uint64_t now)
{
	unsigned most = settings->per_hour < PROBE_PER_HOUR ? settings->per_hour : PROBE_PER_HOUR, spent = 0;

	for (unsigned i = 0; i < PROBE_PER_HOUR && i < probe->begins; i++)
		/* A clock that went back makes no time pass. */
		spent += now < probe->begun[i] || now - probe->begun[i] < HOUR;
	return spent >= most;
}

/* Intervals are powers of two in requests, as the columns of ages are. */
static void
interval_choose(struct probe *probe, const struct verdict *verdict)
{
	const struct verdict_thresholds *limit = &verdict_thresholds;
	double grow = 2 * (double) probe->settings.min_growth;
	double speed = verdict->window_seconds > 0 ? (double) verdict->grown / verdict->window_seconds : 0;
	double requests = verdict->per_request > 0 ? grow / verdict->per_request : 0;
	double time = speed > 0 ? grow / speed * 1e6 : 0;

	probe->wanted_requests = limit->probe_requests;
	while ((double) probe->wanted_requests < requests && probe->wanted_requests < limit->probe_most_requests / 2)
		probe->wanted_requests *= 2;
	probe->wanted = limit->probe_time;
	if (time > (double) probe->wanted)
		probe->wanted = (uint64_t) fmin(time, (double) limit->probe_most_time / 2);
	if (probe->wanted < probe->settings.least_time)
		probe->wanted = probe->settings.least_time;
}

int
probe_begin(struct probe *probe, uint64_t now, const struct probe_settings *settings, const struct verdict *verdict,
	    const struct signals_sample *last, double load, const char **ret_why)
{
	if (probe->phase != IDLE)
		return refuse(-EBUSY, "one is under way", ret_why);
	if (!settings->allow)
		return refuse(-EPERM, "probes are not allowed", ret_why);
	if (probe->results.confirmed)
		return refuse(-EBUSY, "it is confirmed already", ret_why);
	if (probe->backing_off && sample_requests(last) < probe->next_requests &&
	    sample_time(last) < probe->next_time &&
	    verdict->per_request <= verdict_thresholds.agree * probe->results.rejected_rate)
		return refuse(-EAGAIN, "too soon after one that found a cache", ret_why);
	if (load > settings->max_load)
		return refuse(-EAGAIN, "the load is too high", ret_why);
	if (budget_spent(probe, settings, now))
		return refuse(-EAGAIN, "this hour's budget is spent", ret_why);
	probe->begun[probe->begins++ % PROBE_PER_HOUR] = now;
	/* Beyond the ring's length only the position counts. */
	if (probe->begins >= 2 * PROBE_PER_HOUR)
		probe->begins -= PROBE_PER_HOUR;
	probe->settings = *settings;
	probe->results.begin_rate = verdict->per_request;
	probe->began_requests = sample_requests(last);
	probe->has_base = probe->has_past = false;
	probe->evictions = probe->raises = 0;
	probe->wanted_raises = verdict->class == VERDICT_GROWING_BUFFER ? verdict_thresholds.probe_raises
									: verdict_thresholds.probe_raises_more;
	interval_choose(probe, verdict);
	probe->results.axis = verdict->axis;
	probe->results.separable = verdict->separable;
	probe->results.running = true;
	probe->phase = EVICTING;
	return 0;
}

static enum probe_step
probe_end(struct probe *probe)
{
	probe->phase = IDLE;
	probe->results.running = false;
	probe->results.done++;
	return PROBE_DONE;
}

static enum probe_step
probe_reject(struct probe *probe, const struct signals_sample *last)
{
	uint64_t requests = sample_requests(last) - sample_requests(&probe->origin);
	uint64_t time = sample_time(last) - sample_time(&probe->origin), times = 1;

	for (unsigned i = 0; i <= probe->results.rejected && i < 10; i++)
		times *= verdict_thresholds.probe_backoff;
	probe->backing_off = true;
	probe->next_requests = sample_requests(last) + times * requests;
	probe->next_time = sample_time(last) + times * time;
	probe->results.rejected++;
	probe->results.rejected_rate = probe->results.begin_rate;
	return probe_end(probe);
}

/* More connections than after the first eviction may hold more without a leak. */
static bool
crowd_matches(const struct probe *probe, const struct signals_sample *sample)
{
	double most = verdict_thresholds.probe_crowd * probe->origin.open_connections +
		      (double) verdict_thresholds.probe_crowd_slack;

	return sample->open_connections <= most && sample->inflight <= probe->origin.inflight + most;
}

static struct interval
interval_between(const struct probe *probe, const struct signals_sample *from, const struct signals_sample *to)
{
	struct interval interval = {.bytes = (double) signals_bytes(to) - (double) signals_bytes(from)};

	interval.objects = (int64_t) (to->live_objects - from->live_objects);
	for (unsigned a = 0; a < SIGNALS_AXES; a++)
		interval.served.count[a] = to->exposure.count[a] - from->exposure.count[a];
	if (!crowd_matches(probe, to) && from->open_connections < to->open_connections) {
		/* As if all there was had belonged to the connections. */
		double each = (double) signals_bytes(from) / (from->open_connections + 1.0);
		interval.bytes -= each * (to->open_connections - from->open_connections);
	}
	return interval;
}

/* The same rate on some exposure. */
static bool
intervals_agree(const struct interval *a, const struct interval *b)
{
	for (unsigned axis = 0; axis < SIGNALS_AXES; axis++) {
		if (a->served.count[axis] == 0 || b->served.count[axis] == 0)
			continue;
		double left = a->bytes / (double) a->served.count[axis],
		       right = b->bytes / (double) b->served.count[axis];
		if (left <= verdict_thresholds.probe_agree * right && right <= verdict_thresholds.probe_agree * left)
			return true;
	}
	return false;
}

/* A leak goes on as it began; what fills up does so ever more slowly, for hours where few keys are asked for often and
 * many seldom. The median tells how it began: a step in one interval says nothing of the others. Notes the interval. */
static bool
slows_down(struct probe *probe, const struct interval *interval)
{
	enum signals_axis axis = probe->results.separable ? probe->results.axis : SIGNALS_REQUESTS;
	if (interval->served.count[axis] == 0)
		axis = SIGNALS_SECONDS;
	double rate = interval->bytes / ((double) interval->served.count[axis] + 1);
	/* From the fastest to the slowest. */
	bool slower =
		probe->raises > 0 && rate < verdict_thresholds.probe_steady * probe->rates[(probe->raises - 1) / 2];
	unsigned at = probe->raises;
	for (; at > 0 && probe->rates[at - 1] < rate; at--)
		probe->rates[at] = probe->rates[at - 1];
	probe->rates[at] = rate;
	return slower;
}

static enum probe_step
serve_on(struct probe *probe, const struct signals_sample *floor)
{
	if (probe->evictions >= verdict_thresholds.probe_evictions)
		return probe_reject(probe, floor);
	probe->phase = SERVING;
	return PROBE_WAIT;
}

/* From this floor on, as long as the interval that was. */
static enum probe_step
serve_again(struct probe *probe, const struct signals_sample *floor)
{
	probe->past = probe->current;
	probe->has_past = true;
	probe->base = *floor;
	return serve_on(probe, floor);
}

enum kind { MORE_BLOCKS, FEW_BLOCKS, LARGER_BLOCK, UNEXPLAINED };

/* What grew since the first eviction. In the foreign heap blocks are not counted. */
static enum kind
kind_of_growth(const struct probe *probe, const struct signals_sample *floor)
{
	const struct signals_sample *origin = &probe->origin;
	double grown = (double) signals_bytes(floor) - (double) signals_bytes(origin);
	double foreign = (double) floor->foreign_bytes - (double) origin->foreign_bytes;
	double largest = (double) floor->largest_bytes - (double) origin->largest_bytes;
	int64_t objects = (int64_t) (floor->live_objects - origin->live_objects);

	if (foreign > grown / 2)
		return MORE_BLOCKS;
	if (largest > grown / 2)
		return LARGER_BLOCK;
	/* As many new blocks as can hold it, if they were all as large as the largest. */
	double holds = fmax((double) floor->largest_bytes, SIGNALS_LARGE);
	if ((double) objects * holds < grown)
		return UNEXPLAINED;
	double usual = (double) floor->live_bytes / ((double) floor->live_objects + 1);
	bool unusual = grown > verdict_thresholds.probe_unusual * usual * (double) objects;
	return objects < VERDICT_FEW || unusual ? FEW_BLOCKS : MORE_BLOCKS;
}

static enum probe_step
probe_compare(struct probe *probe, const struct signals_sample *floor)
{
	const struct verdict_thresholds *limit = &verdict_thresholds;

	if (!probe->has_base) {
		probe->has_base = true;
		probe->origin = probe->base = *floor;
		return serve_on(probe, floor);
	}
	probe->current = interval_between(probe, &probe->base, floor);
	uint64_t requests = probe->current.served.count[SIGNALS_REQUESTS];
	uint64_t time = probe->current.served.count[SIGNALS_SECONDS];
	double least = (double) probe->settings.min_growth;
	if (probe->current.bytes >= (probe->has_past ? least / 2 : least)) {
		bool slower = slows_down(probe, &probe->current);
		bool agree = probe->has_past && !slower && intervals_agree(&probe->past, &probe->current);
		enum kind kind = kind_of_growth(probe, floor);
		probe->buffer = kind == LARGER_BLOCK;
		probe->raises++;
		/* Few blocks, or one that grows in steps, may do so once by chance. */
		bool enough = kind == MORE_BLOCKS || probe->raises >= probe->wanted_raises;
		if (kind != UNEXPLAINED && enough && (agree || probe->buffer)) {
			probe->phase = WALKING;
			return PROBE_PROFILE;
		}
		return serve_again(probe, floor);
	}
	if (requests >= limit->probe_most_requests || time >= limit->probe_most_time)
		return probe_reject(probe, floor);
	/* As long as the one before without its growth: that was a step. */
	probe->has_past = false;
	probe->wanted_requests = 2 * requests > probe->wanted_requests ? 2 * requests : 2 * probe->wanted_requests;
	probe->wanted *= 2;
	return serve_on(probe, floor);
}

static bool
interval_over(const struct probe *probe, const struct signals_sample *last)
{
	uint64_t requests = sample_requests(last) - sample_requests(&probe->base);
	uint64_t time = sample_time(last) - sample_time(&probe->base);

	/* What is kept for a time, and then let go, is all there yet after a burst. */
	bool lasted = time >= probe->settings.least_time;
	if ((requests < probe->wanted_requests || !lasted) && time < probe->wanted)
		return false;
	/* Waits for a moment as crowded as the first, but not for ever. */
	return crowd_matches(probe, last) ||
	       (requests >= 2 * probe->wanted_requests && time >= 2 * probe->settings.least_time) ||
	       time >= 2 * probe->wanted;
}

enum probe_step
probe_step(struct probe *probe, uint64_t now, const struct signals_sample *last, const struct signals_watch *watch)
{
	(void) now;
	switch (probe->phase) {
	case IDLE:
		return PROBE_IDLE;
	case EVICTING:
		probe->evicted_requests = sample_requests(last);
		return PROBE_EVICT;
	case SETTLING:
		return watch->samples >= verdict_thresholds.probe_ticks ? probe_compare(probe, &watch->floor)
									: PROBE_WAIT;
	case SERVING:
		if (!interval_over(probe, last))
			return PROBE_WAIT;
		probe->phase = EVICTING;
		probe->evicted_requests = sample_requests(last);
		return PROBE_EVICT;
	case WALKING:
		return PROBE_PROFILE;
	}
	return PROBE_IDLE;
}

void
probe_evicted(struct probe *probe, uint64_t now, int result, uint64_t claimed)
{
	(void) now;
	(void) claimed;
	if (probe->phase != EVICTING)
		return;
	if (result < 0) {
		probe_cancel(probe);
		return;
	}
	probe->evictions++;
	probe->phase = SETTLING;
}

void
probe_ages(const struct probe *probe, const struct signals_sample *last, double *ret_from, double *ret_to,
	   double *ret_evicted)
{
	uint64_t since = sample_requests(last) - sample_requests(&probe->base);

	*ret_to = (double) since;
	*ret_from = *ret_to + (double) probe->past.served.count[SIGNALS_REQUESTS];
	*ret_evicted = (double) (sample_requests(last) - probe->evicted_requests);
}

void
probe_profiled(struct probe *probe, double survived, double evicted)
{
	struct verdict_probes *results = &probe->results;
	int64_t objects = probe->past.objects + probe->current.objects;
	double requests =
		(double) (probe->past.served.count[SIGNALS_REQUESTS] + probe->current.served.count[SIGNALS_REQUESTS]);

	if (probe->phase != WALKING)
		return;
	results->survived = survived > 0 ? (uint64_t) survived : 0;
	results->walk_age = (uint64_t) evicted;
	if (!probe->buffer && survived >= 0 && requests > 0 &&
	    survived < verdict_thresholds.probe_survive * probe->past.bytes) {
		/* As much lived before and after, but not the same: a store that turns over. */
		struct signals_sample end = probe->base;
		for (unsigned a = 0; a < SIGNALS_AXES; a++)
			end.exposure.count[a] += probe->current.served.count[a];
		(void) probe_reject(probe, &end);
		return;
	}
	results->confirmed = true;
	results->class = probe->buffer ? VERDICT_GROWING_BUFFER : VERDICT_LEAK;
	results->residual_first = (uint64_t) fmax(probe->past.bytes, 0);
	results->residual_second = (uint64_t) fmax(probe->current.bytes, 0);
	results->first = probe->past.served;
	results->second = probe->current.served;
	results->interval_requests = (uint64_t) requests;
	results->objects_grown = objects;
	results->rate = requests > 0 ? (probe->past.bytes + probe->current.bytes) / requests : 0;
	(void) probe_end(probe);
}

void
probe_cancel(struct probe *probe)
{
	probe->phase = IDLE;
	probe->results.running = false;
}

void
probe_forget(struct probe *probe)
{
	probe_cancel(probe);
	probe->backing_off = false;
	memset(&probe->results, 0, sizeof(probe->results));
}

void
probe_results(const struct probe *probe, struct verdict_probes *ret)
{
	*ret = probe->results;
}

const char *
probe_phase(const struct probe *probe)
{
	switch (probe->phase) {
	case IDLE:
		return "idle";
	case EVICTING:
		return "evicting";
	case SETTLING:
		return probe->has_base ? "looking for the floor" : "looking for the first floor";
	case SERVING:
		return probe->has_past ? "serving the second interval" : "serving the first interval";
	case WALKING:
		return "looking for who stayed";
	}
	return "idle";
}
