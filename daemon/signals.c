/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "signals.h"

#include "cleanup.h"
#include "ladder.h"
#include "moments.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <string.h>

enum { MOMENTS = (SIGNALS_MOMENT_SCALES + SIGNALS_MOMENT_EVERY - 1) / SIGNALS_MOMENT_EVERY };

struct recorder {
	uint64_t last_now;
	uint64_t elapsed; /* microseconds since the instance began, never backwards */
	uint64_t began;
	struct signals_exposure before;
	struct signals_sample last;

	bool open;                              /* the block of scale 0 has a sample */
	bool started;                           /* there was a sample since the beginning or the last restart */
	uint64_t since_requests, since_elapsed; /* where the block began: with the sample that closed the one before */
	struct signals_block current;

	struct ladder ladder;
	struct moments moments[MOMENTS]; /* of every second scale */
	struct signals_watch watch;
};
/* A promise: hours to months of one instance in so many bytes. */
static_assert(sizeof(struct recorder) <= 8192, "a recorder is small");

/* Apart from struct signals, which readers hold as const. */
struct guarded {
	struct recorder recorder;
	bool busy; /* the flag that guards it */
};

struct signals {
	struct guarded *guarded;
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
	struct guarded *guarded = calloc(1, sizeof(*guarded));

	if (signals == NULL || guarded == NULL) {
		free(signals);
		free(guarded);
		return -ENOMEM;
	}
	guarded->recorder.began = guarded->recorder.last_now = now;
	signals->guarded = guarded;
	*ret = signals;
	return 0;
}

void
signals_free(struct signals **signals)
{
	if (*signals == NULL)
		return;
	free((*signals)->guarded);
	free(*signals);
	*signals = NULL;
}

/* NULL: another thread has it. */
static struct recorder *
recorder_try(const struct signals *signals)
{
	struct guarded *guarded = signals->guarded;

	return __atomic_exchange_n(&guarded->busy, true, __ATOMIC_ACQUIRE) ? NULL : &guarded->recorder;
}

static struct recorder *
recorder_take(const struct signals *signals)
{
	struct recorder *recorder;

	while ((recorder = recorder_try(signals)) == NULL)
		sched_yield();
	return recorder;
}

static void
recorder_leave(struct recorder *recorder)
{
	__atomic_store_n(&CONTAINER_OF(recorder, struct guarded, recorder)->busy, false, __ATOMIC_RELEASE);
}

int
signals_copy(const struct signals *signals, struct signals **ret)
{
	struct signals *copy;

	if (signals_new(0, &copy) < 0)
		return -ENOMEM;
	struct recorder *recorder = recorder_take(signals);
	copy->guarded->recorder = *recorder;
	recorder_leave(recorder);
	*ret = copy;
	return 0;
}

static void
recorder_close(struct recorder *recorder)
{
	recorder->open = false;
	unsigned levels = ladder_add(&recorder->ladder, &recorder->current);
	for (unsigned level = 0; level < levels && level < SIGNALS_MOMENT_SCALES; level += SIGNALS_MOMENT_EVERY) {
		const struct ladder_step *step = ladder_last(&recorder->ladder, level);
		if (step != NULL)
			moments_add(&recorder->moments[level / SIGNALS_MOMENT_EVERY], step);
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
	struct recorder *recorder = recorder_try(signals);

	if (recorder == NULL)
		return false;
	bool closed = recorder_sample(recorder, now, sample);
	recorder_leave(recorder);
	return closed;
}

void
signals_history(const struct signals *signals, struct signals_history *ret)
{
	struct recorder *recorder = recorder_take(signals);
	struct ladder ladder = recorder->ladder;
	struct moments moments[MOMENTS];

	/* Copied first: requests go on, and leave samples out meanwhile. */
	memcpy(moments, recorder->moments, sizeof(moments));
	ret->began = recorder->began;
	ret->before = recorder->before;
	ret->last = recorder->last;
	recorder_leave(recorder);
	ladder_read(&ladder, ret);
	memset(ret->moments, 0, sizeof(ret->moments));
	for (unsigned scale = 0; scale < SIGNALS_MOMENT_SCALES; scale += SIGNALS_MOMENT_EVERY)
		moments_read(&moments[scale / SIGNALS_MOMENT_EVERY], &ret->moments[scale]);
}

uint64_t
signals_blocks(const struct signals *signals)
{
	struct recorder *recorder = recorder_take(signals);
	uint64_t blocks = recorder->ladder.closed;

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
	memset(&recorder->ladder, 0, sizeof(recorder->ladder));
	memset(recorder->moments, 0, sizeof(recorder->moments));
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
