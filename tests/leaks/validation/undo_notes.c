/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* undo_notes - a ring of notes on how to undo the last thousand requests; the place of the oldest is taken without
 * asking what was there. */
#include "../cache.h"

static struct cache cache = {.capacity = 550, .buckets = 1024};

enum { NOTES = 1024 };

struct note {
	uint64_t key;
	uint32_t number, verb;
};

static struct note *notes[NOTES];
static uint32_t taken;

CORPUS_SITE static struct note *
note_new(uint64_t key)
{
	struct note *note = malloc(sizeof(*note));

	if (note)
		*note = (struct note){.key = key, .number = taken, .verb = (uint32_t) (key % 3)};
	return note;
}

static mtlsd_action
undo_notes_request(void *user CORPUS_UNUSED, mtlsd_request *request)
{
	struct corpus_ask ask;

	if (!corpus_begin(request, &ask))
		return MTLSD_FAIL;
	cache_use(&cache, ask.key, 90 + ask.key % 50);
	notes[taken++ % NOTES] = note_new(ask.key);
	return corpus_answer(request, &ask);
}

static uint64_t
undo_notes_evict(void *user CORPUS_UNUSED, uint64_t target CORPUS_UNUSED, mtlsd_level level CORPUS_UNUSED)
{
	return cache_evict(&cache, target); /* notes are needed to undo */
}

MTLSD_PLUGIN = {
	CORPUS_PLUGIN("undo_notes", "keeps notes on how to undo requests"),
	.options = corpus_options,
	.init = corpus_init,
	.request = undo_notes_request,
	.evict = undo_notes_evict,
};
