/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "signals.h"

#include "cleanup.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <string.h>

enum {
	COLLAPSE_BYTES = 4096, /* what a floor may always sink without being called a collapse */
};

/* Half a window: levels since it began. */
struct half {
	double x[SIGNALS_AXES], y; /* of its last block */
	double mean_x[SIGNALS_AXES], mean_y;
	struct signals_moments moments;
};

/* Two halves, so that a window slides without keeping what it holds. */
struct window {
	bool has_previous;
	struct signals_block previous;
	double usual; /* size of the floor's steps, slowly following */
	struct half now, past;
};

/* What the flag guards. Apart from struct signals, which readers hold as const. */
struct recorder {
	bool busy; /* the flag itself */
	uint64_t last_now;
	uint64_t elapsed; /* microseconds since the instance began, never backwards */
	uint64_t began;
	struct signals_exposure before;
	struct signals_sample last;

	bool open;                              /* the block of scale 0 has a sample */
	bool started;                           /* there was a sample since the beginning or the last restart */
	uint64_t since_requests, since_elapsed; /* where the block began: with the sample that closed the one before */
	struct signals_block current;

	uint64_t blocks[SIGNALS_SCALES];
	struct signals_block block[SIGNALS_SCALES][SIGNALS_BLOCKS]; /* rings: block n stands at n % SIGNALS_BLOCKS */
	struct window window[SIGNALS_MOMENT_SCALES];
	struct signals_watch watch;
};

struct signals {
	struct recorder *recorder;
};

const char *
signals_axis_name(enum signals_axis axis)
{
	static const char *const names[SIGNALS_AXES] = {
		[SIGNALS_REQUESTS] = "request",       [SIGNALS_ERRORS] = "error",   [SIGNALS_HANDSHAKES] = "handshake",
		[SIGNALS_CONNECTIONS] = "connection", [SIGNALS_CLIENTS] = "client", [SIGNALS_SECONDS] = "second",
	};
	return (unsigned) axis < SIGNALS_AXES ? names[axis] : "unknown";
}

int
signals_new(uint64_t now, struct signals **ret)
{
	struct signals *signals = calloc(1, sizeof(*signals));
	struct recorder *recorder = calloc(1, sizeof(*recorder));

	if (signals == NULL || recorder == NULL) {
		free(signals);
		free(recorder);
		return -ENOMEM;
	}
	recorder->began = recorder->last_now = now;
	signals->recorder = recorder;
	*ret = signals;
	return 0;
}

void
signals_free(struct signals **signals)
{
	if (*signals == NULL)
		return;
	free((*signals)->recorder);
	free(*signals);
	*signals = NULL;
}

static bool
recorder_try(struct recorder *recorder)
{
	return !__atomic_exchange_n(&recorder->busy, true, __ATOMIC_ACQUIRE);
}

static struct recorder *
recorder_take(const struct signals *signals)
{
	while (!recorder_try(signals->recorder))
		sched_yield();
	return signals->recorder;
}

static void
recorder_leave(struct recorder *recorder)
{
	__atomic_store_n(&recorder->busy, false, __ATOMIC_RELEASE);
}

/* One more point. Source: Welford's updating of sums of squares, 1962. */
static void
half_add(struct half *half)
{
	struct signals_moments *sum = &half->moments;
	double n = (double) ++sum->count, before[SIGNALS_AXES], before_y = half->y - half->mean_y;

	for (unsigned a = 0; a < SIGNALS_AXES; a++) {
		before[a] = half->x[a] - half->mean_x[a];
		half->mean_x[a] += before[a] / n;
	}
	half->mean_y += before_y / n;
	for (unsigned a = 0; a < SIGNALS_AXES; a++) {
		for (unsigned b = a; b < SIGNALS_AXES; b++)
			sum->xx[a][b] += before[a] * (half->x[b] - half->mean_x[b]);
		sum->xy[a] += before[a] * (half->y - half->mean_y);
	}
	sum->yy += before_y * (half->y - half->mean_y);
}

/* Both halves as one: the second begins where the first ended. Source: Chan, Golub and LeVeque, 1979. */
static void
window_moments(const struct window *window, struct signals_moments *ret)
{
	const struct half *past = &window->past, *now = &window->now;
	double n = (double) past->moments.count, m = (double) now->moments.count, x[SIGNALS_AXES];

	*ret = now->moments;
	if (past->moments.count == 0)
		return;
	if (now->moments.count == 0) {
		*ret = past->moments;
		return;
	}
	double weight = n * m / (n + m), y = past->y + now->mean_y - past->mean_y;
	for (unsigned a = 0; a < SIGNALS_AXES; a++)
		x[a] = past->x[a] + now->mean_x[a] - past->mean_x[a];
	for (unsigned a = 0; a < SIGNALS_AXES; a++) {
		for (unsigned b = a; b < SIGNALS_AXES; b++)
			ret->xx[a][b] += past->moments.xx[a][b] + weight * x[a] * x[b];
		ret->xy[a] += past->moments.xy[a] + weight * x[a] * y;
	}
	ret->yy += past->moments.yy + weight * y * y;
	ret->count += past->moments.count;
}

/* One more increment of the floor. A collapse (an eviction, the end of a saw's tooth) says nothing of what causes
 * growth and would drown what does. */
static void
window_add(struct window *window, const struct signals_block *block)
{
	struct signals_block previous = window->previous;
	double y = (double) block->floor - (double) previous.floor;
	bool first = !window->has_previous;

	window->previous = *block;
	window->has_previous = true;
	if (first || (y < 0 && -y > 8 * window->usual + COLLAPSE_BYTES))
		return;
	window->usual += (fabs(y) - window->usual) / 16;
	for (unsigned a = 0; a < SIGNALS_AXES; a++) {
		double units = (double) (block->exposure.count[a] - previous.exposure.count[a]);
		window->now.x[a] += a == SIGNALS_SECONDS ? units / 1e6 : units;
	}
	window->now.y += y;
	half_add(&window->now);
	if (window->now.moments.count >= SIGNALS_MOMENT_BLOCKS) {
		window->past = window->now;
		memset(&window->now, 0, sizeof(window->now));
	}
}

/* The lower of two; of equals the later, by which more had been served for the same bytes. */
static struct signals_block
block_join(const struct signals_block *earlier, const struct signals_block *later)
{
	struct signals_block lower = later->floor <= earlier->floor ? *later : *earlier;

	lower.resident = later->resident;
	return lower;
}

static void
recorder_close(struct recorder *recorder)
{
	struct signals_block block = recorder->current;

	recorder->open = false;
	for (unsigned scale = 0; scale < SIGNALS_SCALES; scale++) {
		uint64_t number = recorder->blocks[scale]++;
		struct signals_block *ring = recorder->block[scale];
		ring[number % SIGNALS_BLOCKS] = block;
		if (scale < SIGNALS_MOMENT_SCALES)
			window_add(&recorder->window[scale], &block);
		if (number % 2 == 0)
			return;
		block = block_join(&ring[(number - 1) % SIGNALS_BLOCKS], &block);
	}
}

static void
recorder_watch(struct signals_watch *watch, const struct signals_sample *sample)
{
	if (watch->samples == 0 || signals_bytes(sample) < signals_bytes(&watch->floor))
		watch->floor = *sample;
	if (watch->samples < UINT32_MAX)
		watch->samples++;
}

static bool
recorder_sample(struct recorder *recorder, uint64_t now, const struct signals_sample *given)
{
	struct signals_sample sample = *given;

	if (now > recorder->last_now)
		recorder->elapsed += now - recorder->last_now;
	recorder->last_now = now;
	sample.exposure.count[SIGNALS_SECONDS] = recorder->elapsed;
	/* A thread that read its counters before another may come after it. */
	for (unsigned a = 0; a < SIGNALS_AXES; a++)
		if (sample.exposure.count[a] < recorder->last.exposure.count[a])
			sample.exposure.count[a] = recorder->last.exposure.count[a];
	recorder->last = sample;
	recorder_watch(&recorder->watch, &sample);

	struct signals_block *block = &recorder->current;
	uint64_t requests = sample.exposure.count[SIGNALS_REQUESTS], bytes = signals_bytes(&sample);
	bool first = !recorder->open;
	recorder->open = true;
	if (!recorder->started) {
		recorder->started = true;
		recorder->since_requests = requests;
		recorder->since_elapsed = recorder->elapsed;
	}
	if (first || bytes <= block->floor) {
		block->exposure = sample.exposure;
		block->floor = bytes;
		block->foreign = sample.foreign_bytes;
		block->objects = sample.live_objects;
		block->largest = sample.largest_bytes;
	}
	block->resident = sample.resident_bytes;
	if (requests - recorder->since_requests < SIGNALS_BLOCK_REQUESTS &&
	    recorder->elapsed - recorder->since_elapsed < SIGNALS_BLOCK_TIME)
		return false;
	recorder_close(recorder);
	recorder->since_requests = requests;
	recorder->since_elapsed = recorder->elapsed;
	return true;
}

bool
signals_sample(struct signals *signals, uint64_t now, const struct signals_sample *sample)
{
	struct recorder *recorder = signals->recorder;

	if (!recorder_try(recorder))
		return false;
	bool closed = recorder_sample(recorder, now, sample);
	recorder_leave(recorder);
	return closed;
}

void
signals_history(const struct signals *signals, struct signals_history *ret)
{
	struct recorder *recorder = recorder_take(signals);

	ret->began = recorder->began;
	ret->before = recorder->before;
	ret->last = recorder->last;
	for (unsigned scale = 0; scale < SIGNALS_SCALES; scale++) {
		uint64_t blocks = recorder->blocks[scale];
		unsigned kept = blocks < SIGNALS_BLOCKS ? (unsigned) blocks : SIGNALS_BLOCKS;
		ret->blocks[scale] = blocks;
		ret->kept[scale] = kept;
		memset(ret->block[scale], 0, sizeof(ret->block[scale]));
		for (unsigned i = 0; i < kept; i++)
			ret->block[scale][i] = recorder->block[scale][(blocks - kept + i) % SIGNALS_BLOCKS];
	}
	for (unsigned scale = 0; scale < SIGNALS_MOMENT_SCALES; scale++)
		window_moments(&recorder->window[scale], &ret->moments[scale]);
	recorder_leave(recorder);
}

uint64_t
signals_blocks(const struct signals *signals)
{
	struct recorder *recorder = recorder_take(signals);
	uint64_t blocks = recorder->blocks[0];

	recorder_leave(recorder);
	return blocks;
}

void
signals_last(const struct signals *signals, struct signals_sample *ret)
{
	struct recorder *recorder = recorder_take(signals);

	*ret = recorder->last;
	recorder_leave(recorder);
}

void
signals_restart(struct signals *signals, uint64_t now)
{
	struct recorder *recorder = recorder_take(signals);

	if (now > recorder->last_now)
		recorder->elapsed += now - recorder->last_now;
	recorder->last_now = recorder->began = now;
	recorder->last.exposure.count[SIGNALS_SECONDS] = recorder->elapsed;
	recorder->before = recorder->last.exposure;
	recorder->open = recorder->started = false;
	memset(recorder->blocks, 0, sizeof(recorder->blocks));
	memset(recorder->window, 0, sizeof(recorder->window));
	recorder_leave(recorder);
}

void
signals_watch(struct signals *signals)
{
	struct recorder *recorder = recorder_take(signals);

	recorder->watch.samples = 0;
	recorder_leave(recorder);
}

void
signals_watched(const struct signals *signals, struct signals_watch *ret)
{
	struct recorder *recorder = recorder_take(signals);

	*ret = recorder->watch;
	recorder_leave(recorder);
}
